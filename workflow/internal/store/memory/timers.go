package memory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// earlier returns the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// due reports whether a time, if it is one, has come.
func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// policyDue returns when the task's cancellation policy must be looked at: the deadline that runs now, or, for a task that
// has not started, the earliest moment at which one could be reached. Zero: there is none.
func (t *task) policyDue(now time.Time) (at time.Time) {
	if t.started.IsZero() {
		if t.maxDelay > 0 {
			at = t.enqueued.Add(t.maxDelay)
			if !t.revived.IsZero() {
				at = t.revived.Add(t.maxDelay)
			}
		}
		if t.maxDuration > 0 {
			at = earlier(at, now.Add(t.maxDuration)) // it has not used any of it
		}
		return at
	}
	if t.maxDuration == 0 {
		return at
	}
	if !t.revived.IsZero() {
		return t.revived.Add(t.maxDuration)
	}
	return t.started.Add(t.maxDuration)
}

// arm has the task's policy, and the deadline of a request that it end, looked at when they are due.
func (q *queue) arm(t *task, now time.Time) {
	q.armAt(t, earlier(t.policyDue(now), t.cancelDue))
}

func (q *queue) armAt(t *task, at time.Time) {
	d := deadline{at, t}
	if !d.at.IsZero() && !slices.Contains(q.deadlines, d) {
		q.deadlines = append(q.deadlines, d)
	}
}

// fireAll moves what is due, at most limit of each kind, and returns how much that was.
func (s *Store) fireAll(q *queue, limit int, now time.Time) int {
	return s.fireDeadlines(q, limit, now) + s.fireWakes(q, limit, now)
}

// fireDeadlines cancels the tasks whose policy says so. Deadlines that turn out early or late cost nothing of the limit, up to a
// hundred of them.
func (s *Store) fireDeadlines(q *queue, limit int, now time.Time) (fired int) {
	var ripe []deadline
	for _, d := range q.deadlines {
		if due(d.at, now) {
			ripe = append(ripe, d)
		}
	}
	slices.SortFunc(ripe, func(a, b deadline) int { return cmp.Or(a.at.Compare(b.at), compareIDs(a.task, b.task)) })
	for i, d := range ripe {
		if fired >= limit || i >= limit+100 {
			break
		}
		q.deadlines = slices.DeleteFunc(q.deadlines, func(o deadline) bool { return o == d })
		switch {
		case d.task.ended():
		case due(earlier(d.task.policyDue(now), d.task.cancelDue), now):
			s.cancel(d.task, now)
			fired++
		default:
			q.arm(d.task, now)
		}
	}
	return fired
}

// fireWakes wakes the tasks whose sleep, backoff or wait is over.
func (s *Store) fireWakes(q *queue, limit int, now time.Time) int {
	var ripe []*task
	for _, t := range q.open {
		if t.asleep() && due(t.available, now) {
			ripe = append(ripe, t)
		}
	}
	slices.SortFunc(ripe, func(a, b *task) int { return cmp.Or(a.available.Compare(b.available), compareIDs(a, b)) })
	ripe = ripe[:min(len(ripe), limit)]
	for _, t := range ripe {
		t.timeOutWaits(now)
		t.makePending(now)
	}
	if len(ripe) > 0 {
		s.notifyReady(q)
	}
	return len(ripe)
}

func compareIDs(a, b *task) int { return strings.Compare(string(a.id[:]), string(b.id[:])) }

// timeOutWaits records the timeout of those waits whose time is up. Its time is that, and not the time at which it is found: a timeout and
// a sleep that race have their order, however late both are looked at.
func (t *task) timeOutWaits(now time.Time) {
	t.waits = slices.DeleteFunc(t.waits, func(w store.Wait) bool {
		if !due(w.Timeout, now) {
			return false
		}
		t.write(outcome(w, replay.Timeout, w.Timeout, nil))
		return true
	})
}

// nextDue returns when something is next to be moved.
func (q *queue) nextDue() (at time.Time) {
	for _, d := range q.deadlines {
		at = earlier(at, d.at)
	}
	for _, t := range q.open {
		if t.asleep() {
			at = earlier(at, t.available)
		}
	}
	return at
}
