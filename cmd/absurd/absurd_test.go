package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db/embedded"
)

// binary is the command as a user runs it, and server a PostgreSQL for the tests that bring their own.
var binary, server string

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "absurd-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "absurd.exe")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	s, err := embedded.Open(context.Background(), embedded.Options{})
	if err != nil {
		return 0, err
	}
	server = s.DSN()
	code := m.Run()
	return code, s.Stop()
}

// patience is how long anything may take that a test waits for.
const patience = 90 * time.Second

// absurd runs the command and returns what it printed. databaseURL may be empty.
func absurd(t *testing.T, databaseURL string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := newCommand(t, databaseURL, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// newCommand is the command with an environment of its own: no DATABASE_URL but the given one, and a temp folder that is the test's.
func newCommand(t *testing.T, databaseURL string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DATABASE_URL=") })
	if databaseURL != "" {
		cmd.Env = append(cmd.Env, "DATABASE_URL="+databaseURL)
	}
	return cmd
}

// newDatabase returns an empty database that goes with the test.
func newDatabase(t *testing.T) string {
	t.Helper()
	dsn, err := embedded.CreateDatabase(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.DropDatabase(context.Background(), dsn); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

// execute runs SQL on a database.
func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn := dial(t, dsn)
	if _, err := conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn) // also in a test's cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// as returns the connection string of another user. On a server that trusts everybody it may have any password.
func as(t *testing.T, dsn, user, password string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		t.Skip("DATABASE_URL is not a URL")
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// oneClearLine asserts that standard error is one line that holds all the words.
func oneClearLine(t *testing.T, stderr string, words ...string) {
	t.Helper()
	if strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("standard error is not one line:\n%s", stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("standard error lacks %q:\n%s", w, stderr)
		}
	}
}
