package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// reason reads why a task is blocked, and by which code.
func (t *task) reason() (message, code string) {
	var f struct{ Message, Code string }
	json.Unmarshal(t.failure, &f) //nolint:errcheck // without one there is no reason to tell
	return f.Message, f.Code
}

// wakeBlocked makes the tasks pending that other code has blocked.
func (s *Store) wakeBlocked(q *queue, code string, now time.Time) {
	woken := false
	for _, t := range q.open {
		if t.state != store.Blocked {
			continue
		}
		if _, by := t.reason(); by != code {
			t.makePending(now)
			woken = true
		}
	}
	if woken {
		s.notifyReady(q)
	}
}

// otherCode reports whether a worker with other code than the given one is alive and knows the task's name.
func (s *Store) otherCode(t *task, code string, now time.Time) bool {
	queue := t.queue.name
	for _, w := range s.workers {
		if other := w.codes[queue]; code != "" && other != "" && other != code && w.lease.After(now) && slices.Contains(w.names[queue], t.name) {
			return true
		}
	}
	return false
}

// knows reports whether a worker that is alive knows a task name of the queue.
func (s *Store) knows(queue, name string, now time.Time) bool {
	for _, w := range s.workers {
		if w.lease.After(now) && slices.Contains(w.names[queue], name) {
			return true
		}
	}
	return false
}

// Blocked returns what does not go on until other code comes.
func (s *Store) Blocked(_ context.Context, queue string) ([]store.BlockedTask, error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return nil, err
	}
	var blocked, unknown []store.BlockedTask
	for _, t := range q.open {
		if s.shown(q, t.id) == nil {
			continue
		}
		b := store.BlockedTask{Task: t.id, Name: t.name, State: t.state, Attempt: t.attempt}
		switch {
		case t.state == store.Blocked:
			b.Reason, _ = t.reason()
			b.Due = t.available
			blocked = append(blocked, b)
		case t.state == store.Pending && !s.knows(queue, t.name, now):
			b.Reason = fmt.Sprintf("no worker that is alive knows the task name %q", t.name)
			unknown = append(unknown, b)
		}
	}
	byID := func(a, b store.BlockedTask) int { return slices.Compare(a.Task[:], b.Task[:]) }
	slices.SortFunc(blocked, func(a, b store.BlockedTask) int { return cmp.Or(a.Due.Compare(b.Due), byID(a, b)) })
	slices.SortFunc(unknown, byID)
	return append(blocked[:min(len(blocked), store.MaxBlocked)], unknown[:min(len(unknown), store.MaxBlocked)]...), nil
}
