package engine

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// What docs/tenants.md tells the reader to run works, and has the effect that it promises.
func TestTenantsManual(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	database := pool.Config().ConnConfig.Database
	manual, err := os.ReadFile("../../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(manual), -1) {
		script.WriteString(block[1])
	}
	logins := regexp.MustCompile(`(?m)^create role (\w+) login`).FindAllStringSubmatch(script.String(), -1)
	if len(logins) != 5 {
		t.Fatalf("the manual makes %d logins", len(logins))
	}
	// Roles belong to the cluster, so the test has names of its own.
	text := regexp.MustCompile(`(absurd_\w+)_shop`).ReplaceAllString(script.String(), "${1}_"+database)
	for _, login := range logins {
		text = regexp.MustCompile(`\b`+login[1]+`\b`).ReplaceAllString(text, login[1]+"_"+database)
		t.Cleanup(func() {
			if _, err := pool.Exec(context.Background(), `drop owned by `+login[1]+`_`+database+`; drop role `+login[1]+`_`+database, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Error(err)
			}
		})
	}
	exec(t, pool, text)

	as := func(login string) *pgx.Conn {
		config := pool.Config().ConnConfig.Copy()
		config.User = login + "_" + database
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	const spawn = `select task_id::text from absurd.spawn_tasks('orders', '{t}', '{1}', null)`
	acme, bolt, several := as("acme_api"), as("bolt_api"), as("shop_api")
	task := one[string](t, acme, spawn)
	one[string](t, bolt, spawn)
	exec(t, several, `set absurd.tenant = 'bolt'`)
	one[string](t, several, spawn)
	exec(t, several, `reset absurd.tenant`)
	if _, err := several.Exec(t.Context(), spawn); sqlState(err) != "42501" {
		t.Errorf("a login of two tenants spawned for neither: %v", err)
	}
	if got := column[string](t, bolt, `select state from absurd.get_outcome('orders', $1)`, task); len(got) != 0 {
		t.Errorf("another tenant's task is %v", got)
	}
	if got := column[string](t, as("shop_ops"), `select tenant from absurd.list_tasks('orders') order by 1`); !slices.Equal(got, []string{"acme", "acme", "bolt", "bolt"}) {
		t.Errorf("the operator sees tasks of %v", got)
	}
	workers := as("shop_workers")
	if got := column[string](t, workers, `select task_id::text from absurd.claim_task('orders', 'w', 60, 10)`); len(got) != 4 {
		t.Errorf("a worker of all tenants claimed %d tasks", len(got))
	}
}

// Each tenant has its own idempotency keys and events, and a bound worker takes its own tasks, also from behind many others.
func TestTenantsShareAQueue(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	acme := pgtest.Login(t, pool, "acme", "client worker viewer", "acme")
	bolt := pgtest.Login(t, pool, "bolt", "client worker viewer", "bolt")
	plain := pgtest.Login(t, pool, "plain", "client worker viewer")
	for range 3 {
		exec(t, bolt, `select absurd.spawn_tasks('q', array_fill('t'::text, array[400]), array_fill('1'::jsonb, array[400]), null)`)
	}
	ids := map[string]bool{}
	for _, login := range []*pgxpool.Pool{acme, bolt, plain, acme} {
		ids[spawn(t, login, `{"idempotency_key": "same"}`)[0].String()] = true
	}
	if len(ids) != 3 {
		t.Errorf("three tenants with one key have %d tasks", len(ids))
	}
	for _, login := range []*pgxpool.Pool{acme, plain} {
		w := newWorker(t, login)
		task := w.claimOne()
		task.Token++
		if answers := w.commit(pass{task: task, action: "complete"}); answers[0] != "lost" {
			t.Errorf("a wrong token answered %s", answers[0])
		}
		task.Token--
		p := pass{task: task, action: "suspend", waits: []wait{{name: "w", event: "e"}}}
		w.mustCommit(p)
	}
	emit(t, bolt, "e", `1`)
	if got := column[string](t, pool, `select tenant from absurd.waits order by 1`); len(got) != 2 {
		t.Errorf("an emit of bolt left waits of %q", got)
	}
	emit(t, acme, "e", `2`)
	if got := one[string](t, acme, `select state from absurd.t_q where idempotency_key = 'same'`); got != "pending" {
		t.Errorf("the task of acme is %s", got)
	}
	if got := one[string](t, plain, `select state from absurd.t_q where idempotency_key = 'same'`); got != "sleeping" {
		t.Errorf("the task without a tenant is %s", got)
	}

	// A worker belongs to its login, and a run to its worker.
	foreign := newWorker(t, acme)
	foreign.pool = bolt
	if _, err := foreign.q.ClaimTasks(t.Context(), bolt, db.ClaimTasksParams{Queue: "q", Worker: foreign.id, MaxTasks: 1, NameNos: foreign.names}); sqlState(err) != "AB008" {
		t.Errorf("another login's worker claimed: %v", err)
	}
	if back := one[int](t, bolt, `select absurd.retire_worker($1)`, foreign.id); back != 0 {
		t.Errorf("another login's worker was retired with %d runs", back)
	}
	if got := one[int](t, pool, `select count(*) from absurd.workers where worker_id = $1`, foreign.id); got != 1 {
		t.Error("another login's worker is gone")
	}
	checkInvariants(t, pool)
	if got := one[int](t, pool, `
		select count(*) from absurd.ready r join absurd.tasks t using (queue_no, task_id) where coalesce(r.tenant, '') <> t.tenant`); got != 0 {
		t.Errorf("%d ready rows have the tenant of another task", got)
	}
}

// The clock can be moved by the owner and by testers; for others it goes on.
func TestFakeClockIsForTesters(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	tester := pgtest.Login(t, pool, "tester", "tester client")
	client := pgtest.Login(t, pool, "client", "client worker operator viewer", "*")
	const moved = `select absurd.current_time() = '2030-01-01T00:00:00Z'`
	for name, login := range map[string]*pgxpool.Pool{"owner": pool, "tester": tester, "client": client} {
		conn, err := login.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, `set absurd.fake_now = '2030-01-01T00:00:00Z'`)
		if got := one[bool](t, conn, moved); got != (name != "client") {
			t.Errorf("%s moved the clock: %v", name, got)
		}
		if name == "client" {
			id := one[string](t, conn, `select task_id::text from absurd.spawn_task('q', 't', '1')`)
			if got := one[bool](t, pool, `select enqueue_at < now() + interval '1 minute' from absurd.tasks where task_id = $1`, id); !got {
				t.Error("a client spawned in the future")
			}
		}
		conn.Release()
	}
}

