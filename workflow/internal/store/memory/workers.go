package memory

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// worker is a worker process.
type worker struct {
	id     int64
	name   string
	lease  time.Time // when it ends
	idle   map[string]bool
	names  map[string][]string // the task names that it knows, by queue
	codes  map[string]string   // what names its code, by queue
	claims []claim

	noticed map[store.ID]time.Time // tasks to look at
}

// claim is what a worker took with one call.
type claim struct {
	no    int64
	tasks []*task
}

// view is the store as a worker uses it: there is nothing to open.
type view struct{ *Store }

// Open returns what a worker works with.
func (s *Store) Open(context.Context, int) (store.Workers, error) { return view{s}, nil }

// Transactions returns 0: there are none.
func (s *Store) Transactions() int { return 0 }

func (view) Close() {}

func (view) Status(context.Context) (db.Status, error) { return db.Status{State: db.StateCurrent}, nil }

// alive returns the worker if its lease has not ended.
func (s *Store) alive(id int64, now time.Time) (*worker, error) {
	w := s.workers[id]
	if w == nil || !w.lease.After(now) {
		return nil, refuse("AB008", "worker %d is unknown or its lease has ended: register again", id)
	}
	return w, nil
}

func checkLease(lease time.Duration) error {
	if lease < time.Millisecond {
		return refuse("AB005", "a lease of %v is not valid: it must be positive", lease)
	}
	return nil
}

func (v view) Register(_ context.Context, name string, lease time.Duration) (int64, error) {
	now, leave := v.enter()
	defer leave()
	if err := checkLease(lease); err != nil {
		return 0, err
	}
	v.lastID++
	v.workers[v.lastID] = &worker{
		id: v.lastID, name: name, lease: now.Add(lease.Truncate(time.Millisecond)),
		idle: make(map[string]bool), names: make(map[string][]string), codes: make(map[string]string), noticed: make(map[store.ID]time.Time),
	}
	return v.lastID, nil
}

func (v view) Renew(_ context.Context, id int64, lease time.Duration) (alive bool, noticed []store.ID, err error) {
	now, leave := v.enter()
	defer leave()
	if err := checkLease(lease); err != nil {
		return false, nil, err
	}
	w, err := v.alive(id, now)
	if err != nil {
		return false, nil, nil
	}
	if end := now.Add(lease.Truncate(time.Millisecond)); end.After(w.lease) {
		w.lease = end
	}
	return true, w.notices(now), nil
}

func (v view) Retire(_ context.Context, id int64) error {
	now, leave := v.enter()
	defer leave()
	if w := v.workers[id]; w != nil {
		w.lease = earlier(w.lease, now)
		v.drain(w, nil, nil, false, math.MaxInt, now)
		delete(v.workers, id)
	}
	return nil
}

// drain takes back what a worker holds, until about limit runs: those of one queue (nil: all) and of other claims than the spared.
// Claims that hold nothing any more go.
func (s *Store) drain(w *worker, q *queue, spared []int64, lost bool, limit int, now time.Time) (requeued, poisoned int) {
	w.claims = slices.DeleteFunc(w.claims, func(c claim) bool {
		if q != nil && c.tasks[0].queue != q || slices.Contains(spared, c.no) || requeued+poisoned >= limit {
			return false
		}
		for _, t := range c.tasks {
			switch {
			case t.state != store.Running || t.worker != w.id:
			case s.takeBack(t, lost, now):
				requeued++
				s.notifyReady(t.queue)
			default:
				poisoned++
			}
		}
		return true
	})
	return requeued, poisoned
}

func (v view) Sweep(_ context.Context, limit int) ([]store.Swept, error) {
	now, leave := v.enter()
	defer leave()
	var late []*worker
	for _, w := range v.workers {
		if !w.lease.After(now) {
			late = append(late, w)
		}
	}
	slices.SortFunc(late, func(a, b *worker) int {
		if c := a.lease.Compare(b.lease); c != 0 {
			return c
		}
		return int(a.id - b.id)
	})
	var swept []store.Swept
	for _, w := range late {
		if limit <= 0 {
			break
		}
		requeued, poisoned := v.drain(w, nil, nil, true, limit, now)
		if len(w.claims) == 0 {
			delete(v.workers, w.id)
		}
		limit -= requeued + poisoned
		swept = append(swept, store.Swept{Worker: w.id, Requeued: requeued, Poisoned: poisoned})
	}
	for _, q := range v.queues {
		if limit <= 0 {
			break
		}
		limit -= v.fireAll(q, limit, now)
	}
	return swept, nil
}

func (v view) Join(_ context.Context, id int64, queue string, names []string, code string) (store.Engine, error) {
	now, leave := v.enter()
	defer leave()
	q, err := v.queue(queue)
	if err != nil {
		return nil, err
	}
	w, err := v.alive(id, now)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := checkName("task", name); err != nil {
			return nil, err
		}
	}
	if _, joined := w.idle[queue]; !joined {
		w.idle[queue] = false
	}
	w.names[queue] = slices.Clone(names)
	w.codes[queue] = code
	v.wakeBlocked(q, code, now)
	return &engine{Store: v.Store, q: q, worker: id, names: slices.Clone(names)}, nil
}
