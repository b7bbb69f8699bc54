package engine

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// server is the PostgreSQL of this test process, started by the first test that needs it and stopped by TestMain.
var server struct {
	once     sync.Once
	dsn      string
	err      error
	stop     func()
	template string // a database with the schema installed
	number   atomic.Int64
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// startPostgres returns the connection string of a server on which the tests may create databases.
func startPostgres(tb testing.TB) string {
	tb.Helper()
	server.once.Do(func() {
		if server.dsn = os.Getenv("DATABASE_URL"); server.dsn == "" {
			server.dsn, server.stop, server.err = startPrivate()
		}
		if server.err == nil {
			server.err = makeTemplate()
		}
	})
	if server.err != nil {
		tb.Fatalf("no PostgreSQL for this test: %v", server.err)
	}
	return server.dsn
}

// makeTemplate makes the database that installed databases are copied from.
func makeTemplate() error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	server.template = fmt.Sprintf("engine_test_%d_template", os.Getpid())
	if _, err := conn.Exec(ctx, "create database "+server.template); err != nil {
		return err
	}
	stop := server.stop
	server.stop = func() {
		dropDatabase(server.template)
		if stop != nil {
			stop()
		}
	}
	inTemplate, err := pgx.ConnectConfig(ctx, withDatabase(server.dsn, server.template))
	if err != nil {
		return err
	}
	defer inTemplate.Close(ctx)
	return db.Install(ctx, inTemplate)
}

func withDatabase(dsn, name string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		panic(err) // it has been used to connect before
	}
	config.Database = name
	return config
}

func dropDatabase(name string) {
	ctx := context.Background()
	if conn, err := pgx.Connect(ctx, server.dsn); err == nil {
		defer conn.Close(ctx)
		_, _ = conn.Exec(ctx, "drop database if exists "+name+" with (force)") // best effort: the server may be gone
	}
}

// newDatabase returns a pool on an empty database of the test's own.
func newDatabase(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	startPostgres(tb)
	return openDatabase(tb, "")
}

// newEngine returns a pool on a database of the test's own with the schema installed and a queue "q".
func newEngine(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	startPostgres(tb)
	pool := openDatabase(tb, " template "+server.template)
	exec(tb, pool, `select absurd.create_queue('q')`)
	return pool
}

func openDatabase(tb testing.TB, options string) *pgxpool.Pool {
	tb.Helper()
	ctx := tb.Context()
	conn, err := pgx.Connect(ctx, server.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	name := fmt.Sprintf("engine_test_%d_%d", os.Getpid(), server.number.Add(1))
	if _, err := conn.Exec(ctx, "create database "+name+options); err != nil {
		tb.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(server.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	config.ConnConfig.Database = name
	config.MaxConns = 24
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		pool.Close()
		dropDatabase(name)
	})
	return pool
}

// startPrivate starts a server in a folder of its own, as user postgres when this process is root, which postgres refuses.
func startPrivate() (dsn string, stop func(), err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", nil, fmt.Errorf("no /usr/lib/postgresql/*/bin/postgres: install postgresql, or set DATABASE_URL (%w)", err)
	}
	bin := filepath.Dir(found[len(found)-1])
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = os.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "absurd-engine-")
	if err != nil {
		return "", nil, err
	}
	stop = func() { _ = os.RemoveAll(dir) }
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		postgres, err := user.Lookup("postgres")
		if err != nil {
			return "", stop, err
		}
		uid, _ := strconv.Atoi(postgres.Uid) // numbers on every system that has setuid
		gid, _ := strconv.Atoi(postgres.Gid)
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", stop, err
		}
	}
	command := func(name string, args ...string) *osexec.Cmd {
		c := osexec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.Env, c.SysProcAttr = dir, []string{"LC_ALL=C", "PATH=" + bin}, attributes
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return "", stop, fmt.Errorf("initdb: %w: %s", err, out)
	}
	log := &strings.Builder{}
	postgres := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200",
		"-c", "shared_buffers=256MB", "-c", "deadlock_timeout=200ms")
	postgres.Stderr = log
	if err := postgres.Start(); err != nil {
		return "", stop, err
	}
	stop = func() {
		_ = postgres.Process.Signal(syscall.SIGQUIT)
		_ = postgres.Wait()
		_ = os.RemoveAll(dir)
	}
	dsn = "host=" + dir + " user=postgres dbname=postgres sslmode=disable"
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return dsn, stop, conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return "", stop, fmt.Errorf("postgres does not answer: %w: %s", err, log)
		}
		time.Sleep(20 * time.Millisecond) // between attempts to connect; there is no event to wait for
	}
}
