package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
)

func migrateCommand() *command {
	var fs *flag.FlagSet
	var dsn string
	return &command{
		name:  "migrate",
		short: "install the schema, or see what is missing",
		usage: "up|status|plan [-database-url URL]",
		long: `
  up      brings schema absurd of the database to the version of this program, and does
          nothing where there is nothing to do; it may run from many places at once
  status  prints the version and what is pending; the exit code is 0 only if the schema
          is current
  plan    prints what up would do, as one SQL script for psql, for a driver, or for
          another migration tool: the whole schema where there is none, and also where
          no database is named

The database is that of DATABASE_URL.`,
		flags: func(set *flag.FlagSet) {
			fs = set
			fs.StringVar(&dsn, "database-url", "", "the database's `URL`, instead of DATABASE_URL")
		},
		run: func(ctx context.Context, s std, args []string) error {
			if len(args) == 0 {
				return usagef("say what to do: up, status or plan")
			}
			actions := map[string]func(context.Context, std, string) error{
				"up": migrateUp, "status": migrateStatus, "plan": migratePlan,
			}
			action := actions[args[0]]
			if action == nil {
				return usagef("%q is none of up, status and plan", args[0])
			}
			if err := fs.Parse(args[1:]); err != nil { // flags may stand on either side
				return &usageError{err}
			}
			if err := noArguments(fs.Args()); err != nil {
				return err
			}
			return action(ctx, s, cmp.Or(dsn, os.Getenv("DATABASE_URL")))
		},
	}
}

func migrateUp(ctx context.Context, s std, dsn string) error {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	before, err := db.ReadStatus(ctx, conn)
	if err != nil {
		return err
	}
	if err := db.Install(ctx, conn); err != nil {
		return err
	}
	if before.State == db.StateCurrent {
		fmt.Fprintf(s.out, "schema absurd is current, at version %d: nothing to do\n", before.Version)
		return nil
	}
	fmt.Fprintf(s.out, "schema absurd was %s and is at version %d now\n", before.State, before.Latest)
	return tellMissingRoles(ctx, s, conn)
}

// tellMissingRoles says which roles for users of the database were not made, as where the owner may not make roles.
func tellMissingRoles(ctx context.Context, s std, conn *pgx.Conn) error {
	roles, err := db.New().ListRoles(ctx, conn)
	if err != nil {
		return fmt.Errorf("look for roles: %w", err)
	}
	missing := 0
	for _, role := range roles {
		if role.Made {
			continue
		}
		if missing == 0 {
			fmt.Fprint(s.out, "\nThese roles were not made, because this login may not make roles. The owner works without them; for other users have an administrator run\n\n")
		}
		missing++
		fmt.Fprintf(s.out, "  create role %s nologin;\n", pgx.Identifier{role.RoleName}.Sanitize())
	}
	if missing > 0 {
		fmt.Fprint(s.out, "\nand then, as the owner, call create_roles() in schema absurd.\n")
	}
	return nil
}

func migrateStatus(ctx context.Context, s std, dsn string) error {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	status, err := db.ReadStatus(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "schema absurd: %s\nversion:       %d, this program has %d\n", status.State, status.Version, status.Latest)
	if len(status.Pending) > 0 {
		fmt.Fprintf(s.out, "pending:       %s\n", strings.Join(status.Pending, "\n               "))
	}
	return status.Err()
}

func migratePlan(ctx context.Context, s std, dsn string) error {
	if dsn == "" {
		script, err := db.PlanAll()
		if err != nil {
			return err
		}
		printScript(s, script)
		return nil
	}
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	script, err := db.Plan(ctx, conn)
	if err != nil {
		return err
	}
	if script == "" {
		fmt.Fprintln(s.out, "-- Schema absurd is current: nothing to do.")
		return nil
	}
	printScript(s, script)
	return nil
}

// printScript prints the script as one transaction: psql goes on after an error, and must not leave half of it behind.
func printScript(s std, script string) { fmt.Fprintf(s.out, "begin;\n\n%s\ncommit;\n", script) }

// connectTimeout bounds how long a server may take to answer.
const connectTimeout = 10 * time.Second

// connect connects to the database that a command is to work on.
func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	if dsn == "" {
		return nil, usagef("no database is named: set DATABASE_URL, or give -database-url postgres://user:password@host:5432/database")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pgx.Connect(ctx, dsn)
}
