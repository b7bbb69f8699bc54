package memory

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// engine is one queue as a worker that has joined it sees it.
type engine struct {
	*Store
	q      *queue
	worker int64
	names  []string
}

func (e *engine) Claim(_ context.Context, limit int, done []int64) ([]store.Claimed, error) {
	now, leave := e.enter()
	defer leave()
	w, err := e.alive(e.worker, now)
	if err != nil {
		return nil, err
	}
	w.claims = slices.DeleteFunc(w.claims, func(c claim) bool { return slices.Contains(done, c.no) })
	if limit < 1 {
		return nil, nil
	}
	e.fireAll(e.q, limit, now)
	tasks := e.ready(limit, now)
	if len(tasks) == 0 {
		return nil, nil
	}
	e.lastID++
	w.claims = append(w.claims, claim{e.lastID, tasks})
	claimed := make([]store.Claimed, len(tasks))
	for i, t := range tasks {
		t.state, t.worker = store.Running, w.id
		t.token++
		t.started, t.claimed = earlier(t.started, now), now
		claimed[i] = store.Claimed{
			ClaimNo: e.lastID, Task: t.id, Name: t.name, Token: t.token, Attempt: t.attempt, HasRecords: len(t.records) > 0,
			FirstStarted: t.started, Claimed: now, Params: t.params, Headers: t.headers,
			Tenant: t.tenant, Generation: t.generation, CancelRequested: t.requested,
		}
	}
	return claimed, nil
}

// ready returns the runs to claim. Tasks whose policy is due are passed over, and wait for their deadline; how many come from
// each name is decided before that.
func (e *engine) ready(limit int, now time.Time) []*task {
	var all []*task
	for _, t := range e.q.open {
		if e.shown(e.q, t.id) != nil && t.state == store.Pending && !t.available.After(now) && slices.Contains(e.names, t.name) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, (*task).before)
	room := make(map[string]int)
	for _, t := range all[:min(limit, len(all))] {
		room[t.name]++
	}
	if len(e.names) == 1 {
		room[e.names[0]] = limit
	}
	return slices.DeleteFunc(all, func(t *task) bool {
		if room[t.name] == 0 || due(t.policyDue(now), now) {
			return true
		}
		room[t.name]--
		return false
	})
}

func (e *engine) ReleaseUnknown(_ context.Context, known []int64) error {
	now, leave := e.enter()
	defer leave()
	if w := e.workers[e.worker]; w != nil {
		e.drain(w, e.q, known, false, math.MaxInt, now)
	}
	return nil
}

func (e *engine) Load(_ context.Context, tasks []store.ID, records map[store.ID][]replay.Record) error {
	_, leave := e.enter()
	defer leave()
	for _, id := range tasks {
		if t := e.q.tasks[id]; t != nil && len(t.records) > 0 {
			records[id] = append(records[id], t.records...)
		}
	}
	return nil
}

func (e *engine) LoadNamed(_ context.Context, names []store.Named, records map[store.ID][]replay.Record) error {
	_, leave := e.enter()
	defer leave()
	wanted := make(map[store.ID][]string)
	for _, n := range names {
		wanted[n.Task] = append(wanted[n.Task], n.Name)
	}
	for id, names := range wanted {
		t := e.q.tasks[id]
		if t == nil {
			continue
		}
		for _, r := range t.records {
			if slices.Contains(names, r.Name) {
				records[id] = append(records[id], r)
			}
		}
	}
	return nil
}

func (e *engine) NextDue(context.Context) (time.Time, error) {
	_, leave := e.enter()
	defer leave()
	return e.q.nextDue(), nil
}

func (e *engine) SetIdle(_ context.Context, idle bool) error {
	_, leave := e.enter()
	defer leave()
	if w := e.workers[e.worker]; w != nil {
		w.idle[e.q.name] = idle
	}
	return nil
}

// errNoTransactions is what a step in a transaction fails with here.
var errNoTransactions = errors.New("there are no transactions in memory: give the step a fake that is bound without one")

// Transact refuses: see errNoTransactions.
func (e *engine) Transact(context.Context, store.Held, func(pgx.Tx) (replay.Record, error)) (store.Recorded, error) {
	return store.Recorded{}, errNoTransactions
}

// FindStep refuses, as Transact does.
func (e *engine) FindStep(context.Context, store.Held, replay.Record) (store.Recorded, error) {
	return store.Recorded{}, errNoTransactions
}
