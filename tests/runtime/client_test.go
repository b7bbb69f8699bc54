package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	type order struct{ ID, Note string }
	flow, other := workflow.NewFlow[order, string]("order"), workflow.NewFlow[order, string]("other")
	echo := func(_ workflow.Context, o order) (string, error) { return o.ID, nil }
	key := workflow.WithIdempotencyKey("k")

	first := spawn(r, flow, order{"1", "a"}, key)
	again := spawn(r, flow, order{"1", "a"}, key)
	if !first.Created || again.Created || again.ID != first.ID {
		t.Errorf("the key gave task %s (created: %v), then %s (created: %v)", first.ID, first.Created, again.ID, again.Created)
	}
	if _, err := flow.Spawn(r.ctx, r.client, order{"1", "b"}, key); !errors.Is(err, workflow.ErrKeyReused) {
		t.Errorf("the key with another input: %v, want ErrKeyReused", err)
	}
	if foreign := spawn(r, other, order{"2", "a"}, key); !foreign.Created || foreign.ID == first.ID {
		t.Error("another workflow's task was taken for a repeat")
	}

	r.work(workflow.WorkerOptions{}, flow.Bind(echo), other.Bind(echo))
	if got := result(r, first); got != "1" {
		t.Errorf("result %q", got)
	}
	// A finished task still counts.
	again = spawn(r, flow, order{"1", "a"}, key)
	if got := result(r, again); again.Created || again.ID != first.ID || got != "1" {
		t.Errorf("after the end the key gave task %s (created: %v) with result %q", again.ID, again.Created, got)
	}
	if n := one[int](r, `select count(*) from absurd.tasks`); n != 2 {
		t.Errorf("%d tasks, want 2", n)
	}
}

func TestResultErrors(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, how string) (string, error) {
		if how == "wait" {
			_, err := signal.Await(ctx, "never", 0)
			return "", err
		}
		return "", &declined{7}
	}))

	task := spawn(r, flow, "fail")
	failure := failed(r, task)
	if failure.Task != task.ID || failure.Type != "runtime.declined" || failure.Message != "declined with code 7" {
		t.Errorf("the task failed with %+v", failure)
	}

	r.exec(`select absurd.delete_task(queue_no, $1) from absurd.queues`, uuid(task.ID))
	if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrNotFound) || !strings.Contains(err.Error(), task.ID.String()) {
		t.Errorf("result of a task that is gone: %v", err)
	}

	waiting := spawn(r, flow, "wait")
	r.awaitState(waiting.ID, "sleeping")
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := waiting.Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("result within 20 ms: %v, want the context's error", err)
	}

	r.exec(`select absurd.cancel_task($1, $2)`, workflow.DefaultQueue, uuid(waiting.ID))
	if _, err := waiting.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) {
		t.Errorf("result of a cancelled task: %v", err)
	}
}

// TestCancelledWhileRunning: a task that is cancelled under a running step is given up, and nothing is written for it any more.
func TestCancelledWhileRunning(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("step")
	running, release := make(chan struct{}), make(chan struct{})
	ended := make(chan workflow.PassEnd, 1)
	r.work(workflow.WorkerOptions{Hooks: workflow.Hooks{PassEnded: func(i workflow.PassInfo) { ended <- i.End }}}, bound,
		step.Bind(func(context.Context, string) (string, error) {
			close(running)
			<-release
			return "too late", nil
		}))
	task := spawn(r, flow, "")
	receive(r, "the step", running)
	r.exec(`select absurd.cancel_task($1, $2)`, workflow.DefaultQueue, uuid(task.ID))
	close(release)
	if end := receive(r, "the end of the pass", ended); end != workflow.PassCancelled {
		t.Errorf("the pass ended as %q", end)
	}
	if records := r.records(task.ID); len(records) != 0 {
		t.Errorf("a cancelled task has got the records %q", records)
	}
}

