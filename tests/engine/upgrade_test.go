package engine

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// migrationHeads finds where a migration begins in the script of all.
var migrationHeads = regexp.MustCompile(`(?m)^-- ([0-9]{4})_(\w+)\n\n`)

// What a schema of every earlier number can hold is still there, and works, after an upgrade to the last. On a version of PostgreSQL that is
// asked for, beside all tests on the one that is installed, every fourth number shows whether upgrades work there.
func TestUpgradeFromEveryNumber(t *testing.T) {
	t.Parallel()
	all, err := db.PlanAll()
	if err != nil {
		t.Fatal(err)
	}
	heads := migrationHeads.FindAllStringSubmatchIndex(all, -1)
	if len(heads) < 25 {
		t.Fatalf("the script has only %d migrations", len(heads))
	}
	every := 1
	if os.Getenv("ABSURD_TEST_POSTGRES") != "" {
		every = 4
	}
	for i, head := range heads[:len(heads)-1] {
		if i%every != 0 {
			continue
		}
		t.Run(all[head[2]:head[5]], func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t)
			exec(t, pool, all[:heads[i+1][0]])
			held := fillOldSchema(t, pool)
			version, _ := strconv.Atoi(all[head[2]:head[3]])
			if status := readStatus(t, pool); status.State != db.StateTooOld || status.Version != version {
				t.Fatalf("status %+v", status)
			}
			if err := db.Install(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
			if status := readStatus(t, pool); status.State != db.StateCurrent {
				t.Fatalf("status after the upgrade: %+v", status)
			}
			useUpgraded(t, pool, held)
		})
	}
}

// held is what fillOldSchema could put into an old schema.
type held struct{ queue, partitioned, tasks, checkpoint, event, fenced bool }

// fillOldSchema uses what functions there are. One that is not there yet, or needs another that is not, is passed over.
func fillOldSchema(t *testing.T, pool *pgxpool.Pool) held {
	t.Helper()
	try := func(sql string) bool {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "42883" || pg.Code == "42P01" || pg.Code == "42703") {
			return false
		}
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return true
	}
	var h held
	if h.queue = try(`select absurd.create_queue('q')`); !h.queue {
		return h
	}
	h.partitioned = try(`select absurd.create_queue('weekly', 'partitioned')`)
	h.tasks = try(`select absurd.spawn_task('q', 'old', '{"n": 1}', '{"idempotency_key": "k"}'); select absurd.spawn_task('q', 'old', '{"n": 2}')`)
	if h.tasks && try(`select absurd.claim_task('q', 'w', 3000, 1)`) {
		h.checkpoint = try(`select absurd.set_task_checkpoint_state('q', task_id, 'step', '7', task_id) from absurd.tasks where state = 'r'`)
		h.event = try(`select absurd.await_event('q', task_id, task_id, 'wait', 'go') from absurd.tasks where state = 'r'`)
	}
	h.fenced = try(`select absurd.spawn_tasks('q', '{fenced}', '{1}', null)`)
	if h.partitioned {
		try(`select absurd.spawn_task('weekly', 'old', '{"n": 3}')`)
	}
	return h
}

