package workflow

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// listener holds the one connection of a client that listens for notifications. Notifications are hints: whoever waits polls
// as well, so a lost one costs time and nothing else.
type listener struct {
	config *pgx.ConnConfig
	log    *slog.Logger
	ctx    context.Context // ends when the client is closed

	mu       sync.Mutex
	started  bool
	subs     map[string]map[chan struct{}]struct{}
	finished chan struct{}
}

// The channel and the prefixes of its payloads.
const (
	notifyChannel = "absurd"
	queuePrefix   = "q:"
	taskPrefix    = "t:"
)

func newListener(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) *listener {
	return &listener{config: config, log: log, ctx: ctx, subs: make(map[string]map[chan struct{}]struct{}), finished: make(chan struct{})}
}

// queue returns a channel that gets a value when the queue may have work.
func (l *listener) queue(name string) (wake <-chan struct{}, leave func()) {
	return l.subscribe(queuePrefix + name)
}

// task returns a channel that gets a value when the watched task has ended.
func (l *listener) task(id TaskID) (wake <-chan struct{}, leave func()) {
	return l.subscribe(taskPrefix + id.String())
}

func (l *listener) subscribe(payload string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config != nil && !l.started {
		l.started = true
		go l.run()
	}
	if l.subs[payload] == nil {
		l.subs[payload] = make(map[chan struct{}]struct{})
	}
	l.subs[payload][ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs[payload], ch)
		if len(l.subs[payload]) == 0 {
			delete(l.subs, payload)
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
		err := l.listen()
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

func (l *listener) listen() error {
	conn, err := pgx.ConnectConfig(l.ctx, l.config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(l.ctx))
	if _, err := conn.Exec(l.ctx, "listen "+notifyChannel); err != nil {
		return err
	}
	l.wakeAll() // what was notified before is lost
	for {
		n, err := conn.WaitForNotification(l.ctx)
		if err != nil {
			return err
		}
		l.wake(n.Payload)
	}
}

func (l *listener) wake(payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.subs[payload] {
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
