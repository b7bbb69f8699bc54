package runtime

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// entries returns how many entries the ledger has.
func (r *rig) entries() int {
	r.Helper()
	return one[int](r, `select count(*) from public.ledger`)
}

// booking is a workflow of one step that books an entry in its transaction and returns its number.
func booking(opts ...workflow.StepOption) (workflow.Step[link, int64], workflow.Flow[link, int64], workflow.Binding) {
	step := workflow.NewStep[link, int64]("book", opts...)
	flow := workflow.NewFlow[link, int64]("booking")
	return step, flow, flow.Bind(func(ctx workflow.Context, l link) (int64, error) { return step.Do(ctx, l) })
}

var quick = workflow.Backoff(time.Millisecond, time.Millisecond)

func TestTxStepFailsLikeAnyStep(t *testing.T) {
	r := newRig(t)
	r.exec(ledgerTable)
	step, flow, bound := booking(workflow.Attempts(3), quick)
	var attempts []int
	r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		info, _ := workflow.InfoOf(ctx)
		attempts = append(attempts, info.Attempt)
		id, err := book(ctx, tx, l)
		if info.Attempt < 3 {
			return 0, errors.Join(err, errors.New("not yet"))
		}
		return id, err
	}))
	id := result(r, spawn(r, flow, link{}))
	if diff := cmp.Diff([]int{1, 2, 3}, attempts); diff != "" {
		t.Error(diff)
	}
	if n := r.entries(); n != 1 {
		t.Errorf("%d entries: failed attempts have left some", n)
	}
	if stored := one[int64](r, `select id from public.ledger`); stored != id {
		t.Errorf("result %d, booked %d", id, stored)
	}
}

// TestTxStepRunsAgain: a transaction that loses against another one costs no attempt, whether the function sees it or the
// commit does.
func TestTxStepRunsAgain(t *testing.T) {
	for name, lose := range map[string]string{
		"deadlock":                    `do $$ begin raise exception 'deadlock' using errcode = '40P01'; end $$`,
		"serialization":               `do $$ begin raise exception 'serialization' using errcode = '40001'; end $$`,
		"serialization at the commit": `insert into public.loses values (0)`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.exec(ledgerTable)
			r.exec(`create table public.loses (n integer)`)
			r.exec(`create function public.lose() returns trigger language plpgsql as $$
				begin raise exception 'lost' using errcode = '40001'; end $$`)
			r.exec(`create constraint trigger lose after insert on public.loses deferrable initially deferred for each row execute function public.lose()`)
			step, flow, bound := booking(workflow.Attempts(1))
			runs := 0
			r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
				id, err := book(ctx, tx, l)
				if runs++; runs < 3 && err == nil {
					_, err = tx.Exec(ctx, lose)
				}
				return id, err
			}))
			result(r, spawn(r, flow, link{}))
			if runs != 3 || r.entries() != 1 {
				t.Errorf("%d runs and %d entries, want 3 and 1", runs, r.entries())
			}
		})
	}
}

func TestTxStepMustNotEndItsTransaction(t *testing.T) {
	type tx = pgx.Tx
	for want, misuse := range map[string]func(context.Context, tx) error{
		"the step called Commit on its transaction":       func(ctx context.Context, tx tx) error { tx.Commit(ctx); return nil },
		"the step called Rollback on its transaction":     func(ctx context.Context, tx tx) error { tx.Rollback(ctx); return nil },
		"ended its transaction by a statement of its own": func(ctx context.Context, tx tx) error { _, err := tx.Exec(ctx, `rollback`); return err },
		"did not return its error":                        func(ctx context.Context, tx tx) error { tx.Exec(ctx, `select 1/0`); return nil },
		"left a query of its transaction open": func(ctx context.Context, tx tx) error {
			_, err := tx.Query(ctx, `select generate_series(1, 9)`)
			return err
		},
		"commits with the step's record: return from the step": func(ctx context.Context, tx tx) error { return tx.Commit(ctx) },
	} {
		t.Run(want, func(t *testing.T) {
			r := newRig(t)
			r.exec(ledgerTable)
			step, flow, bound := booking(workflow.Attempts(1))
			r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
				id, err := book(ctx, tx, l)
				return id, errors.Join(err, misuse(ctx, tx))
			}))
			if failure := failed(r, spawn(r, flow, link{})); !strings.Contains(failure.Message, want) {
				t.Errorf("the task failed with %q, want it to say %q", failure.Message, want)
			}
			if n := r.entries(); n != 0 {
				t.Errorf("%d entries are left of a step that failed", n)
			}
		})
	}
}

// TestTxStepLostAnswer: the connection breaks while the transaction commits. Whether it was committed decides.
func TestTxStepLostAnswer(t *testing.T) {
	f := &fault{asked: []byte("commit\x00")}
	r := newFaultyRig(t, f)
	r.exec(ledgerTable)
	step, flow, bound := booking(workflow.Attempts(1))
	runs := 0
	r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		runs++
		return book(ctx, tx, l)
	}))
	id := result(r, spawn(r, flow, link{}))
	if f.fired.Load() == 0 {
		t.Error("no answer was lost")
	}
	if stored := one[int64](r, `select id from public.ledger`); runs != 1 || stored != id {
		t.Errorf("%d runs, result %d, booked %d: a transaction that was committed is not run again", runs, id, stored)
	}
}

