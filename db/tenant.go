package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Batcher is what [ForTenant] needs of a connection: a pool and a connection of pgx have it.
type Batcher interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// ForTenant returns conn acting for one tenant: each call goes in one round trip and one transaction with [Queries.ChooseTenant], so that
// nothing stays behind in the session, and a pooler between statements does no harm. The role must be allowed that tenant. It is not for
// a transaction, of which the rest would act for the tenant, too.
//
//	tasks, err := db.New().ListTasks(ctx, db.ForTenant(pool, "acme"), db.ListTasksParams{Queue: "orders"})
func ForTenant(conn Batcher, tenant string) DBTX { return tenantConn{conn, tenant} }

type tenantConn struct {
	conn   Batcher
	tenant string
}

func (c tenantConn) send(ctx context.Context, query string, args []any) pgx.BatchResults {
	b := new(pgx.Batch)
	b.Queue(chooseTenant, c.tenant)
	b.Queue(query, args...)
	return c.conn.SendBatch(ctx, b)
}

func (c tenantConn) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	results := c.send(ctx, query, args)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	return tag, firstError(err, results.Close())
}

func (c tenantConn) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	results := c.send(ctx, query, args)
	if _, err := results.Exec(); err != nil {
		return nil, firstError(err, results.Close())
	}
	rows, err := results.Query()
	if err != nil {
		return nil, firstError(err, results.Close())
	}
	return &tenantRows{Rows: rows, results: results}, nil
}

func (c tenantConn) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	rows, err := c.Query(ctx, query, args...)
	return tenantRow{rows, err}
}

// firstError keeps the error of a statement from being told twice: closing the batch returns it, too.
func firstError(err, closing error) error {
	if err != nil {
		return err
	}
	return closing
}

// tenantRows end the batch with themselves: only then is the transaction committed.
type tenantRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *tenantRows) Next() bool {
	more := r.Rows.Next()
	if !more {
		r.Close()
	}
	return more
}

func (r *tenantRows) Close() {
	if r.results == nil {
		return
	}
	r.Rows.Close()
	r.err = firstError(r.Rows.Err(), r.results.Close())
	r.results = nil
}

func (r *tenantRows) Err() error {
	if r.results != nil {
		return r.Rows.Err()
	}
	return r.err
}

type tenantRow struct {
	rows pgx.Rows
	err  error
}

func (r tenantRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	err := r.rows.Scan(dest...)
	r.rows.Close()
	return errors.Join(err, r.rows.Err())
}
