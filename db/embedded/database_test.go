//go:build linux || darwin

package embedded

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestDatabases(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	template, err := CreateDatabase(t.Context(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	mustQuery(t, template, "CREATE TABLE t AS SELECT 'cloned'::text AS v")

	first, err := CloneDatabase(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	second, err := CloneDatabase(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	mustQuery(t, first, "UPDATE t SET v = 'changed'")
	for dsn, want := range map[string]string{template: "cloned", first: "changed", second: "cloned"} {
		if got := mustQuery(t, dsn, "SELECT v FROM t"); got != want {
			t.Errorf("%s says %s, want %s", dsn, got, want)
		}
	}

	// One that is in use can be dropped.
	conn, err := pgx.Connect(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	mustQuery(t, template, "CREATE ROLE absurd_worker_"+conn.Config().Database)
	for range 2 {
		if err := DropDatabase(t.Context(), first); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	if _, err := query(t.Context(), first, "SELECT 'up'"); err == nil {
		t.Error("a dropped database can be connected to")
	}
	if got := mustQuery(t, template, "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'absurd\\_%'"); got != "0" {
		t.Errorf("%s roles outlive their database", got)
	}
	_, err = CloneDatabase(t.Context(), s.DSN())
	if err == nil || !strings.Contains(err.Error(), "use CreateDatabase") {
		t.Errorf("error is %v", err)
	}
}

// PostgreSQL waits five seconds for the connections to a template to end before it says that it is in use.
func TestTemplateInUse(t *testing.T) {
	t.Parallel()
	err := createError(&pgconn.PgError{Code: "55006", Message: "in use"})
	if !strings.Contains(err.Error(), "close all connections to it before it is cloned") {
		t.Errorf("error is %v", err)
	}
	err = createError(&pgconn.PgError{Code: "42501", Message: "permission denied"})
	if strings.Contains(err.Error(), "close all connections") {
		t.Errorf("error is %v", err)
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:p%2Fw@db.example:6543/old?sslmode=disable&pool_max_conns=3",
		"postgresql://u:p%2Fw@db.example:6543?dbname=old&sslmode=disable",
		"host=db.example port=6543 user=u password=p/w dbname=old sslmode=disable",
		`host=db.example port=6543 user=u password='p/w' sslmode=disable`,
	} {
		got, err := withDatabase(dsn, "new")
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		conf, err := pgx.ParseConfig(got)
		if err != nil {
			t.Errorf("%s: %v", got, err)
			continue
		}
		if conf.Database != "new" || conf.Host != "db.example" || conf.Port != 6543 || conf.User != "u" || conf.Password != "p/w" {
			t.Errorf("%s became %s", dsn, got)
		}
	}
	if _, err := withDatabase("postgres://u:secret@h:port/db", "new"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error is %v", err)
	}
}
