package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	out, errs, code := absurd(t, dsn, "migrate", "status")
	if code != 1 || !strings.Contains(out, "schema absurd: not installed") || !strings.Contains(out, "0001_schema") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	oneClearLine(t, errs, "not installed", "absurd migrate up")

	// Four at once: the schema is installed once, and all of them are content.
	done := make(chan string)
	const many = 4
	for range many {
		go func() {
			out, errs, code := absurd(t, "", "migrate", "up", "-database-url", dsn)
			if code != 0 {
				out = errs
			}
			done <- out
		}()
	}
	for range many {
		if out := <-done; !strings.HasPrefix(out, "schema absurd ") {
			t.Errorf("%s", out)
		}
	}

	if out, errs, code = absurd(t, dsn, "migrate", "status"); code != 0 || errs != "" || !strings.Contains(out, "schema absurd: current") {
		t.Errorf("exit code %d, %q:\n%s", code, errs, out)
	}
	if out, _, _ = absurd(t, dsn, "migrate", "plan"); out != "-- Schema absurd is current: nothing to do.\n" {
		t.Errorf("a plan for what is current:\n%s", out)
	}
	if out, _, code = absurd(t, dsn, "migrate", "up"); code != 0 || !strings.Contains(out, "nothing to do") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// The plan is a script for psql and for a driver's one call, and what it installs is current.
func TestMigratePlan(t *testing.T) {
	t.Parallel()
	fromNothing, _, code := absurd(t, "", "migrate", "plan")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, by := range []struct {
		name  string
		apply func(t *testing.T, dsn, script string)
	}{
		{"driver", execute},
		{"psql", func(t *testing.T, dsn, script string) {
			psql, err := exec.LookPath("psql")
			if err != nil {
				t.Skip("psql is not installed")
			}
			cmd := exec.Command(psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn)
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}},
	} {
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			dsn := newDatabase(t)
			script, _, _ := absurd(t, dsn, "migrate", "plan")
			if script != fromNothing {
				t.Error("the plan for an empty database is not the one without a database")
			}
			by.apply(t, dsn, script)
			if out, errs, code := absurd(t, dsn, "migrate", "status"); code != 0 {
				t.Errorf("exit code %d, %q:\n%s", code, errs, out)
			}
		})
	}
}

// psql goes on after an error unless it is told otherwise. The guard of the plan must hold all the same.
func TestMigratePlanLeavesForeignSchemaAlone(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	script, _, _ := absurd(t, "", "migrate", "plan")
	dsn := newDatabase(t)
	execute(t, dsn, "create schema absurd; create table absurd.tasks()")
	cmd := exec.Command(psql, "-X", "-q", dsn)
	cmd.Stdin = strings.NewReader(script)
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "was not made by this project") {
		t.Errorf("psql said %.300s", out)
	}
	if out, _, code := absurd(t, dsn, "migrate", "status"); code != 1 || !strings.HasPrefix(out, "schema absurd: foreign\n") {
		t.Errorf("exit code %d, status %s", code, out)
	}
}

func TestMigrateUnfitSchema(t *testing.T) {
	t.Parallel()
	for _, unfit := range []struct {
		name, sql string
		words     []string
		plan      bool // there is something that up would do
	}{
		{"too old", "delete from absurd.migrations where version = (select max(version) from absurd.migrations)",
			[]string{"older than this program", "absurd migrate up"}, true},
		{"too new", "insert into absurd.migrations (version, name, checksum) values (9999, 'later', 'x')",
			[]string{"newer than this program", "9999"}, false},
		{"changed", "update absurd.migrations set checksum = 'x' where version = 1",
			[]string{"0001_schema"}, false},
		{"foreign", "drop schema absurd cascade; create schema absurd; create table absurd.tasks()",
			[]string{"belongs to another program", "use another database"}, false},
	} {
		t.Run(unfit.name, func(t *testing.T) {
			t.Parallel()
			dsn := newDatabase(t)
			if _, errs, code := absurd(t, dsn, "migrate", "up"); code != 0 {
				t.Fatal(errs)
			}
			execute(t, dsn, unfit.sql)
			out, errs, code := absurd(t, dsn, "migrate", "status")
			if code != 1 || !strings.HasPrefix(out, "schema absurd: "+unfit.name+"\n") {
				t.Errorf("exit code %d: %s", code, out)
			}
			oneClearLine(t, errs, unfit.words...)
			out, errs, code = absurd(t, dsn, "migrate", "plan")
			if unfit.plan {
				if code != 0 || strings.Contains(out, "0001_schema") || !strings.Contains(out, "insert into absurd.migrations") {
					t.Errorf("exit code %d, not a plan for the last migration:\n%s", code, out)
				}
				return
			}
			if code != 1 || out != "" {
				t.Errorf("exit code %d, a plan:\n%s", code, out)
			}
			oneClearLine(t, errs, unfit.words...)
			if _, errs, code = absurd(t, dsn, "migrate", "up"); code != 1 {
				t.Errorf("up: exit code %d", code)
			}
			oneClearLine(t, errs, unfit.words...)
		})
	}
}

// An owner who may not make roles is told which are missing, and what to do.
func TestMigrateTellsMissingRoles(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	database := conn.Config().Database
	login := "owner_" + database
	run := func(sql string) {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	run(`create role ` + login + ` login`)
	run(`grant create on database ` + database + ` to ` + login)
	t.Cleanup(func() {
		run(`drop owned by ` + login + ` cascade`)
		run(`drop role ` + login)
		conn.Close(context.Background())
	})
	as := fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", conn.Config().Host, conn.Config().Port, login, database)
	out, errs, code := absurd(t, as, "migrate", "up")
	if code != 0 || !strings.Contains(out, `create role "absurd_worker_`+database+`" nologin;`) || !strings.Contains(out, "call create_roles()") {
		t.Errorf("exit code %d, %s:\n%s", code, errs, out)
	}
}