// TestTxStepFenced: a worker whose lease ends while its step runs cannot commit, whether another one has taken over or not, and
// whether that was before its snapshot or after.
func TestTxStepFenced(t *testing.T) {
	for name, c := range map[string]struct {
		isolation       string
		late, takenOver bool
	}{
		"expired":                                   {"read committed", true, false},
		"taken over":                                {"read committed", true, true},
		"expired before the snapshot":               {"serializable", false, false},
		"taken over before the snapshot":            {"serializable", false, true},
		"taken over by what the snapshot hides":     {"serializable", true, true},
		"taken over by what a repeatable one hides": {"repeatable read", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.exec(ledgerTable)
			step, flow, bound := booking(workflow.Attempts(1))
			running, release := make(chan struct{}, 9), make(chan struct{})
			var ended passes
			var calls atomic.Int64
			a := r.work(workflow.WorkerOptions{Lease: time.Hour, Hooks: ended.hooks()}, bound,
				step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (id int64, err error) {
					if calls.Add(1) > 1 { // under a new lease, or again because the snapshot was too old
						if c.takenOver {
							return book(ctx, tx, l)
						}
						return 0, errors.New("not again")
					}
					hold := func() {
						running <- struct{}{}
						<-release
					}
					if !c.late {
						hold()
					}
					if _, err := tx.Exec(ctx, `set transaction isolation level `+c.isolation); err != nil {
						return 0, err
					}
					id, err = book(ctx, tx, l)
					if c.late {
						hold()
					}
					return id, err
				}))
			task := spawn(r, flow, link{})
			receive(r, "the step", running)
			r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 hour'`)
			var id int64
			if c.takenOver {
				r.exec(`select absurd.sweep(100)`)
				r.work(workflow.WorkerOptions{}, bound, step.BindTx(book))
				id = result(r, task)
			}
			close(release)
			r.eventually("the first worker has given up", func() bool { return ended.other.Load() >= 1 })
			a.end()
			if !c.takenOver {
				if n := r.entries(); n != 0 {
					t.Errorf("%d entries were booked without a lease", n)
				}
			} else if stored := one[int64](r, `select id from public.ledger`); stored != id {
				t.Errorf("result %d, booked %d", id, stored)
			}
		})
	}
}

// TestTxStepOfCancelledTask commits nothing.
func TestTxStepOfCancelledTask(t *testing.T) {
	r := newRig(t)
	r.exec(ledgerTable)
	step, flow, bound := booking()
	running, release := make(chan struct{}), make(chan struct{})
	var ended passes
	r.work(workflow.WorkerOptions{Hooks: ended.hooks()}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		id, err := book(ctx, tx, l)
		close(running)
		<-release
		return id, err
	}))
	task := spawn(r, flow, link{})
	receive(r, "the step", running)
	if err := task.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	close(release)
	r.eventually("the pass has ended", func() bool { return ended.other.Load() == 1 })
	if n := r.entries(); n != 0 {
		t.Errorf("%d entries of a task that was cancelled before", n)
	}
}

// TestTxStepTimeout: an attempt whose time is over cannot commit any more, however late its function returns.
func TestTxStepTimeout(t *testing.T) {
	r := newRig(t)
	r.exec(ledgerTable)
	// Where the machine is slow, the time of later attempts may be over too. These leave no more behind than the first one.
	step, flow, bound := booking(workflow.Attempts(100), quick, workflow.Timeout(100*time.Millisecond))
	release, late := make(chan struct{}), make(chan struct{})
	r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		id, err := book(context.WithoutCancel(ctx), tx, l)
		if info, _ := workflow.InfoOf(ctx); info.Attempt == 1 {
			<-release
			defer close(late)
		}
		return id, err
	}))
	id := result(r, spawn(r, flow, link{}))
	close(release)
	receive(r, "the first attempt's end", late)
	r.eventually("its transaction has ended", func() bool {
		return one[int](r, `select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`) == 0
	})
	if stored := one[int64](r, `select id from public.ledger`); stored != id {
		t.Errorf("result %d, booked %d", id, stored)
	}
}

// TestTxStepsLeaveAConnection: however many such steps there are, the client has a connection for others.
func TestTxStepsLeaveAConnection(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	config := pool.Config()
	config.MaxConns = 3
	small, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Close)
	r := rigOn(t, small, dsn, workflow.ClientOptions{})
	r.pool = pool
	step, flow, bound := booking()
	var now, most atomic.Int64
	r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		defer now.Add(-1)
		most.Store(max(most.Load(), now.Add(1)))
		// Needs a connection beside the transaction's.
		return 0, small.Ping(ctx)
	}))
	var tasks []workflow.Task[int64]
	for n := range 20 {
		tasks = append(tasks, spawn(r, flow, link{Chain: n}))
	}
	for _, task := range tasks {
		result(r, task)
	}
	if n := most.Load(); n > 2 {
		t.Errorf("%d transactions at once on a pool of 3", n)
	}
}

func TestTxStepsNeedAPool(t *testing.T) {
	t.Parallel()
	pool, _ := pgtest.Database(t)
	config := pool.Config()
	config.MaxConns = 1
	single, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer single.Close()
	client := workflow.NewClient(single, workflow.ClientOptions{})
	defer client.Close()
	step, _, bound := booking()
	registry := workflow.NewRegistry()
	if err := registry.Add(bound, step.BindTx(book)); err != nil {
		t.Fatal(err)
	}
	if _, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{}); err == nil || !strings.Contains(err.Error(), "pool_max_conns") {
		t.Errorf("a worker with tx steps on a pool of one connection: %v", err)
	}
}
