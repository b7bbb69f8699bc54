package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

func TestInstallFromManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	pool := newDatabase(t)
	var group sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		group.Go(func() {
			conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
			if err == nil {
				defer conn.Close(context.WithoutCancel(t.Context()))
				err = db.Install(t.Context(), conn)
			}
			errs[i] = err
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	status := readStatus(t, pool)
	if status.State != db.StateCurrent || status.Version != status.Latest || status.Pending != nil {
		t.Fatalf("status after install: %+v", status)
	}
	if err := status.Err(); err != nil {
		t.Fatal(err)
	}
}

func readStatus(t *testing.T, pool *pgxpool.Pool) db.Status {
	t.Helper()
	status, err := db.ReadStatus(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// lastMigration returns the name of the last migration, and a script that undoes it: it drops the functions that the migration makes.
func lastMigration(t *testing.T) (name, undo string) {
	t.Helper()
	files, err := filepath.Glob("../../db/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	last := files[len(files)-1]
	text, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range regexp.MustCompile(`(?m)^create function (absurd\.\w+)`).FindAllStringSubmatch(string(text), -1) {
		undo += "drop function " + made[1] + "; "
	}
	return strings.TrimSuffix(filepath.Base(last), ".sql"), undo + `delete from absurd.migrations where version = (select max(version) from absurd.migrations)`
}

func TestStatusOfEveryState(t *testing.T) {
	t.Parallel()
	const installed = "installed"
	last, undo := lastMigration(t)
	tests := []struct {
		name, setup string
		state       db.State
		sentinel    error
		text        string // part of the error
		installs    bool   // Install makes it current
	}{
		{name: "empty database", state: db.StateNotInstalled, sentinel: db.ErrNotInstalled, text: "absurd migrate up", installs: true},
		{name: "empty schema", setup: `create schema absurd`, state: db.StateNotInstalled, sentinel: db.ErrNotInstalled, installs: true},
		{name: "foreign table", setup: `create schema absurd; create table absurd.queues (queue_name text)`,
			state: db.StateForeign, sentinel: db.ErrForeignSchema, text: "absurd.migrations"},
		{name: "foreign function", setup: `create schema absurd; create function absurd.f() returns int language sql as 'select 1'`,
			state: db.StateForeign, sentinel: db.ErrForeignSchema},
		{name: "last migration missing", setup: installed + "; " + undo, state: db.StateTooOld, sentinel: db.ErrSchemaTooOld, text: last, installs: true},
		{name: "newer", setup: installed + `; insert into absurd.migrations values (9000, 'future', 'x')`,
			state: db.StateTooNew, sentinel: db.ErrSchemaTooNew, text: "version 9000"},
		{name: "changed", setup: installed + `; update absurd.migrations set checksum = 'x' where version = 1`,
			state: db.StateChanged, sentinel: db.ErrSchemaChanged, text: "0001_schema"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t)
			setup, ok := strings.CutPrefix(test.setup, installed)
			if ok {
				if err := db.Install(t.Context(), pool); err != nil {
					t.Fatal(err)
				}
			}
			exec(t, pool, strings.TrimPrefix(setup, ";"))
			status := readStatus(t, pool)
			if status.State != test.state {
				t.Fatalf("state %v, want %v", status.State, test.state)
			}
			err := status.Err()
			if !errors.Is(err, test.sentinel) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("error %q, want %v with %q in it", err, test.sentinel, test.text)
			}
			var schema *db.SchemaError
			if !errors.As(err, &schema) || schema.Status.State != test.state {
				t.Fatalf("error %#v is no SchemaError of state %v", err, test.state)
			}
			err = db.Install(t.Context(), pool)
			if test.installs {
				if err != nil || readStatus(t, pool).State != db.StateCurrent {
					t.Fatalf("install: %v, then %v", err, readStatus(t, pool).State)
				}
			} else if !errors.Is(err, test.sentinel) {
				t.Fatalf("install: %v, want %v", err, test.sentinel)
			}
		})
	}
}

func TestInstallIsAtomic(t *testing.T) {
	t.Parallel()
	pool := newDatabase(t)
	// A role that may not create a schema fails in the first migration, and nothing stays.
	exec(t, pool, `revoke create on database `+pool.Config().ConnConfig.Database+` from public`)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec(t, conn, `set role pg_monitor`)
	if err := db.Install(t.Context(), conn.Conn()); err == nil || !strings.Contains(err.Error(), "0001_schema") {
		t.Fatalf("install without rights: %v", err)
	}
	exec(t, conn, `reset role`)
	if state := readStatus(t, pool).State; state != db.StateNotInstalled {
		t.Fatalf("state %v after a failed install", state)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	all, err := db.PlanAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		apply func(t *testing.T, pool *pgxpool.Pool, script string) error
	}{
		{"one multi-statement call", func(t *testing.T, pool *pgxpool.Pool, script string) error {
			_, err := pool.Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol)
			return err
		}},
		{"inside a transaction", func(t *testing.T, pool *pgxpool.Pool, script string) error {
			return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol)
				return err
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t)
			planned, err := db.Plan(t.Context(), pool)
			if err != nil || planned != all {
				t.Fatalf("plan for an empty database is not PlanAll (%v)", err)
			}
			if err := test.apply(t, pool, planned); err != nil {
				t.Fatal(err)
			}
			if status := readStatus(t, pool); status.State != db.StateCurrent {
				t.Fatalf("status after the script: %+v", status)
			}
			if rest, err := db.Plan(t.Context(), pool); err != nil || rest != "" {
				t.Fatalf("plan for a current database: %q, %v", rest, err)
			}
			if err := test.apply(t, pool, all); err == nil || !strings.Contains(err.Error(), "from version 0 on") {
				t.Fatalf("a script applied twice: %v", err)
			}

			_, undo := lastMigration(t)
			exec(t, pool, undo)
			rest, err := db.Plan(t.Context(), pool)
			if err != nil || strings.Contains(rest, "0001_schema") {
				t.Fatalf("plan for an old database (%v):\n%s", err, rest)
			}
			if err := test.apply(t, pool, rest); err != nil {
				t.Fatal(err)
			}
			if status := readStatus(t, pool); status.State != db.StateCurrent {
				t.Fatalf("status after the rest: %+v", status)
			}
		})
	}
}

