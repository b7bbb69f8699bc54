package runtime

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestTxStepHangsInItsRerun: the time of an attempt is over also where the function, run again because its transaction has lost at the
// commit, ignores its context.
func TestTxStepHangsInItsRerun(t *testing.T) {
	r := newRig(t)
	r.exec(ledgerTable)
	r.exec(`create table public.loses (n integer)`)
	r.exec(`create function public.lose() returns trigger language plpgsql as $$
		begin raise exception 'lost' using errcode = '40001'; end $$`)
	r.exec(`create constraint trigger lose after insert on public.loses deferrable initially deferred for each row execute function public.lose()`)
	step, flow, bound := booking(workflow.Attempts(1), workflow.Timeout(3*time.Second)) // the first run needs some of it
	var runs atomic.Int64
	release := make(chan struct{})
	defer close(release)
	r.work(workflow.WorkerOptions{}, bound, step.BindTx(func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
		id, err := book(ctx, tx, l)
		if runs.Add(1) == 1 && err == nil {
			_, err = tx.Exec(ctx, `insert into public.loses values (0)`)
			return id, err
		}
		<-release
		return id, err
	}))
	if failure := failed(r, spawn(r, flow, link{})); !strings.Contains(failure.Message, "timeout") {
		t.Errorf("the task failed with %q", failure.Message)
	}
	if runs, entries := runs.Load(), r.entries(); runs != 2 || entries != 0 {
		t.Errorf("%d runs and %d entries, want 2 and none", runs, entries)
	}
}

// TestTxStepThatHangsKeepsNoLocks: what a given-up function has locked is free for who does its work after it, although it does not
// return, and it cannot write any more.
func TestTxStepThatHangsKeepsNoLocks(t *testing.T) {
	for name, giveUp := range map[string]func(*rig, *worker, workflow.Task[int64]){
		"timeout": func(*rig, *worker, workflow.Task[int64]) {},
		"lost lease": func(r *rig, _ *worker, _ workflow.Task[int64]) {
			r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 hour'`)
			r.exec(`select absurd.sweep(100)`)
		},
		"shutdown": func(_ *rig, w *worker, _ workflow.Task[int64]) { w.end() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.exec(ledgerTable)
			options := []workflow.StepOption{workflow.Attempts(2), quick}
			if name == "timeout" {
				options = append(options, workflow.Timeout(5*time.Second)) // the second attempt needs some of that, too
			}
			step, flow, bound := booking(options...)
			running, release, late := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			free := sync.OnceFunc(func() { close(release) })
			defer free()
			var calls atomic.Int64
			run := func(ctx context.Context, tx pgx.Tx, l link) (int64, error) {
				first := calls.Add(1) == 1
				if _, err := tx.Exec(ctx, `lock table public.ledger in exclusive mode`); err != nil {
					return 0, err
				}
				if first {
					close(running)
					<-release
					_, err := tx.Exec(context.WithoutCancel(ctx), `select 1`)
					late <- err
				}
				return book(ctx, tx, l)
			}
			w := r.work(workflow.WorkerOptions{Lease: 6 * time.Second, ShutdownTimeout: time.Second}, bound, step.BindTx(run))
			task := spawn(r, flow, link{})
			receive(r, "the step", running)
			giveUp(r, w, task)
			if name != "timeout" {
				r.work(workflow.WorkerOptions{}, bound, step.BindTx(run))
			}
			id := result(r, task)
			free()
			if err := receive(r, "the end of the first call", late); err == nil {
				t.Error("it can still use its transaction")
			}
			if stored := one[int64](r, `select id from public.ledger`); stored != id {
				t.Errorf("result %d, booked %d", id, stored)
			}
		})
	}
}