// An owner without the right to make roles is told in words what was not made, and by whom it can be.
func TestInstallSaysWhichRolesAreMissing(t *testing.T) {
	t.Parallel()
	pool := newDatabase(t)
	owner := pgtest.Login(t, pool, "owner", "")
	exec(t, pool, `do $$ begin execute format('grant create on database %I to %I', current_database(), '`+owner.Config().ConnConfig.User+`'); end $$`)
	said := hear(t, owner)
	if err := db.Install(t.Context(), said.conn); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(said.notices, "\n"); !strings.Contains(text, "may not create roles") || !strings.Contains(text, `create role absurd_worker_`) {
		t.Errorf("install said %q", text)
	}
	if status := readStatus(t, pool); status.State != db.StateCurrent {
		t.Errorf("state %v", status.State)
	}
}

// Two databases of one cluster have roles of their own.
func TestRolesOfTwoDatabases(t *testing.T) {
	t.Parallel()
	one, two := newRoles(t), newRoles(t)
	worker := pgtest.Login(t, one, "worker", "worker")
	config := two.Config().ConnConfig.Copy()
	config.User = worker.Config().ConnConfig.User
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `select absurd.register_worker('w', 1000)`); sqlState(err) != "42501" {
		t.Errorf("a worker of one database works in another: %v", err)
	}
}

// TestForTenant: each call acts for the tenant, and leaves nothing behind in the session, even if it was refused.
func TestForTenant(t *testing.T) {
	t.Parallel()
	pool, _ := pgtest.Database(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	acme := db.ForTenant(conn, "acme")
	mine := func(conn db.DBTX) []string {
		t.Helper()
		tenants, err := db.New().MyTenants(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		return tenants
	}
	for range 2 {
		if got := mine(acme); !slices.Equal(got, []string{"acme"}) {
			t.Errorf("tenants %q, want acme", got)
		}
		if got := mine(conn); got != nil {
			t.Errorf("the session has kept the tenants %q", got)
		}
		if err := db.New().CreateQueue(t.Context(), acme, "new"); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("making a queue for one tenant: %v, want 42501", err)
		}
		if _, err := db.New().ListTasks(t.Context(), acme, db.ListTasksParams{Queue: "nowhere"}); !errors.Is(db.Err(err), db.ErrUnknownQueue) {
			t.Errorf("an unknown queue: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.New().MyTenants(ctx, acme); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// A backlog of other tenants, however long, hides nothing for good from a worker that may take only what has no tenant.
func TestNoBacklogHidesATask(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	bolt := pgtest.Login(t, pool, "bolt", "client worker viewer", "bolt")
	plain := pgtest.Login(t, pool, "plain", "client worker viewer")
	exec(t, bolt, `select count(*) from absurd.spawn_tasks('q', array_fill('t'::text, array[10001]), array_fill('1'::jsonb, array[10001]), null)`)
	behind := spawn(t, plain, "")[0]
	w := newWorker(t, plain)
	if claimed := w.claim(5); len(claimed) != 0 {
		t.Fatalf("claimed %v at the first look, which ends before", claimed)
	}
	if task := w.claimOne(); task.TaskID != behind {
		t.Errorf("claimed %v", task)
	}
	first := spawn(t, plain, `{"priority": -1}`)[0]
	if task := w.claimOne(); task.TaskID != first {
		t.Errorf("claimed %v, and not what is at the front", task)
	}
	if claimed := w.claim(5); len(claimed) != 0 {
		t.Errorf("claimed %v, which are others' or twice there", claimed)
	}
}
