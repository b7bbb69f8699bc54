package workflow

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/jsonb"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// listener holds the one connection of a client that listens for notifications. Notifications are hints: whoever waits polls
// as well, so a lost one costs time and nothing else.
type listener struct {
	listen listenFunc // nil: nothing is ever heard
	log    *slog.Logger
	ctx    context.Context // ends when the client is closed

	mu       sync.Mutex
	started  bool
	subs     map[string]map[chan struct{}]struct{}
	ends     map[TaskID]map[chan *store.Outcome]struct{}
	sessions map[*session]struct{} // of the process's own workers
	finished chan struct{}
}

// listenFunc is the Listen method of a store.
type listenFunc func(ctx context.Context, listening func(), heard func(notice string)) error

func newListener(ctx context.Context, listen listenFunc, log *slog.Logger) *listener {
	return &listener{listen: listen, log: log, ctx: ctx, subs: make(map[string]map[chan struct{}]struct{}),
		ends: make(map[TaskID]map[chan *store.Outcome]struct{}), sessions: make(map[*session]struct{}), finished: make(chan struct{})}
}

// queue returns a channel that gets a value when the queue may have work.
func (l *listener) queue(name string) (wake <-chan struct{}, leave func()) {
	return l.subscribe(store.ReadyNotice(name))
}

// task returns a channel that gets a value when the watched task has ended, and one that gets what it came to when it was this
// process that has ended it.
func (l *listener) task(id TaskID) (wake <-chan struct{}, ended <-chan *store.Outcome, leave func()) {
	wake, unsubscribe := l.subscribe(store.EndedNotice(id.String()))
	end := make(chan *store.Outcome, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends[id] == nil {
		l.ends[id] = make(map[chan *store.Outcome]struct{})
	}
	l.ends[id][end] = struct{}{}
	return wake, end, func() {
		unsubscribe()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.ends[id], end)
		if len(l.ends[id]) == 0 {
			delete(l.ends, id)
		}
	}
}

// spawned tells the process's own workers of work, sooner than a notification could.
func (l *listener) spawned(queue string) { l.wake(store.ReadyNotice(queue)) }

// ended tells those of the process who wait for the task what it has come to, which spares them asking. The result is as the pass has
// written it; they get it as the store would give it back.
func (l *listener) ended(id TaskID, action store.Action, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.ends[id]
	if len(waiting) == 0 {
		return
	}
	var o store.Outcome
	switch action {
	case store.Complete:
		o = store.Outcome{State: store.Completed, Result: jsonb.Normalize(payload)}
	case store.Fail:
		o = store.Outcome{State: store.Failed, Failure: payload}
	case store.Cancel:
		o = store.Outcome{State: store.Cancelled}
	default:
		return
	}
	for end := range waiting {
		select {
		case end <- &o:
		default: // it knows of an end already
		}
	}
}

// session makes a worker's session known until leave is called.
func (l *listener) session(s *session) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.sessions, s)
	}
}

// works reports whether this process has a worker.
func (l *listener) works() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sessions) > 0
}

// runs reports whether a worker of this process runs the task right now, and so will tell of its end.
func (l *listener) runs(id TaskID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.sessions {
		if s.held.of(id) != nil {
			return true
		}
	}
	return false
}

// worker returns a channel that gets a value when the worker should renew its lease, to be told something.
func (l *listener) worker(id int64) (wake <-chan struct{}, leave func()) {
	return l.subscribe(store.WorkerNotice(id))
}

func (l *listener) subscribe(notice string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listen != nil && !l.started {
		l.started = true
		go l.run()
	}
	if l.subs[notice] == nil {
		l.subs[notice] = make(map[chan struct{}]struct{})
	}
	l.subs[notice][ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs[notice], ch)
		if len(l.subs[notice]) == 0 {
			delete(l.subs, notice)
		}
	}
}

// close waits for the connection to be gone. The context of the listener must have ended.
func (l *listener) close() {
	l.mu.Lock()
	if !l.started {
		l.started = true // nobody starts it any more
		close(l.finished)
	}
	l.mu.Unlock()
	<-l.finished
}

func (l *listener) run() {
	defer close(l.finished)
	for attempt := 1; l.ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := l.listen(l.ctx, l.wakeAll, l.wake) // what was notified before it listens is lost
		if l.ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			attempt = 1
		}
		l.log.Warn("workflow: not listening for notifications; polling goes on", "error", err)
		pause(l.ctx, backoff(attempt))
	}
}

func (l *listener) wake(notice string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.subs[notice] {
		poke(ch)
	}
}

func (l *listener) wakeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, subs := range l.subs {
		for ch := range subs {
			poke(ch)
		}
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
