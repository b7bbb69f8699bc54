package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db/embedded"
)

// database is where the demo runs: a private server, or else the server of DATABASE_URL. There it gets a database of its own, so
// that it neither sees nor disturbs what else is there, whatever that is, and demos can run side by side.
type database struct {
	dsn     string
	what    string // for the audience, without a password
	private *embedded.Server
	own     bool // the database is the demo's own
}

func openDatabase(ctx context.Context) (*database, error) {
	server := os.Getenv("DATABASE_URL")
	if server == "" {
		s, err := embedded.Start(ctx, embedded.Options{})
		if err != nil {
			return nil, err
		}
		return &database{dsn: s.DSN(), what: "a private server, started for this demo", private: s, own: true}, nil
	}
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%s@%s:%d (DATABASE_URL)", config.User, config.Host, config.Port)
	limited, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	dsn, err := embedded.CreateDatabase(limited, server)
	pg, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		if config, err = pgx.ParseConfig(dsn); err != nil {
			return nil, err
		}
		return &database{dsn: dsn, what: what + ", in the new database " + config.Database, own: true}, nil
	case refused && pg.Code == "42501": // the role may not create databases
		return &database{dsn: server, what: what + "; its role may not create a database, so the demo uses" +
			" schema absurd and queue orders in this one"}, nil
	}
	return nil, err
}

// close removes what open has made. The context should not be one that has ended.
func (d *database) close(ctx context.Context) error {
	switch {
	case d.private != nil:
		return d.private.Stop()
	case d.own:
		return embedded.DropDatabase(ctx, d.dsn)
	}
	return nil
}

// keep leaves everything as it is and says how to look at it and how to be rid of it.
func (d *database) keep() ([]string, error) {
	config, err := pgx.ParseConfig(d.dsn)
	if err != nil {
		return nil, err
	}
	switch {
	case d.private != nil:
		stop, err := d.private.Keep()
		if err != nil {
			return nil, err
		}
		return []string{"the server stays up:", "  export DATABASE_URL='" + d.dsn + "'", "stop it with:", "  " + stop}, nil
	case d.own:
		return []string{
			fmt.Sprintf("the database stays: %s, on the server of DATABASE_URL; remove it with:", config.Database),
			fmt.Sprintf(`  psql "$DATABASE_URL" -c 'drop database %s'`, config.Database),
		}, nil
	}
	return []string{"the tasks stay in schema absurd of the database of DATABASE_URL"}, nil
}
