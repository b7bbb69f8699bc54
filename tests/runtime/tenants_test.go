package runtime

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestTenants: clients and workers of three tenants share a queue, each under a login with no more rights than it needs, and one client may
// use two tenants and has chosen one. A worker runs the tasks of its tenant, and an event wakes those of its tenant.
func TestTenants(t *testing.T) {
	t.Parallel()
	owner, dsn := pgtest.Empty(t)
	if err := db.Install(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	r := rigOn(t, owner, dsn, workflow.ClientOptions{})
	several := pgtest.Login(t, owner, "several", "client", "acme", "bolt")
	config := several.Config()
	config.ConnConfig.RuntimeParams["absurd.tenant"] = "bolt"
	chosen, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chosen.Close)

	type tenant struct {
		*rig
		task workflow.Task[string]
	}
	greet := workflow.NewFlow[string, string]("greet")
	step := workflow.NewStep[string, string]("word")
	tenants := map[string]*tenant{}
	for name, client := range map[string]*pgxpool.Pool{"acme": pgtest.Login(t, owner, "client", "client", "acme"), "bolt": chosen, "": pgtest.Login(t, owner, "plain", "client")} {
		worker := pgtest.Login(t, owner, "worker"+name, "worker")
		if name != "" {
			if err := db.New().AllowTenant(t.Context(), owner, db.AllowTenantParams{Role: worker.Config().ConnConfig.User, Tenant: name}); err != nil {
				t.Fatal(err)
			}
		}
		x := &tenant{rig: guestRig(t, client, dsn, workflow.ClientOptions{})}
		guestRig(t, worker, dsn, workflow.ClientOptions{}).work(workflow.WorkerOptions{},
			step.Bind(func(_ context.Context, in string) (string, error) { return in + " by " + name, nil }),
			greet.Bind(func(ctx workflow.Context, in string) (string, error) {
				word, err := step.Do(ctx, in)
				if err != nil {
					return "", err
				}
				n, err := signal.Await(ctx, "same", 0)
				return word + ", " + n.Value, err
			}))
		x.task = spawn(x.rig, greet, "task of "+name)
		tenants[name] = x
	}
	for name, x := range tenants {
		x.eventually("it waits", func() bool {
			return one[int](r, `select count(*) from absurd.waits where tenant = $1`, name) == 1
		})
	}
	for name, x := range tenants {
		x.emit("same", "event of "+name)
	}
	for name, x := range tenants {
		if got, want := result(x.rig, x.task), "task of "+name+" by "+name+", event of "+name; got != want {
			t.Errorf("tenant %q: result %q, want %q", name, got, want)
		}
	}
	if _, err := greet.Attach(t.Context(), tenants["acme"].client, tenants["bolt"].task.ID); err == nil {
		t.Error("a client has found another tenant's task")
	}
}