func TestUnknownQueue(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow", workflow.Queue("nowhere"))
	event := workflow.NewEvent("event", func(string) string { return "k" }, workflow.Queue("nowhere"))

	_, spawned := flow.Spawn(r.ctx, r.client, "")
	emitted := event.Emit(r.ctx, r.client, "")
	ran := r.run(flow.Bind(func(workflow.Context, string) (string, error) { return "", nil }))
	for what, err := range map[string]error{
		"workflow: flow was not spawned on queue":            spawned,
		"workflow: event event:k was not emitted on":         emitted,
		"workflow: worker cannot start: db: queue \"nowhere": ran,
	} {
		if !errors.Is(err, db.ErrUnknownQueue) || !strings.HasPrefix(err.Error(), what) || !strings.HasSuffix(err.Error(), "create it first, with absurd.create_queue or Client.CreateQueue") {
			t.Errorf("%v, want %s…", err, what)
		}
	}
}

// run runs a worker that cannot start, and returns why.
func (r *rig) run(bindings ...workflow.Binding) error {
	r.Helper()
	registry := workflow.NewRegistry()
	if err := registry.Add(bindings...); err != nil {
		r.Fatal(err)
	}
	w, err := workflow.NewWorker(r.client, registry, workflow.WorkerOptions{})
	if err != nil {
		r.Fatal(err)
	}
	err = w.Run(r.ctx)
	if r.ctx.Err() != nil {
		r.Fatal("the worker has started")
	}
	return err
}

// TestSchemaErrors: a missing schema, one of a newer program, one of another project, and a login without rights.
func TestSchemaErrors(t *testing.T) {
	t.Parallel()
	empty, emptyDSN := pgtest.Empty(t)
	newer, newerDSN := pgtest.Database(t)
	if _, err := newer.Exec(t.Context(), `insert into absurd.migrations (version, name, checksum) values (9999, 'later', '')`); err != nil {
		t.Fatal(err)
	}
	flow := workflow.NewFlow[string, string]("flow")
	bound := flow.Bind(func(workflow.Context, string) (string, error) { return "", nil })
	client := func(pool *pgxpool.Pool, dsn string) *rig {
		c := workflow.NewClient(pool, workflow.ClientOptions{})
		t.Cleanup(c.Close)
		return &rig{T: t, pool: pool, dsn: dsn, client: c, ctx: t.Context()}
	}

	missing := client(empty, emptyDSN)
	if err := missing.run(bound); !errors.Is(err, db.ErrNotInstalled) || !strings.Contains(err.Error(), "absurd migrate up") {
		t.Errorf("worker without a schema: %v", err)
	}
	if _, err := flow.Spawn(missing.ctx, missing.client, ""); !errors.Is(err, db.ErrNotInstalled) || !strings.Contains(err.Error(), "absurd migrate up") {
		t.Errorf("spawn without a schema: %v", err)
	}
	if err := missing.client.CreateQueue(missing.ctx, "q"); !errors.Is(err, db.ErrNotInstalled) || !strings.Contains(err.Error(), "absurd migrate up") {
		t.Errorf("create a queue without a schema: %v", err)
	}
	if err := client(newer, newerDSN).run(bound); !errors.Is(err, db.ErrSchemaTooNew) || !strings.Contains(err.Error(), "deploy a newer version") {
		t.Errorf("worker with a newer schema: %v", err)
	}

	foreignPool, foreignDSN := pgtest.Empty(t)
	foreign := client(foreignPool, foreignDSN)
	foreign.exec(`create schema absurd`)
	foreign.exec(`create table absurd.queues (queue_name text)`)
	if err := foreign.run(bound); !errors.Is(err, db.ErrForeignSchema) {
		t.Errorf("worker with another project's schema: %v", err)
	}
	if _, err := flow.Spawn(foreign.ctx, foreign.client, ""); err == nil || !strings.Contains(err.Error(), "absurd migrate status") {
		t.Errorf("spawn with another project's schema: %v", err)
	}

	owner, ownerDSN := pgtest.Database(t)
	nobody := client(pgtest.Login(t, owner, "nobody", ""), ownerDSN)
	if _, err := flow.Spawn(nobody.ctx, nobody.client, ""); err == nil || !strings.Contains(err.Error(), "list_roles") {
		t.Errorf("spawn without rights: %v", err)
	}
}
