package memory

import (
	"context"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// listener is one call of Listen.
type listener struct {
	notices []string      // not heard yet
	more    chan struct{} // has room for one
}

// Listen hands on what is notified until ctx ends.
func (s *Store) Listen(ctx context.Context, listening func(), heard func(notice string)) error {
	l := &listener{more: make(chan struct{}, 1)}
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	listening()
	for {
		select {
		case <-l.more:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
		notices := l.notices
		l.notices = nil
		s.mu.Unlock()
		for _, n := range notices {
			heard(n)
		}
	}
}

func (s *Store) notify(notice string) {
	for l := range s.listeners {
		l.notices = append(l.notices, notice)
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

// notifyReady tells that the queue has work, if a worker on it is idle.
func (s *Store) notifyReady(q *queue) {
	for _, w := range s.workers {
		if w.idle[q.name] {
			s.notify(store.ReadyNotice(q.name))
			return
		}
	}
}
