package main

import (
	"slices"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

// figures are the medians of the repetitions of one trial, each figure by itself.
type figures struct {
	rate     float64 // units a second
	seconds  float64
	p50, p99 float64 // milliseconds
	each     cost    // of one unit
	client   float64 // CPU milliseconds of one unit
	values   map[string]float64
}

// figures returns the medians; ok is false where nothing was measured.
func (b *benchmark) figures(row, system string) (f figures, ok bool) {
	return medians(b.results[row][system])
}

// figuresOf returns what was measured in one repetition.
func (b *benchmark) figuresOf(row, system string, rep int) (f figures, ok bool) {
	if all := b.results[row][system]; rep < len(all) {
		return medians(all[rep : rep+1])
	}
	return f, false
}

func medians(outcomes []outcome) (f figures, ok bool) {
	outcomes = slices.DeleteFunc(slices.Clone(outcomes), func(o outcome) bool { return o.Unavailable != "" })
	if len(outcomes) == 0 {
		return f, false
	}
	median := func(of func(o outcome) float64) float64 {
		all := make([]float64, len(outcomes))
		for i, o := range outcomes {
			all[i] = of(o)
		}
		return trial.Percentile(all, 50)
	}
	units := func(o outcome) float64 { return float64(o.Units) }
	f = figures{
		rate:    median(func(o outcome) float64 { return units(o) / o.Seconds }),
		seconds: median(func(o outcome) float64 { return o.Seconds }),
		p50:     median(func(o outcome) float64 { return trial.Percentile(o.Latencies, 50) }),
		p99:     median(func(o outcome) float64 { return trial.Percentile(o.Latencies, 99) }),
		client:  median(func(o outcome) float64 { return o.ClientCPU / units(o) }),
		each: cost{
			Commits:    median(func(o outcome) float64 { return o.Commits / units(o) }),
			WAL:        median(func(o outcome) float64 { return o.WAL / units(o) }),
			FullPages:  median(func(o outcome) float64 { return o.FullPages / units(o) }),
			Statements: median(func(o outcome) float64 { return o.Statements / units(o) }),
			ServerCPU:  median(func(o outcome) float64 { return o.ServerCPU / units(o) }),
		},
		values: make(map[string]float64),
	}
	for name := range outcomes[0].Values {
		f.values[name] = median(func(o outcome) float64 { return o.Values[name] })
	}
	return f, true
}

// unavailable returns why a system could not do a row; empty if it could, or was not asked.
func (b *benchmark) unavailable(row, system string) string {
	for _, o := range b.results[row][system] {
		if o.Unavailable != "" {
			return o.Unavailable
		}
	}
	return ""
}
