package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// installLock is the key of the advisory lock that installers hold while they look and apply: "absurd" in ASCII.
const installLock = 0x616273757264

// lockTimeout bounds how long a migration may wait for a table that others use. Whoever comes after a waiting migration
// waits behind it, so it must give up soon; nothing is lost, the caller installs again.
const lockTimeout = "5s"

// Install applies the migrations that the database lacks, each in a transaction of its own. Many processes may call it at
// once: one applies, the others wait and find nothing to do. A schema that is foreign, newer or changed is left alone and
// answered with a *SchemaError.
func Install(ctx context.Context, conn Conn) error {
	migrations, err := loadMigrations(migrationFiles)
	if err != nil {
		return err
	}
	return install(ctx, conn, migrations)
}

func install(ctx context.Context, conn Conn, migrations []migration) error {
	// One look without a lock, so that an installed database costs two reads.
	status, err := readStatus(ctx, conn, migrations)
	for err == nil && (status.State == StateNotInstalled || status.State == StateTooOld) {
		status, err = applyNext(ctx, conn, migrations)
	}
	if err != nil {
		return err
	}
	return status.Err()
}

// applyNext applies the first pending migration, if any is left once the lock is held, and returns the status after it.
func applyNext(ctx context.Context, conn Conn, migrations []migration) (status Status, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("db: begin migration: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(tx.Rollback(context.WithoutCancel(ctx))))
		}
	}()
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(installLock)); err != nil {
		return Status{}, fmt.Errorf("db: wait for another installer: %w", err)
	}
	status, err = readStatus(ctx, tx, migrations)
	if err != nil {
		return Status{}, err
	}
	if status.State == StateNotInstalled || status.State == StateTooOld {
		next := migrations[slices.IndexFunc(migrations, func(m migration) bool { return m.String() == status.Pending[0] })]
		if err := apply(ctx, tx, next); err != nil {
			return Status{}, err
		}
		if status, err = readStatus(ctx, tx, migrations); err != nil {
			return Status{}, err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return Status{}, fmt.Errorf("db: commit migration: %w", err)
	}
	return status, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, pgx.ErrTxClosed) {
		return nil
	}
	return err
}

func apply(ctx context.Context, tx pgx.Tx, m migration) error {
	_, err := tx.Exec(ctx, `select set_config('lock_timeout', $1, true)`, lockTimeout)
	if err == nil {
		// The simple protocol takes many statements at once.
		_, err = tx.Exec(ctx, m.sql, pgx.QueryExecModeSimpleProtocol)
	}
	if err == nil {
		_, err = tx.Exec(ctx, renewSQL)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `insert into absurd.migrations (version, name, checksum) values ($1, $2, $3)`, m.version, m.name, m.checksum)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55P03" {
		return fmt.Errorf("db: migration %s waited %s for a table that other transactions use, and gave up; nothing was changed: try again: %w",
			m, lockTimeout, err)
	}
	if err != nil {
		return fmt.Errorf("db: migration %s: %w", m, err)
	}
	return nil
}

// renewSQL ends every migration: what partitioned queues have of their own is made anew from what is installed now. A function
// of that name comes with a late migration.
const renewSQL = `do $renew$
begin
  if to_regprocedure('absurd.renew_storage()') is not null then
    perform absurd.renew_storage();
  end if;
end
$renew$`

// Plan returns everything the database lacks as one SQL script: the whole schema where nothing is installed, an empty
// string where nothing is missing. The script uses plain SQL only and may run inside a transaction, so psql, a driver's
// one multi-statement call and other migration tools can all apply it; it records the migrations just as Install does.
func Plan(ctx context.Context, conn Conn) (string, error) {
	migrations, err := loadMigrations(migrationFiles)
	if err != nil {
		return "", err
	}
	status, err := readStatus(ctx, conn, migrations)
	if err != nil {
		return "", err
	}
	switch status.State {
	case StateCurrent:
		return "", nil
	case StateNotInstalled, StateTooOld:
		missing := slices.DeleteFunc(migrations, func(m migration) bool { return !slices.Contains(status.Pending, m.String()) })
		return script(status.Version, missing), nil
	default:
		return "", status.Err()
	}
}

// PlanAll returns the script for an empty database, as Plan does, without a connection.
func PlanAll() (string, error) {
	migrations, err := loadMigrations(migrationFiles)
	if err != nil {
		return "", err
	}
	return script(0, migrations), nil
}

// script joins migrations into one script for a database at version from.
func script(from int, migrations []migration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- Schema absurd: from version %d to %d, to be applied as one transaction.\n\n",
		from, migrations[len(migrations)-1].version)
	writeGuard(&b, from)
	for _, m := range migrations {
		fmt.Fprintf(&b, "\n-- %s\n\n%s\n", m, strings.TrimRight(m.sql, "\n"))
		fmt.Fprintf(&b, "\ninsert into absurd.migrations (version, name, checksum) values (%d, '%s', '%s');\n", m.version, m.name, m.checksum)
	}
	fmt.Fprintf(&b, "\n%s;\n", renewSQL)
	return b.String()
}

// writeGuard writes the statement that stops a script from running on a database at another version than from.
func writeGuard(w io.Writer, from int) {
	fmt.Fprintf(w, `do $guard$
declare
  v_version integer := 0;
begin
  perform pg_advisory_xact_lock(%d);
  if to_regclass('absurd.migrations') is not null then
    select coalesce(max(version), 0) into v_version from absurd.migrations;
  elsif exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'absurd')
     or exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'absurd') then
    raise exception 'schema absurd exists and was not made by this project';
  end if;
  if v_version <> %d then
    raise exception 'this script brings schema absurd from version %d on, but it is at version %%', v_version;
  end if;
end
$guard$;
`, installLock, from, from)
}
