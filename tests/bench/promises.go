package main

import "github.com/absurdgen/absurdgen/tests/bench/trial"

// promise is a bound that must hold in one run, and a better one that it should reach.
type promise struct {
	text          string
	floor, target float64
	atMost        bool // the figure may not be larger; else it may not be smaller
	measured      func(b *benchmark) (float64, bool)
}

var promises = []promise{
	{"W2, 128 in flight, tasks/s / DBOS", 8, 12, false, ratio("W2-128", ourName, "W2-128", dbos, rate)},
	{"W2, 128 in flight, server CPU a task of DBOS / ours", 8, 12, false, ratio("W2-128", dbos, "W2-128", ourName, serverCPU)},
	{"W2, 128 in flight, tasks/s with a checkpoint each / River, which stores none", 1, 1.2, false, ratio("W2-128", ourName, "W2-128", river, rate)},
	{"W3, 128 in flight, steps/s / DBOS", 11, 16, false, ratio("W3-128", ourName, "W3-128", dbos, rate)},
	{"W3, 32 in flight, steps/s / DBOS", 5, 9, false, ratio("W3-32", ourName, "W3-32", dbos, rate)},
	{"W1 one by one, tasks/s / River", 1.4, 1.8, false, ratio("W1", ourName, "W1", river, rate)},
	{"W1 bulk, tasks/s / River's InsertManyFast", 1, 1.2, false, ratio("W1-bulk", ourName, "W1-bulk", river, rate)},
	{"W4 idle, p50 of DBOS through its queue / ours", 20, 20, false, ratio("W4", dbos, "W4", ourName, p50)},
	{"W4 idle, p50 / DBOS started in process", 1.5, 1.1, true, ratio("W4", ourName, "W4-inproc", dbos, p50)},
	{"W5, total time of DBOS / ours", 3, 4, false, ratio("W5", dbos, "W5", ourName, total)},
	{"W6, rate / that of W2", 0.95, 0.98, false, ratio("W6", ourName, "W2-128", ourName, rate)},
	{"W8, turn 1,000 / turn 10", 1.2, 1, true, lateTurn},
	{"W9, rate through PgBouncer / connected directly", 0, 0, false, ratio("W9", ourName, "W9-direct", ourName, rate)},
	{"commits a task in W2", 0.2, 0.15, true, figure("W2-128", func(f figures) float64 { return f.each.Commits })},
	{"commits a step in W3", 0.08, 0.06, true, figure("W3-128", func(f figures) float64 { return f.each.Commits })},
	{"WAL bytes a one-step task, the step returns nothing", 1300, 1000, true, figure("W2-mute", func(f figures) float64 { return f.each.WAL })},
	{"WAL bytes a one-step task, the step returns 200 bytes", 1300, 1000, true, figure("W2-128", func(f figures) float64 { return f.each.WAL })},
	// Of a step without an outcome: one of 200 bytes, its row and its key alone take 435.
	{"WAL bytes a step that returns nothing", 480, 350, true, figure("W3-mute", func(f figures) float64 { return f.each.WAL })},
	{"WAL bytes a step that returns 200 bytes", 0, 0, true, figure("W3-128", func(f figures) float64 { return f.each.WAL })},
}

func rate(f figures) float64      { return f.rate }
func serverCPU(f figures) float64 { return f.each.ServerCPU }
func p50(f figures) float64       { return f.p50 }
func total(f figures) float64     { return f.seconds }

// ratio is the median over the repetitions: what ran side by side is compared, so that other load falls on both.
func ratio(row, system, otherRow, otherSystem string, of func(figures) float64) func(*benchmark) (float64, bool) {
	return func(b *benchmark) (float64, bool) {
		var ratios []float64
		for rep := range b.reps {
			f, ok := b.figuresOf(row, system, rep)
			g, also := b.figuresOf(otherRow, otherSystem, rep)
			if ok && also && of(g) > 0 {
				ratios = append(ratios, of(f)/of(g))
			}
		}
		return trial.Percentile(ratios, 50), len(ratios) > 0
	}
}

func figure(row string, of func(figures) float64) func(*benchmark) (float64, bool) {
	return func(b *benchmark) (float64, bool) {
		f, ok := b.figures(row, ourName)
		return of(f), ok
	}
}

func lateTurn(b *benchmark) (float64, bool) {
	f, ok := b.figures("W8", ourName)
	if !ok || f.values["turn 10, ms"] == 0 {
		return 0, false
	}
	return f.values["turn 1000, ms"] / f.values["turn 10, ms"], true
}

// verdict says how a measured figure stands.
func (p promise) verdict(measured float64) string {
	reached := func(bound float64) bool {
		if p.atMost {
			return measured <= bound
		}
		return measured >= bound
	}
	switch {
	case p.floor == 0:
		return "reported"
	case reached(p.target):
		return "target reached"
	case reached(p.floor):
		return "holds"
	}
	return "**missed**"
}
