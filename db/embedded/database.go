package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// CreateDatabase makes an empty database on the server of dsn and returns its connection string. Its name is random,
// so that tests of many processes can share a server.
func CreateDatabase(ctx context.Context, dsn string) (string, error) {
	return createDatabase(ctx, dsn, dsn, "TEMPLATE template0")
}

// CloneDatabase makes a copy of the database of the connection string template and returns the copy's connection
// string. It is the fast way to a migrated database of one's own: migrate one, close all connections to it, and clone
// it for each test, which takes some 10 ms on an ephemeral server. PostgreSQL refuses to copy a database that
// somebody is connected to.
func CloneDatabase(ctx context.Context, template string) (string, error) {
	conf, err := pgx.ParseConfig(template)
	if err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	maintenance, err := withDatabase(template, "postgres")
	if err != nil {
		return "", err
	}
	if conf.Database == "postgres" {
		return "", errors.New(`embedded: the database "postgres" cannot be cloned, as that is where clones are ordered: ` +
			"use CreateDatabase and clone what it returns")
	}
	return createDatabase(ctx, maintenance, template, "TEMPLATE "+pgx.Identifier{conf.Database}.Sanitize())
}

// createDatabase makes a database through the connection dsn and returns like with the new name.
func createDatabase(ctx context.Context, dsn, like, clause string) (string, error) {
	name := "absurd_" + strings.ToLower(rand.Text())
	made, err := withDatabase(like, name)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", fmt.Errorf("embedded: create a database: %w", err)
	}
	defer conn.Close(ctx)
	// Copying files beats the default, writing every page to the log, where fsync is off. PostgreSQL 14 knows
	// nothing else.
	if v := conn.PgConn().ParameterStatus("server_version"); !strings.HasPrefix(v, "14") {
		clause += " STRATEGY FILE_COPY"
	}
	if _, err = conn.Exec(ctx, "CREATE DATABASE "+name+" "+clause); err != nil {
		return "", createError(err)
	}
	return made, nil
}

func createError(err error) error {
	const objectInUse = "55006"
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == objectInUse {
		return fmt.Errorf("embedded: the template is in use: close all connections to it before it is cloned: %w", err)
	}
	return fmt.Errorf("embedded: create a database: %w", err)
}

// DropDatabase removes the database of dsn, ends the connections that there are to it, and removes the roles that the schema
// absurd made for its users: roles belong to the cluster and outlive a database. It does nothing if the database is not there.
func DropDatabase(ctx context.Context, dsn string) error {
	conf, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	maintenance, err := withDatabase(dsn, "postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, maintenance)
	if err != nil {
		return fmt.Errorf("embedded: drop a database: %w", err)
	}
	defer conn.Close(ctx)
	name := pgx.Identifier{conf.Database}.Sanitize()
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("embedded: drop a database: %w", err)
	}
	for _, kind := range []string{"producer", "client", "worker", "operator", "viewer", "tester"} {
		role := pgx.Identifier{"absurd_" + kind + "_" + conf.Database}.Sanitize()
		_, err := conn.Exec(ctx, "DROP ROLE IF EXISTS "+role)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "2BP01" {
			continue // a clone of the database has given it rights
		}
		if err != nil {
			return fmt.Errorf("embedded: drop a role of a dropped database: %w", err)
		}
	}
	return nil
}

// withDatabase returns a connection string for another database of the same server, in the form of dsn: a URL or
// words like host=/run/postgresql dbname=app.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("embedded: the connection string is not a valid URL")
	}
	q := u.Query()
	q.Del("dbname")
	q.Del("database")
	u.Path, u.RawPath, u.RawQuery = "/"+name, "", q.Encode()
	return u.String(), nil
}
