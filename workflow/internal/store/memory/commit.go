package memory

import (
	"context"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Commit writes the units whose runs the worker holds, and says of the others why it does not.
func (e *engine) Commit(_ context.Context, units []*store.Unit, resend bool) ([]store.Answer, error) {
	now, leave := e.enter()
	defer leave()
	_, lost := e.alive(e.worker, now)
	for _, u := range units {
		if err := checkUnit(u); err != nil {
			return nil, err
		}
	}
	for _, u := range units {
		if lost != nil || !e.holds(e.q.tasks[u.Task], u) {
			continue
		}
		if err := e.checkChildren(u); err != nil {
			return nil, err
		}
	}
	if renews := func(u *store.Unit) bool { return u.Renews }; lost == nil && !resend && !slices.ContainsFunc(units, renews) {
		if err := e.checkNames(units); err != nil {
			return nil, err
		}
	}
	answers := make([]store.Answer, len(units))
	var written []*store.Unit
	var ended []*task
	for i, u := range units {
		t := e.q.tasks[u.Task]
		switch {
		case t == nil || t.token != u.Token:
			answers[i] = store.Lost
		case e.holds(t, u) && lost == nil:
			written = append(written, u)
			requested := t.requested
			if answers[i] = e.commit(t, u, now); requested {
				answers[i] = store.Requested
			}
			if t.ended() {
				ended = append(ended, t)
			}
		case t.state == store.Running:
			answers[i] = store.Lost
		case t.state == store.Cancelled:
			answers[i] = store.Gone
		case resend && u.Action != store.Record && u.Action != store.Watch:
			answers[i] = store.OK // nobody else had this token
		default:
			answers[i] = store.Lost
		}
	}
	for _, u := range written {
		e.endUnwanted(e.q.tasks[u.Task], u.Unwanted, now)
	}
	e.tellRelatives(now, ended...)
	return answers, nil
}

// holds reports whether the run is the worker's under the unit's token. t may be nil.
func (e *engine) holds(t *task, u *store.Unit) bool {
	return t != nil && t.token == u.Token && t.state == store.Running && t.worker == e.worker
}

// checkNames refuses records whose names are recorded already.
func (e *engine) checkNames(units []*store.Unit) error {
	for _, u := range units {
		t := e.q.tasks[u.Task]
		for _, r := range u.Records {
			if e.holds(t, u) && t.find(r.Name) >= 0 {
				return refuse("23505", "the task has a record of the name %q", r.Name)
			}
		}
	}
	return nil
}

func checkUnit(u *store.Unit) error {
	for _, notes := range [][]byte{u.Attributes, u.Published} {
		if err := checkJSON(notes); err != nil {
			return err
		}
	}
	if err := checkJSON(u.Payload); err != nil {
		return err
	}
	for _, r := range u.Records {
		if err := checkJSON(r.State); err != nil {
			return err
		}
	}
	for i := range u.Children {
		if err := checkJSON(u.Children[i].Params); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) commit(t *task, u *store.Unit, now time.Time) store.Answer {
	e.spawnChildren(t, u, now)
	for _, r := range u.Records {
		r.Time = micros(r.Time)
		if r.Time.IsZero() {
			r.Time = now
		}
		t.write(r)
	}
	t.removeFailures(u.Removed)
	t.attributes, t.published = merge(t.attributes, u.Attributes, true), merge(t.published, u.Published, false)
	switch u.Action {
	case store.Record:
		return store.OK
	case store.Watch:
		news := due(t.sleep(u.Waits, micros(u.Due), now), now)
		if t.kin == hasNews {
			t.kin = hasChildren
			news = true
		}
		if news {
			return store.News
		}
		return store.OK
	}
	e.leave(t, u, now)
	return store.OK
}

// leave does what becomes of a run whose pass has ended.
func (e *engine) leave(t *task, u *store.Unit, now time.Time) {
	t.worker, t.failure = 0, nil
	until := micros(u.Due)
	switch u.Action {
	case store.Complete:
		e.end(t, store.Completed, u.Payload, nil)
		return
	case store.Fail:
		e.end(t, store.Failed, nil, u.Payload)
		return
	case store.Cancel:
		e.end(t, store.Cancelled, nil, u.Payload)
		return
	case store.Continue:
		t.begin(u.Payload, now)
		e.notifyReady(e.q)
		return
	case store.Release:
		t.state = store.Pending
		e.notifyReady(e.q)
		return
	case store.Suspend:
		t.lostLeases = 0 // it has not killed its worker
		until = t.sleep(u.Waits, until, now)
		if t.hasNews() {
			until = now
		}
	case store.Retry:
		t.lostLeases = 0
		t.attempt++
		t.waits = nil
	case store.Block:
		t.failure = u.Payload
		if _, code := t.reason(); !until.IsZero() && e.otherCode(t, code, now) {
			until = earlier(until, now.Add(5*time.Second)) // in a deploy, the old code may have got it first
		}
	}
	switch {
	case t.kin == childless:
	case u.Action == store.Suspend && t.kin != hasNews:
		t.kin = awaitsChildren
	default:
		t.kin = hasChildren
	}
	t.available = until
	switch {
	case u.Action != store.Suspend && until.IsZero() || due(until, now):
		t.state, t.available = store.Pending, now
		e.notifyReady(e.q)
	case u.Action == store.Block:
		t.state = store.Blocked
	default:
		t.state = store.Sleeping
	}
}

// sleep puts the waits in place of those before, and returns when the task should wake: at until or its first timeout, or now
// where an outcome is there already.
func (t *task) sleep(waits []store.Wait, until, now time.Time) time.Time {
	before := t.waits
	t.waits = nil
	sleep, met := until, false
	for _, w := range older(waits, before) {
		w.Timeout = micros(w.Timeout)
		until = earlier(until, w.Timeout)
		payload, emitted := t.queue.events[event{t.tenant, w.Event}]
		emitted = emitted && w.Kind == replay.Event
		stored := slices.Contains(before, w) // then it was looked at, and not met
		if emitted && !stored {
			t.write(outcome(w, replay.Value, now, payload))
		}
		if i := t.find(w.Name); !stored && i >= 0 && t.records[i].Outcome != replay.Pending {
			met = true
			continue
		}
		t.waits = append(t.waits, w)
	}
	if met || !due(sleep, now) && t.kin != hasNews && t.giveMessage(now) { // a message is given to what nothing else wakes
		until = now
	}
	if due(until, now) {
		t.timeOutWaits(now)
	}
	return until
}
