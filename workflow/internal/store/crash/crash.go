// Package crash wraps a store so that its workers die at a chosen commit, as if their process had been killed: what they hold goes
// back to its queue, and nothing that they do from then on is written or answered.
//
//	s := crash.Wrap(memory.New(time.Now))
//	s.Plan(crash.Point{Commits: 3, How: crash.Unwritten}) // the third commit from now is not written
package crash

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Store is a store whose workers can be killed. It is safe for concurrent use.
type Store struct {
	store.Store

	mu      sync.Mutex
	workers store.Workers
	alive   []int64
	plan    []Point
	ends    []How // of the lives that are over
}

// Point is a commit at which the workers die.
type Point struct {
	Commits int // up to this one, with it, since the workers' life began
	How     How
}

// How says what becomes of the commit at which the workers die.
type How int

// The ways to die: before the commit is written; after it was, with its answer lost; or not at all, but cut off from its runs as
// a worker is that was not heard of for too long. Such a worker goes on, and the store has to refuse what it writes.
const (
	Unwritten How = iota
	Unanswered
	Ousted
)

// Wrap returns a store whose workers live until After says otherwise.
func Wrap(s store.Store) *Store { return &Store{Store: s} }

// Plan has all workers die at the first point, those after them at the second, and so on. It replaces the plan before.
func (s *Store) Plan(points ...Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = slices.Clone(points)
}

// Crashes returns how often workers have died.
func (s *Store) Crashes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ends)
}

// Open is as the wrapped store's.
func (s *Store) Open(ctx context.Context, queues int) (store.Workers, error) {
	w, err := s.Store.Open(ctx, queues)
	return &workers{w, s}, err
}

// For is as the wrapped store's, and its workers die with the others.
func (s *Store) For(tenant string) store.Store { return scoped{s.Store.For(tenant), s} }

type scoped struct {
	store.Store
	all *Store
}

func (s scoped) Open(ctx context.Context, queues int) (store.Workers, error) {
	w, err := s.Store.Open(ctx, queues)
	return &workers{w, s.all}, err
}

type workers struct {
	store.Workers
	s *Store
}

func (w *workers) Register(ctx context.Context, name string, lease time.Duration) (int64, error) {
	id, err := w.Workers.Register(ctx, name, lease)
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err == nil {
		w.s.workers, w.s.alive = w.Workers, append(w.s.alive, id)
	}
	return id, err
}

func (w *workers) Join(ctx context.Context, worker int64, queue string, names []string, code string) (store.Engine, error) {
	e, err := w.Workers.Join(ctx, worker, queue, names, code)
	return &engine{Engine: e, s: w.s, life: w.s.Crashes()}, err
}

// engine is one life of a worker on a queue.
type engine struct {
	store.Engine
	s    *Store
	life int // crashes before it
}

var errDead = errors.New("the worker is dead")

func (e *engine) Commit(ctx context.Context, units []*store.Unit, resend bool) ([]store.Answer, error) {
	fatal, how, err := e.count()
	if err != nil {
		return nil, err
	}
	if fatal && how != Unanswered {
		if err := e.s.kill(ctx); how == Unwritten {
			return nil, err
		}
	}
	answers, err := e.Engine.Commit(ctx, units, resend)
	if fatal && how == Unanswered {
		return nil, e.s.kill(ctx)
	}
	return answers, err
}

// count says whether this commit is the fatal one. From then on there are no answers, unless the worker was ousted only.
func (e *engine) count() (fatal bool, how How, err error) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.life < len(e.s.ends) {
		if e.s.ends[e.life] == Ousted {
			return false, 0, nil
		}
		return false, 0, errDead
	}
	if len(e.s.plan) == 0 {
		return false, 0, nil
	}
	next := &e.s.plan[0]
	if next.Commits--; next.Commits > 0 {
		return false, 0, nil
	}
	how = next.How
	e.s.plan = e.s.plan[1:]
	e.s.ends = append(e.s.ends, how)
	return true, how, nil
}

// kill takes from the workers what they hold, and the right to write, and returns what a dead worker hears.
func (s *Store) kill(ctx context.Context) error {
	s.mu.Lock()
	dead := s.alive
	s.alive = nil
	s.mu.Unlock()
	errs := []error{errDead}
	for _, id := range dead {
		errs = append(errs, s.workers.Retire(context.WithoutCancel(ctx), id))
	}
	return errors.Join(errs...)
}
