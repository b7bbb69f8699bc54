package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db/embedded"
)

// explain puts an error into one line that says what is wrong and what to do, without a password in it.
func explain(err error) string {
	var text string
	if missing, ok := errors.AsType[*embedded.NotFoundError](err); ok {
		text = noServer(missing)
	} else if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		text = "the database's URL cannot be read: write it as postgres://user:password@host:5432/database, with % escapes for" +
			" what is special in a URL"
	} else if ce, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		text = noConnection(ce)
	} else if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" {
		text = pg.Message + ": have the role granted that right (create on the database, to install the schema), or use another role"
	} else {
		text = err.Error()
		for _, prefix := range []string{"db: ", "embedded: ", "workflow: "} {
			text = strings.TrimPrefix(text, prefix) // packages are of no interest on a command line
		}
	}
	return oneLine(text)
}

// noServer says what to do where no PostgreSQL can be started.
func noServer(e *embedded.NotFoundError) string {
	version := ""
	if e.Version != 0 {
		version = fmt.Sprintf(" of version %d", e.Version)
	}
	return fmt.Sprintf("no PostgreSQL server%s found to start: install it (%s), or set PG_BIN to the directory that holds postgres and"+
		" initdb, or set DATABASE_URL to a server that you run (looked in: %s)", version, e.Install, strings.Join(e.Tried, ", "))
}

// noConnection says what to do where a server does not let us in.
func noConnection(e *pgconn.ConnectError) string {
	at := fmt.Sprintf("%s:%d", e.Config.Host, e.Config.Port)
	pg, answered := errors.AsType[*pgconn.PgError](e)
	var lookup *net.DNSError
	switch {
	case answered && (pg.Code == "28P01" || pg.Code == "28000"):
		return fmt.Sprintf("the server at %s refuses user %q: %s: correct user and password in DATABASE_URL", at, e.Config.User, pg.Message)
	case answered && pg.Code == "3D000":
		return fmt.Sprintf("there is no database %q on the server at %s: create it, or correct DATABASE_URL", e.Config.Database, at)
	case answered && pg.Code == "53300":
		return fmt.Sprintf("the server at %s has no connection left: %s: close some, or raise max_connections", at, pg.Message)
	case answered:
		return fmt.Sprintf("the server at %s refuses the connection: %s (SQLSTATE %s)", at, pg.Message, pg.Code)
	case errors.As(e, &lookup):
		return fmt.Sprintf("the host %q is unknown: correct it in DATABASE_URL", e.Config.Host)
	case errors.Is(e, syscall.ECONNREFUSED), errors.Is(e, fs.ErrNotExist):
		return fmt.Sprintf("no PostgreSQL listens at %s: start it, correct host and port in DATABASE_URL, or unset DATABASE_URL to use a"+
			" private server", at)
	case errors.Is(e, context.DeadlineExceeded):
		return fmt.Sprintf("the server at %s does not answer: is it PostgreSQL, and is the way to it open? correct host and port in"+
			" DATABASE_URL", at)
	}
	return fmt.Sprintf("no connection to %s; is it PostgreSQL that listens there? (%v)", at, errors.Unwrap(e))
}

func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "; ")
}