// useUpgraded looks for what fillOldSchema has put there, and takes it to its end.
func useUpgraded(t *testing.T, pool *pgxpool.Pool, h held) {
	t.Helper()
	exec(t, pool, `select absurd.create_queue('q'); select absurd.spawn_task('q', 'new', '{}')`)
	if h.tasks {
		if n := one[int](t, pool, `select count(*)::int from absurd.t_q where task_name = 'old' and params ? 'n'`); n != 2 {
			t.Errorf("%d old tasks, want 2", n)
		}
		if created := one[bool](t, pool, `select created from absurd.spawn_task('q', 'old', '{}', '{"idempotency_key": "k"}')`); created {
			t.Error("the idempotency key was forgotten")
		}
	}
	if h.checkpoint {
		if state := one[string](t, pool, `select state::text from absurd.c_q where checkpoint_name = 'step'`); state != "7" {
			t.Errorf("the old checkpoint is %s", state)
		}
	}
	if h.event {
		exec(t, pool, `select absurd.emit_event('q', 'go', '1')`)
	} else {
		exec(t, pool, `update absurd.tasks set claim_expires_at = now() where state = 'r'; update absurd.timers set due_at = now() where kind = 'l'`)
	}
	queues := []string{"q"}
	if h.partitioned {
		queues = append(queues, "weekly")
	}
	deadline := time.Now().Add(patience)
	for _, queue := range queues {
		open := `select count(*)::int from absurd.t_` + queue + ` where state not in ('completed', 'failed')`
		for one[int](t, pool, open) > 0 {
			if time.Now().After(deadline) {
				t.Fatalf("queue %s: open tasks that nobody can claim: %v", queue, column[string](t, pool, `select t::text from absurd.t_`+queue+` t`))
			}
			exec(t, pool, strings.ReplaceAll(`select absurd.complete_run('Q', run_id) from absurd.claim_task('Q', 'w', 30, 10)`, "Q", queue))
		}
	}
	w := newWorker(t, pool)
	spawn(t, pool, "")
	w.mustCommit(pass{task: w.claimOne(), action: "complete", payload: `1`, records: []record{value("a", `1`)}})
}

// A migration that waits for a table that others use gives up, changes nothing, and says what to do; the next attempt goes on.
func TestInstallGivesUpOnALockedTable(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `delete from absurd.migrations where version = (select max(version) from absurd.migrations)`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, `lock table absurd.tenant_roles, absurd.workers, absurd.tasks in access exclusive mode`)
	exec(t, tx, `lock table pg_catalog.pg_policy in access exclusive mode`)
	err = db.Install(t.Context(), pool)
	if err == nil || !strings.Contains(err.Error(), "gave up; nothing was changed: try again") {
		t.Errorf("install beside a locked table: %v", err)
	}
	if status := readStatus(t, pool); status.State != db.StateTooOld {
		t.Errorf("status %v", status.State)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(t.Context(), pool); err != nil {
		t.Errorf("install afterwards: %v", err)
	}
}

// A schema that was made by the Absurd project's own script, with its tables and functions but none of ours, is left alone, whatever of it
// there is.
func TestForeignSchemasAreRecognised(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]string{
		"whole": `create schema absurd; create table absurd.queues (queue_name text primary key, created_at timestamptz);
			create table absurd.t_jobs (task_id uuid primary key, state text); create table absurd.r_jobs (run_id uuid primary key);
			create function absurd.spawn_task(text, text, jsonb, jsonb) returns uuid language sql as 'select null::uuid'; insert into absurd.queues values ('jobs')`,
		"functions alone": `create schema absurd; create function absurd.get_schema_version() returns text language sql as $$ select 'main' $$`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t)
			exec(t, pool, setup)
			before := one[int](t, pool, `select (select count(*) from pg_class where relnamespace = 'absurd'::regnamespace)::int + (select count(*) from pg_proc where pronamespace = 'absurd'::regnamespace)::int`)
			err := db.Install(t.Context(), pool)
			if !errors.Is(err, db.ErrForeignSchema) || !strings.Contains(err.Error(), "left alone") || !strings.Contains(err.Error(), "use another database") {
				t.Errorf("install: %v", err)
			}
			all, err := db.PlanAll()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(), all, pgx.QueryExecModeSimpleProtocol); err == nil || !strings.Contains(err.Error(), "was not made by this project") {
				t.Errorf("the script of a plan: %v", err)
			}
			if after := one[int](t, pool, `select (select count(*) from pg_class where relnamespace = 'absurd'::regnamespace)::int + (select count(*) from pg_proc where pronamespace = 'absurd'::regnamespace)::int`); after != before {
				t.Errorf("%d objects, and %d before", after, before)
			}
		})
	}
}
