// Package postgrestest gives tests a private PostgreSQL:
//
//	conn, err := pgx.Connect(ctx, postgrestest.Start(t))
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start starts a private PostgreSQL with the schema installed, for the life of tb, and returns its connection string.
func Start(tb testing.TB) string {
	tb.Helper()
	installs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(installs) == 0 {
		tb.Skip("no PostgreSQL is installed under /usr/lib/postgresql")
	}
	bin := slices.Max(installs)

	dir, err := os.MkdirTemp("", "postgrestest")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	server := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: postgresUser(tb, dir)}
		}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := server("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync").CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	postgres := server("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	postgres.Stdout, postgres.Stderr = log, log
	if err := postgres.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		postgres.Process.Signal(syscall.SIGINT)
		postgres.Wait()
	})

	dsn := fmt.Sprintf("host=%s user=postgres dbname=postgres", dir)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	for ; err != nil && ctx.Err() == nil; conn, err = pgx.Connect(ctx, dsn) {
		time.Sleep(20 * time.Millisecond) // the server is starting
	}
	if err != nil {
		out, _ := os.ReadFile(filepath.Join(dir, "log"))
		tb.Fatalf("%v\n%s", err, out)
	}
	defer conn.Close(ctx)
	_, here, _, _ := runtime.Caller(0)
	migrations, err := filepath.Glob(filepath.Join(filepath.Dir(here), "../../../db/migrations/*.sql"))
	if err != nil || len(migrations) == 0 {
		tb.Fatalf("no migrations: %v", err)
	}
	slices.Sort(migrations)
	for _, path := range migrations {
		script, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := conn.Exec(ctx, string(script)); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
	}
	return dsn
}

// postgresUser is the user to run the server as, because it refuses to run as root; dir is given to it.
func postgresUser(tb testing.TB, dir string) *syscall.Credential {
	tb.Helper()
	account, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
