package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/absurdgen/absurdgen/db/embedded"
)

func TestServerNotReached(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		name, dsn string
		words     []string
	}{
		{"nobody listens", "postgres://me:sekret@" + closed.Addr().String() + "/x",
			[]string{"no PostgreSQL listens at " + closed.Addr().String(), "unset DATABASE_URL"}},
		{"no socket", "postgres:///x?host=/nonexistent&password=sekret", []string{"no PostgreSQL listens at /nonexistent"}},
		{"wrong password", "postgres://me:sekret@" + refusing(t, "28P01", `password authentication failed for user "me"`) + "/x?sslmode=disable",
			[]string{`refuses user "me"`, "password", "correct"}},
		{"no such database", "postgres://me:sekret@" + refusing(t, "3D000", `database "x" does not exist`) + "/x?sslmode=disable",
			[]string{`no database "x"`, "create it"}},
		{"too many connections", "postgres://me:sekret@" + refusing(t, "53300", "sorry, too many clients already") + "/x?sslmode=disable",
			[]string{"too many clients", "max_connections"}},
		{"unreadable", "postgres://me:sekret%@h/x", []string{"cannot be read", "postgres://user:password@host:5432/database"}},
		{"unknown host", "postgres://me:sekret@nowhere.invalid/x", []string{`"nowhere.invalid"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{{"migrate", "up"}, {"migrate", "status"}, {"migrate", "plan"}, {"demo"}, {"dev"}} {
				out, errs, code := absurd(t, c.dsn, args...)
				if code != 1 {
					t.Errorf("%s: exit code %d", args, code)
				}
				if args[0] == "dev" { // which says first that there will be no private server
					_, errs, _ = strings.Cut(errs, "\n")
				}
				oneClearLine(t, errs, append(c.words, "absurd "+args[0]+": ")...)
				if strings.Contains(out+errs, "sekret") {
					t.Errorf("%s: the password is told: %s%s", args, out, errs)
				}
			}
		})
	}
}

// refusing is the address of a server that answers every connection with an error.
func refusing(t *testing.T, code, message string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
				_ = backend.Flush()
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestExplainNoServerToStart(t *testing.T) {
	t.Parallel()
	text := explain(errors.Join(&embedded.NotFoundError{Tried: []string{"PATH", "/usr/lib/postgresql"}, Install: "apt-get install postgresql"}))
	for _, words := range []string{"no PostgreSQL server", "apt-get install postgresql", "PG_BIN", "DATABASE_URL", "/usr/lib/postgresql"} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is missing in %s", words, text)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("more than one line: %s", text)
	}
}

func TestExplainJoinsLines(t *testing.T) {
	t.Parallel()
	if text := explain(errors.Join(errors.New("one\n  two"), context.Canceled)); text != "one; two; context canceled" {
		t.Errorf("%q", text)
	}
}
