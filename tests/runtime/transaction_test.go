package runtime

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

func TestTransactionSpawn(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[string, string]("greet")
	flow := workflow.NewFlow[string, string]("hello")
	r.work(workflow.WorkerOptions{},
		step.Bind(func(_ context.Context, name string) (string, error) { return "hello " + name, nil }),
		flow.Bind(func(ctx workflow.Context, name string) (string, error) { return step.Do(ctx, name) }))

	spawnIn := func(tx pgx.Tx) workflow.TaskID {
		task, err := flow.Spawn(r.ctx, workflow.Tx(tx), "you", workflow.WithIdempotencyKey("k"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := task.Result(r.ctx); err == nil || !strings.Contains(err.Error(), "use Attach after the commit") {
			t.Errorf("result of a task that is not committed: %v", err)
		}
		return task.ID
	}

	rolledBack := r.transaction(pgx.Tx.Rollback, spawnIn)
	for _, table := range []string{"tasks", "ready", "runs", "timers", "idempotency_keys"} {
		if n := one[int](r, `select count(*) from absurd.`+table); n != 0 {
			t.Errorf("a spawn that was rolled back has left %d rows in %s", n, table)
		}
	}
	committed := r.transaction(pgx.Tx.Commit, spawnIn)
	if got := result(r, attach(r, flow, committed)); got != "hello you" {
		t.Errorf("result %q", got)
	}
	if rolledBack == committed {
		t.Errorf("the task %s was rolled back and is there again", committed)
	}
}

func TestTransactionEmit(t *testing.T) {
	r := newRig(t)
	answer := workflow.NewEvent("answer", func(string) string { return "k" })
	flow := workflow.NewFlow[int, string]("ask")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
		return answer.Await(ctx, "k", time.Hour)
	}))
	task := spawn(r, flow, 0)
	r.awaitState(task.ID, "sleeping")

	emitIn := func(payload string) func(pgx.Tx) workflow.TaskID {
		return func(tx pgx.Tx) (none workflow.TaskID) {
			if err := answer.Emit(r.ctx, workflow.Tx(tx), payload); err != nil {
				t.Fatal(err)
			}
			return none
		}
	}
	r.transaction(pgx.Tx.Rollback, emitIn("rolled back"))
	if state, _ := r.state(task.ID); state != "sleeping" {
		t.Errorf("after a rolled back emit the task is %s", state)
	}
	r.transaction(pgx.Tx.Commit, emitIn("committed"))
	if got := result(r, task); got != "committed" {
		t.Errorf("the workflow got the event %q", got)
	}
}

// transaction runs f in a transaction and ends that.
func (r *rig) transaction(end func(pgx.Tx, context.Context) error, f func(pgx.Tx) workflow.TaskID) workflow.TaskID {
	r.Helper()
	tx, err := r.pool.Begin(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	defer tx.Rollback(r.ctx) // after end it does nothing
	id := f(tx)
	if err := end(tx, r.ctx); err != nil {
		r.Fatal(err)
	}
	return id
}
