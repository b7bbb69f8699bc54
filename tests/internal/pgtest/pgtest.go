package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
)

// shared is the server of this test binary. The first test that needs it starts it; Run stops it.
var shared struct {
	start  sync.Once
	server *embedded.Server
	dsn    string
	err    error
	number atomic.Int64
}

// settings fit many small databases with many connections, and let a deadlock be found soon.
func settings() map[string]string {
	return map[string]string{"max_connections": "300", "shared_buffers": "128MB", "deadlock_timeout": "200ms"}
}

// version is the major version of PostgreSQL that ABSURD_TEST_POSTGRES asks for, such as 17; 0 takes what there is.
func version() (int, error) {
	wanted := os.Getenv("ABSURD_TEST_POSTGRES")
	if wanted == "" {
		return 0, nil
	}
	number, err := strconv.Atoi(wanted)
	if err != nil {
		return 0, fmt.Errorf("ABSURD_TEST_POSTGRES=%s is no major version of PostgreSQL, such as 17", wanted)
	}
	if os.Getenv("DATABASE_URL") != "" {
		return 0, errors.New("ABSURD_TEST_POSTGRES and DATABASE_URL exclude each other")
	}
	return number, nil
}

// Run runs the tests of a binary, then removes what Database has made. It returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.server == nil {
		return code
	}
	if err := errors.Join(drop(context.Background(), templateName()), shared.server.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Database returns a database of the test's own, with the schema installed: a pool on it and its connection string. The
// database is dropped when the test ends.
func Database(tb testing.TB) (*pgxpool.Pool, string) {
	tb.Helper()
	return database(tb, " template "+templateName())
}

// Empty is as [Database], with nothing installed.
func Empty(tb testing.TB) (*pgxpool.Pool, string) {
	tb.Helper()
	return database(tb, "")
}

// Private returns an installed database on a private server of the test's own, which the test may harm. It ends with the test.
func Private(tb testing.TB) (*pgxpool.Pool, string) {
	tb.Helper()
	major, err := version()
	if err != nil {
		tb.Fatal(err)
	}
	server, err := embedded.Start(tb.Context(), embedded.Options{Version: major, Settings: settings()})
	if missing, ok := errors.AsType[*embedded.NotFoundError](err); ok && os.Getenv("DATABASE_URL") != "" {
		tb.Skipf("this test needs a server of its own beside that of DATABASE_URL: %v", missing)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	pool := open(tb, server.DSN())
	tb.Cleanup(pool.Close)
	if err := db.Install(tb.Context(), pool); err != nil {
		tb.Fatal(err)
	}
	return pool, server.DSN()
}

func database(tb testing.TB, from string) (*pgxpool.Pool, string) {
	tb.Helper()
	shared.start.Do(func() { shared.err = start(context.Background()) })
	if shared.err != nil {
		tb.Fatalf("no PostgreSQL for this test: %v", shared.err)
	}
	name := fmt.Sprintf("absurd_test_%d_%d", os.Getpid(), shared.number.Add(1))
	if err := admin(tb.Context(), "create database "+name+from); err != nil {
		tb.Fatal(err)
	}
	dsn := onDatabase(shared.dsn, name)
	pool := open(tb, dsn)
	tb.Cleanup(func() {
		pool.Close()
		if err := drop(context.Background(), name); err != nil {
			tb.Error(err)
		}
	})
	return pool, dsn
}

func start(ctx context.Context) (err error) {
	major, err := version()
	if err != nil {
		return err
	}
	if shared.server, err = embedded.Open(ctx, embedded.Options{Version: major, Settings: settings()}); err != nil {
		return err
	}
	shared.dsn = shared.server.DSN()
	if err := admin(ctx, "create database "+templateName()); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, onDatabase(shared.dsn, templateName()))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return db.Install(ctx, conn)
}

func templateName() string { return fmt.Sprintf("absurd_test_%d_template", os.Getpid()) }

// drop drops a database, and the roles that were made for it.
func drop(ctx context.Context, name string) error {
	err := admin(ctx, "drop database if exists "+name+" with (force)")
	if err != nil {
		return err
	}
	return admin(ctx, `do $$ declare v_role name; begin
		for v_role in select rolname from pg_roles where rolname ~ '^absurd_(producer|client|worker|operator|viewer|tester)_`+name+`$' loop
			execute format('drop role %I', v_role);
		end loop; end $$`)
}

func admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, shared.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func open(tb testing.TB, dsn string) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	config.MaxConns = 24
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(tb.Context()), config)
	if err != nil {
		tb.Fatal(err)
	}
	return pool
}

// onDatabase returns dsn with another database; both forms of a connection string are understood.
func onDatabase(dsn, name string) string {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name // of two values the later one holds
	}
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // it has been used to connect
	}
	u.Path = "/" + name
	return u.String()
}