// A publication for all tables, as change data capture makes it, refuses every delete from a table whose rows it cannot name.
func TestEveryTableCanBeReplicated(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	tables := column[string](t, pool, `select c.relname::text from pg_class c
		where c.relnamespace = 'absurd'::regnamespace and c.relkind = 'r' and c.relreplident = 'd'
		and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`)
	if len(tables) > 0 {
		t.Errorf("tables without a primary key or another replica identity: %v", tables)
	}
}

// TestInstallBesideLeftStorage: whoever has dropped schema absurd, and not those of its partitioned queues, can install it again and make such
// queues.
func TestInstallBesideLeftStorage(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('old', 'partitioned')`)
	left := one[string](t, pool, `select absurd.storage_schema(queue_no) from absurd.queues where queue_name = 'old'`)
	exec(t, pool, `drop schema absurd cascade`)
	if err := db.Install(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"new", "newer"} { // one of them would come to the number of the old one
		exec(t, pool, `select absurd.create_queue($1, 'partitioned')`, queue)
	}
	for _, queue := range []string{"new", "newer"} {
		exec(t, pool, `select absurd.spawn_task($1, 'task', '{}')`, queue)
		if got := one[string](t, pool, `select absurd.storage_schema(queue_no) from absurd.queues where queue_name = $1`, queue); got == left {
			t.Errorf("queue %s has taken over %s", queue, left)
		}
	}
	exec(t, pool, `select absurd.drop_queue('new')`)
}
