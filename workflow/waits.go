package workflow

import (
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// A pass that has a step running and waits for something else beside it, as a race of an event and a step does, looks now and
// then whether what it waits for has come. Its first look is when the step has run for a while, so that quick steps cost nothing; but
// where a sleep is about to end it is at once, because what is there already has come before.
const (
	watchAfter = 250 * time.Millisecond
	watchEvery = 500 * time.Millisecond
)

// nextLook returns when the pass looks next; the zero time when it has no reason to. hold: it can move by itself, soon.
func (p *pass) nextLook(now time.Time, hold bool) time.Time {
	switch {
	case hold && p.fresh && len(p.waiting) > 0:
		p.lookAt = now
	case len(p.waiting) == 0 || len(p.running) == 0:
		p.lookAt = time.Time{}
	case p.lookAt.IsZero():
		p.lookAt = now.Add(watchAfter)
	}
	return p.lookAt
}

// advance tells the workflow the time. Before a sleep ends beside open waits the pass looks at these, unless the store has told of them
// since: what was recorded before the sleep was over wins a race with it, also when this pass has not heard of it. It reports whether
// the pass goes on.
func (p *pass) advance(now time.Time) bool {
	p.replay.Advance(p.seen)
	if wake := p.replay.NextWake(); len(p.waiting) > 0 && due(wake, now) {
		if !p.committed() || !p.watch(wake, now) {
			return false
		}
	}
	p.replay.Advance(now)
	return true
}

// due reports whether a time, if it is one, has come.
func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// watch looks at the waits, and has the branches go on that they are met for. due is when a sleep ends. It reports whether the pass
// goes on. Nothing else happens in the pass meanwhile: a message that is given to a wait must find it open.
func (p *pass) watch(due, now time.Time) bool {
	p.lookAt, p.seen, p.fresh = now.Add(watchEvery), now, false
	p.commit(&store.Unit{Action: store.Watch, Due: due, Waits: p.openWaits()})
	if !p.committed() {
		return false
	}
	return !p.news && !p.claimed.CancelRequested || p.learn()
}

// learn gets the outcomes of the pass's waits from the store. It reports whether the pass goes on.
func (p *pass) learn() bool {
	p.news = false
	names := make([]store.Named, 0, len(p.waiting))
	for name := range p.waiting {
		names = append(names, store.Named{Task: p.claimed.Task, Name: name})
	}
	for attempt := 1; ; attempt++ {
		records := make(map[store.ID][]replay.Record)
		err := p.queue.engine.LoadNamed(p.ctx, names, records)
		if err == nil {
			p.served(records[p.claimed.Task])
			return true
		}
		p.session.log.Warn("workflow: outcomes not loaded, trying again", "error", err)
		if !pause(p.ctx, backoff(attempt)) {
			p.interrupted()
			return false
		}
	}
}

// served resolves waits by what was recorded for them.
func (p *pass) served(outcomes []replay.Record) {
	for _, r := range outcomes {
		op, ok := p.waiting[r.Name]
		if !ok || r.Outcome == replay.Pending {
			continue
		}
		p.count(r)
		delete(p.waiting, r.Name)
		p.replay.Resolve(op, r.Outcome, r.State, r.Time)
	}
}

func (p *pass) wait(op *replay.Op) {
	if p.waiting == nil {
		p.waiting = make(map[string]*replay.Op)
	}
	p.waiting[op.Name], p.fresh = op, true
}

// openWaits returns the waits that the run sleeps on, in the order of asking.
func (p *pass) openWaits() []store.Wait {
	waits := make([]store.Wait, 0, len(p.waiting))
	if len(p.waiting) == 0 {
		return waits
	}
	for _, op := range p.replay.Open() {
		call, ok := op.Arg.(*waitCall)
		if !ok {
			continue
		}
		waits = append(waits, store.Wait{Name: op.Name, Kind: op.Kind, Event: call.name, Timeout: op.Deadline})
	}
	return waits
}
