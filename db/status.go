package db

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What can be wrong with the schema of a database. A SchemaError wraps one of them.
var (
	ErrNotInstalled  = errors.New("schema absurd is not installed")
	ErrSchemaTooOld  = errors.New("schema absurd is older than this program")
	ErrSchemaTooNew  = errors.New("schema absurd is newer than this program")
	ErrSchemaChanged = errors.New("schema absurd was made from other migrations")
	ErrForeignSchema = errors.New("schema absurd belongs to another program")
)

// Conn is what Install, ReadStatus and Plan need: a *pgxpool.Pool, a *pgx.Conn, or a pgx.Tx.
type Conn interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// State says how the schema of a database stands to the migrations of this program.
type State int

// The states of a schema.
const (
	StateNotInstalled State = iota // there is no schema absurd, or an empty one
	StateForeign                   // there is one, but this project did not make it
	StateTooOld                    // migrations are pending
	StateCurrent                   // every migration is applied, unchanged
	StateTooNew                    // migrations are applied that this program does not know
	StateChanged                   // a migration was applied with another text
)

var stateWords = [...]string{"not installed", "foreign", "too old", "current", "too new", "changed"}

// String gives the state in words, such as "too old".
func (s State) String() string {
	if s < 0 || int(s) >= len(stateWords) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateWords[s]
}

// Status is what ReadStatus found.
type Status struct {
	State   State
	Version int      // the highest migration applied; 0 when none is
	Latest  int      // the highest migration of this program
	Pending []string // migrations to apply, such as 0020_workers, in order
	Changed []string // migrations that were applied with another text, or that this program does not know although it is newer
}

// Err is nil when the schema is current, else a *SchemaError that says what to do.
func (s Status) Err() error {
	if s.State == StateCurrent {
		return nil
	}
	return &SchemaError{Status: s}
}

// SchemaError says that this program cannot work with the schema it found. It wraps the sentinel of its state, such as
// ErrSchemaTooOld.
type SchemaError struct {
	Status Status
}

// Error says what is wrong and what to do.
func (e *SchemaError) Error() string {
	s := e.Status
	switch s.State {
	case StateNotInstalled:
		return fmt.Sprintf("db: %v in this database: run \"absurd migrate up\", or call db.Install", ErrNotInstalled)
	case StateForeign:
		return fmt.Sprintf("db: %v: it has no table absurd.migrations, so it looks like one made by the Absurd project's own "+
			"script, and it was left alone; use another database, or drop that schema if nothing in it is needed", ErrForeignSchema)
	case StateTooOld:
		return fmt.Sprintf("db: %v: it is at version %d and %d is needed (pending: %s): run \"absurd migrate up\", or call db.Install",
			ErrSchemaTooOld, s.Version, s.Latest, strings.Join(s.Pending, ", "))
	case StateTooNew:
		return fmt.Sprintf("db: %v: it is at version %d and this program knows %d: deploy a newer version of this program",
			ErrSchemaTooNew, s.Version, s.Latest)
	default:
		return fmt.Sprintf("db: %v (%s): the text applied is not the text in this program; use the release that made the schema",
			ErrSchemaChanged, strings.Join(s.Changed, ", "))
	}
}

// Unwrap gives the sentinel of the state.
func (e *SchemaError) Unwrap() error {
	switch e.Status.State {
	case StateNotInstalled:
		return ErrNotInstalled
	case StateForeign:
		return ErrForeignSchema
	case StateTooOld:
		return ErrSchemaTooOld
	case StateTooNew:
		return ErrSchemaTooNew
	default:
		return ErrSchemaChanged
	}
}

// ReadStatus compares the schema of the database with the migrations of this program. It changes nothing. A schema that
// does not fit is not an error here; Status.Err makes it one.
func ReadStatus(ctx context.Context, conn Conn) (Status, error) {
	migrations, err := loadMigrations(migrationFiles)
	if err != nil {
		return Status{}, err
	}
	return readStatus(ctx, conn, migrations)
}

func readStatus(ctx context.Context, conn Conn, migrations []migration) (Status, error) {
	status := Status{State: StateNotInstalled, Latest: migrations[len(migrations)-1].version}
	var ours, others bool
	err := conn.QueryRow(ctx, schemaSQL).Scan(&ours, &others)
	if err != nil {
		return Status{}, fmt.Errorf("db: look for schema absurd: %w", err)
	}
	if !ours && others {
		status.State = StateForeign
		return status, nil
	}
	applied := map[int]string{}
	if ours {
		rows, err := conn.Query(ctx, `select version, checksum from absurd.migrations`)
		if err != nil {
			return Status{}, fmt.Errorf("db: read absurd.migrations: %w", err)
		}
		var version int
		var checksum string
		_, err = pgx.ForEachRow(rows, []any{&version, &checksum}, func() error {
			applied[version] = checksum
			status.Version = max(status.Version, version)
			return nil
		})
		if err != nil {
			return Status{}, fmt.Errorf("db: read absurd.migrations: %w", err)
		}
	}
	status.compare(applied, migrations)
	return status, nil
}

// schemaSQL asks whether schema absurd holds our table of migrations, and whether it holds anything at all.
const schemaSQL = `
select to_regclass('absurd.migrations') is not null,
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'absurd')
    or exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'absurd')`

// compare sets State, Pending and Changed from what is applied (checksum by version).
func (s *Status) compare(applied map[int]string, migrations []migration) {
	known := map[int]bool{}
	for _, m := range migrations {
		known[m.version] = true
		checksum, ok := applied[m.version]
		switch {
		case !ok:
			s.Pending = append(s.Pending, m.String())
		case checksum != m.checksum:
			s.Changed = append(s.Changed, m.String())
		}
	}
	newer := false
	for version := range applied {
		switch {
		case known[version]:
		case version > s.Latest:
			newer = true
		default:
			s.Changed = append(s.Changed, fmt.Sprintf("%04d", version))
		}
	}
	switch {
	case newer:
		s.State = StateTooNew
	case len(s.Changed) > 0:
		s.State = StateChanged
	case len(applied) == 0:
		s.State = StateNotInstalled
	case len(s.Pending) > 0:
		s.State = StateTooOld
	default:
		s.State = StateCurrent
	}
}
