package memory

import (
	"context"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Send sends messages and wakes the tasks that sleep in a receive, each with one message.
func (s *Store) Send(_ context.Context, queue string, messages []store.Message) ([]store.Sent, error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := checkMessage(m); err != nil {
			return nil, err
		}
	}
	sent, woken := s.sendAll(q, messages, now)
	if woken {
		s.notifyReady(q)
	}
	return sent, nil
}

// sendAll stores messages and wakes the tasks that sleep in a receive. woken: there was one.
func (s *Store) sendAll(q *queue, messages []store.Message, now time.Time) (sent []store.Sent, woken bool) {
	sent = make([]store.Sent, len(messages))
	for i, m := range messages {
		sent[i] = s.shown(q, m.Task).store(m)
	}
	for _, m := range messages {
		if t := s.shown(q, m.Task); t != nil && t.state == store.Sleeping && !due(t.available, now) && t.giveMessage(now) {
			t.makePending(now)
			woken = true
		}
	}
	return sent, woken
}

func checkMessage(m store.Message) error {
	if err := checkName("inbox", m.Inbox); err != nil {
		return err
	}
	if len(m.Key) > 1000 {
		return refuse("AB006", "a message key of %d bytes is not valid", len(m.Key))
	}
	return checkJSON(m.Payload)
}

// store keeps a message for the task, which is nil when there is none.
func (t *task) store(m store.Message) store.Sent {
	key := [2]string{m.Inbox, m.Key}
	switch {
	case t == nil:
		return store.SentUnknown
	case t.ended():
		return store.SentEnded
	case m.Key != "" && t.keys[key]:
		return store.SentRepeated
	}
	if m.Key != "" {
		if t.keys == nil {
			t.keys = make(map[[2]string]bool)
		}
		t.keys[key] = true
	}
	m.Payload = orNull(m.Payload)
	t.messages = append(t.messages, m)
	return store.SentNew
}

// giveMessage gives the oldest message for which a receive is open to the oldest open receive of that inbox. It reports whether
// there was one.
func (t *task) giveMessage(now time.Time) bool {
	for i, m := range t.messages {
		n := slices.IndexFunc(t.waits, func(w store.Wait) bool { return w.Kind == replay.Message && w.Event == m.Inbox })
		if n >= 0 {
			t.write(outcome(t.waits[n], replay.Value, now, m.Payload))
			t.waits = slices.Delete(t.waits, n, n+1)
			t.messages = slices.Delete(t.messages, i, i+1)
			return true
		}
	}
	return false
}

// older returns the waits in the order in which they are stored: those first that were there before, in their order, then those for
// events, then those for messages.
func older(waits, before []store.Wait) []store.Wait {
	place := func(w store.Wait) int {
		w.Timeout = micros(w.Timeout)
		if i := slices.Index(before, w); i >= 0 {
			return i
		}
		if w.Kind == replay.Message {
			return len(before) + 1
		}
		return len(before)
	}
	sorted := slices.Clone(waits)
	slices.SortStableFunc(sorted, func(a, b store.Wait) int { return place(a) - place(b) })
	return sorted
}
