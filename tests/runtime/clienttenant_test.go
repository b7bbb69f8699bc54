package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestClientTenant: clients of two tenants on one pool, whose role may use all, see their own tasks alone, and so do their workers.
func TestClientTenant(t *testing.T) {
	r := newRig(t)
	greet := workflow.NewFlow[string, string]("greet")
	rigs := map[string]*rig{}
	for _, name := range []string{"acme", "bolt"} {
		x := rigOn(t, r.pool, r.dsn, workflow.ClientOptions{Tenant: name})
		x.work(workflow.WorkerOptions{}, greet.Bind(func(ctx workflow.Context, in string) (string, error) {
			n, err := signal.Await(ctx, "same", 0)
			return in + " by " + name + ", " + n.Value, err
		}))
		rigs[name] = x
	}
	tasks := map[string]workflow.Task[string]{}
	for name, x := range rigs {
		tasks[name] = spawn(x, greet, "task of "+name, workflow.WithIdempotencyKey("same"))
		x.awaitState(tasks[name].ID, "sleeping")
		x.emit("same", "event of "+name)
	}
	for name, x := range rigs {
		if got, want := result(x, tasks[name]), "task of "+name+" by "+name+", event of "+name; got != want {
			t.Errorf("result %q, want %q", got, want)
		}
	}
	if _, err := greet.Attach(r.ctx, rigs["acme"].client, tasks["bolt"].ID); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("another tenant's task: %v, want %v", err, workflow.ErrNotFound)
	}
	if _, err := greet.Spawn(r.ctx, rigs["acme"].client, "", workflow.WithTenant("bolt")); err == nil {
		t.Error("a client of one tenant has spawned for another")
	}
	if n := one[int](r, `select count(*) from absurd.tasks where tenant = ''`); n != 0 {
		t.Errorf("%d tasks are nobody's", n)
	}
}

// TestWorkerTenant: a worker of one tenant leaves the tasks of others alone, also where its client may see all.
func TestWorkerTenant(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	var tasks []workflow.Task[string]
	for _, tenant := range []string{"", "bolt", "acme"} {
		tasks = append(tasks, spawn(r, flow, tenant, workflow.WithTenant(tenant)))
	}
	bound := func(by string) workflow.Binding {
		return flow.Bind(func(_ workflow.Context, in string) (string, error) { return in + " by " + by, nil })
	}
	acme := r.work(workflow.WorkerOptions{Tenant: "acme"}, bound("acme"))
	if got := result(r, tasks[2]); got != "acme by acme" {
		t.Errorf("result %q", got)
	}
	acme.end()
	r.work(workflow.WorkerOptions{}, bound("all"))
	for _, task := range tasks[:2] {
		if got := result(r, task); !strings.HasSuffix(got, " by all") {
			t.Errorf("result %q", got)
		}
	}
}

// TestStepTenant: what a step spawns, emits and asks for is its task's tenant's, though worker and client serve all of them.
func TestStepTenant(t *testing.T) {
	r := newRig(t)
	child := workflow.NewFlow[string, string]("child")
	parent := workflow.NewFlow[string, string]("parent")
	stranger := workflow.NewFlow[workflow.None, string]("stranger")
	step := workflow.NewStep[string, string]("step")
	other := spawn(r, stranger, workflow.None{}, workflow.WithTenant("bolt"))
	r.work(workflow.WorkerOptions{},
		child.Bind(func(ctx workflow.Context, in string) (string, error) {
			n, err := signal.Await(ctx, "direct", 0)
			if err != nil {
				return "", err
			}
			m, err := signal.Await(ctx, "in a transaction", 0)
			return n.Value + ", " + m.Value, err
		}),
		stranger.Bind(func(ctx workflow.Context, _ workflow.None) (string, error) {
			n, err := signal.Await(ctx, "direct", 0)
			return n.Value, err
		}),
		step.Bind(func(ctx context.Context, in string) (string, error) {
			if _, err := stranger.Attach(ctx, r.client, other.ID); (in == "") != (err == nil) || err != nil && !errors.Is(err, workflow.ErrNotFound) {
				t.Errorf("another tenant's task: %v, want %v", err, workflow.ErrNotFound)
			}
			if err := signal.Emit(ctx, r.client, named{Name: "direct", Value: "for " + in}); err != nil {
				return "", err
			}
			var task workflow.Task[string]
			err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) (err error) {
				if err := signal.Emit(ctx, workflow.Tx(tx), named{Name: "in a transaction", Value: "too"}); err != nil {
					return err
				}
				task, err = child.Spawn(ctx, r.client.Tx(tx), in)
				return err
			})
			if err != nil {
				return "", err
			}
			again, err := child.Spawn(ctx, r.client, in)
			if err != nil {
				return "", err
			}
			if _, err := again.Result(ctx); err != nil {
				return "", err
			}
			return task.Result(ctx)
		}),
		parent.Bind(func(ctx workflow.Context, in string) (string, error) { return step.Do(ctx, in) }))
	for _, name := range []string{"acme", ""} {
		task := spawn(r, parent, name, workflow.WithTenant(name))
		if got, want := result(r, task), "for "+name+", too"; got != want {
			t.Errorf("result %q, want %q", got, want)
		}
		if n := one[int](r, `select count(*) from absurd.tasks where tenant = $1`, name); n != 3 {
			t.Errorf("%d tasks of %q, want the parent and two that its step spawned", n, name)
		}
		if n := one[int](r, `select count(*) from absurd.events where tenant = $1 and payload is not null`, name); n != 2 {
			t.Errorf("%d events of %q, want 2", n, name)
		}
	}
	r.awaitState(other.ID, "sleeping")
}
