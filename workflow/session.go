package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// session is the life of a worker between registering and losing or giving back its lease. Everything that it claimed hangs
// on the lease: when that is lost, every pass of the session is discarded and the worker starts a new session.
type session struct {
	registry   *Registry
	code       string // what the worker runs
	hooks      Hooks
	middleware []WorkerMiddleware
	ended      func(task TaskID, action store.Action, payload []byte) // tells those who wait in this process
	log        *slog.Logger
	clock      *engineClock

	id      int64 // the worker's id in the database
	lease   time.Duration
	workers store.Workers

	passSlots chan struct{}
	aside     chan struct{} // passes that only wait for their end to be written
	stepSlots chan struct{}
	txSlots   chan struct{} // of steps with a transaction of their own
	passes    sync.WaitGroup
	held      heldPasses
	parked    *parked
	history   history // of a task, at most

	stop     <-chan struct{} // closed when the worker should stop
	told     <-chan struct{} // the lease is to be renewed now: there is something to be told of
	lost     context.Context // ends when the lease is lost
	lose     context.CancelFunc
	toldLost sync.Once       // the hook was
	stepCtx  context.Context // ends when the lease is lost or the shutdown deadline is over
	giveUp   context.CancelCauseFunc
}

func (s *session) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// keepLease renews the lease until ctx ends. When the last success is so long ago that the lease may have ended, the
// session is lost: the worker does not wait for the database to say so. Each renewal also tells of tasks that were cancelled or
// asked to end.
func (s *session) keepLease(ctx context.Context) {
	renewed := time.Now()
	every := s.lease / 3
	next := time.NewTicker(every)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-s.told:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		// Two renewals missed: stop writing now, with a third of the lease left to be sure.
		limit, cancel := context.WithDeadline(ctx, renewed.Add(2*every))
		alive, noticed, err := s.workers.Renew(limit, s.id, s.lease)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && alive:
			renewed = asked
			s.tell(noticed)
		case err == nil, time.Since(renewed) >= 2*every:
			if err == nil {
				err = errors.New("the lease is over by the database's clock")
			} else {
				err = fmt.Errorf("not renewed for %v, of a lease of %v: %w", time.Since(renewed).Round(time.Millisecond), s.lease, err)
			}
			s.log.Error("workflow: worker lost its lease; its runs go to other workers", "error", err)
			s.leaseLost()
			return
		default:
			s.log.Warn("workflow: lease not renewed, trying again", "error", err)
			next.Reset(every / 4)
			continue
		}
		next.Reset(every)
	}
}

// leaseLost ends the session: nothing that it holds is its own any more.
func (s *session) leaseLost() {
	s.lose()
	if hook := s.hooks.LeaseLost; hook != nil {
		s.toldLost.Do(hook)
	}
}

// tell has passes look at what has become of their tasks.
func (s *session) tell(tasks []store.ID) {
	for _, id := range tasks {
		if p := s.held.of(id); p != nil {
			p.returned.tell()
		}
	}
}

// sweepsPerLease says how often each worker looks for what was left behind by others: once a second with the default lease.
const sweepsPerLease = 15

// sweep takes up what dead workers have left, until ctx ends. Every worker does so; rows that another one sweeps are
// skipped.
func (s *session) sweep(ctx context.Context) {
	for pause(ctx, jitter(s.lease/sweepsPerLease)) {
		swept, err := s.workers.Sweep(ctx, sweepLimit)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("workflow: sweep not done, trying again", "error", err)
			}
			continue
		}
		for _, w := range swept {
			if w.Requeued+w.Poisoned > 0 {
				s.log.Info("workflow: took over from a worker whose lease ended", "worker", w.Worker, "requeued", w.Requeued, "poisoned", w.Poisoned)
			}
		}
	}
}

const sweepLimit = 100

// heldPasses are the passes that run here, by task.
type heldPasses struct {
	mu     sync.Mutex
	passes map[store.ID]*pass
}

func (h *heldPasses) add(task store.ID, p *pass) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passes == nil {
		h.passes = make(map[store.ID]*pass)
	}
	h.passes[task] = p
}

// remove removes p, unless the task has another pass by now.
func (h *heldPasses) remove(task store.ID, p *pass) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passes[task] == p {
		delete(h.passes, task)
	}
}

func (h *heldPasses) of(task store.ID) *pass {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.passes[task]
}
