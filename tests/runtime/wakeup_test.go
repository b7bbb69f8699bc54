package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestPollingOnly does without notifications: nothing of the runtime listens, and everything is found by looking.
func TestPollingOnly(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	everyWayToWake(rigOn(t, pool, dsn, workflow.ClientOptions{NoListen: true}))
}

// TestNotifications does without polling: the next poll is an hour away, so whatever completes was notified.
func TestNotifications(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	everyWayToWake(rigOn(t, pool, dsn, workflow.ClientOptions{PollInterval: time.Hour}))
}

// everyWayToWake has an idle worker, and a client that waits for results, woken in every way there is.
func everyWayToWake(r *rig) {
	r.Helper()
	step := workflow.NewStep[string, string]("step", workflow.Attempts(2), workflow.Backoff(400*time.Millisecond, 400*time.Millisecond))
	wake := workflow.NewFlow[string, string]("wake", workflow.Attempts(2), workflow.Backoff(300*time.Millisecond, 300*time.Millisecond))
	w := r.work(workflow.WorkerOptions{},
		step.Bind(func(ctx context.Context, how string) (string, error) {
			if info, _ := workflow.InfoOf(ctx); info.Attempt == 1 && how == "step again" {
				return "", context.DeadlineExceeded
			}
			return how, nil
		}),
		wake.Bind(func(ctx workflow.Context, how string) (string, error) {
			switch how {
			case "event":
				_, err := signal.Await(ctx, how, 0)
				return how, err
			case "event in transaction":
				_, err := signal.Await(ctx, how, 0)
				return how, err
			case "timeout":
				_, _ = signal.Await(ctx, "never", 300*time.Millisecond)
			case "sleep":
				if err := workflow.Sleep(ctx, 400*time.Millisecond); err != nil {
					return "", err
				}
			}
			return step.Do(ctx, how)
		}))

	idle := func() {
		r.Helper()
		r.eventually("the worker is idle", func() bool { return one[int](r, `select count(*) from absurd.worker_queues where idle`) == 1 })
	}
	for _, how := range []string{"spawn", "event", "timeout", "sleep", "step again"} {
		idle()
		task := spawn(r, wake, how)
		if how == "event" {
			r.awaitState(task.ID, "sleeping")
			idle()
			r.emit(how, "")
		}
		if got := result(r, task); got != how {
			r.Errorf("woken by %s: result %q", how, got)
		}
	}

	idle()
	inTransaction := r.transaction(pgx.Tx.Commit, func(tx pgx.Tx) workflow.TaskID {
		task, err := wake.Spawn(r.ctx, workflow.Tx(tx), "event in transaction")
		if err != nil {
			r.Fatal(err)
		}
		return task.ID
	})
	r.awaitState(inTransaction, "sleeping")
	idle()
	r.transaction(pgx.Tx.Commit, func(tx pgx.Tx) workflow.TaskID {
		if err := signal.Emit(r.ctx, workflow.Tx(tx), named{Name: "event in transaction"}); err != nil {
			r.Fatal(err)
		}
		return inTransaction
	})
	result(r, attach(r, wake, inTransaction))

	// A task with a time to start, and the release of a run by a worker that stops.
	idle()
	start := time.Now().Add(300 * time.Millisecond)
	result(r, spawn(r, wake, "start at", workflow.WithStartAt(start)))
	if time.Now().Before(start) {
		r.Error("the task has ended before its time to start")
	}
	w.end()
	r.nothingLeft()
}
