package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// SQL makes the queries of package db run in a transaction of package database/sql. Parameters go as texts, which every driver passes on
// and the server reads by the types that the queries name.
func SQL(tx *sql.Tx) db.DBTX { return sqlTx{tx} }

type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	_, err := t.tx.ExecContext(ctx, query, texts(args)...)
	return pgconn.CommandTag{}, sqlError(err)
}

func (t sqlTx) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	rows, err := t.tx.QueryContext(ctx, query, texts(args)...) //nolint:rowserrcheck // whoever gets the rows asks sqlRows.Err
	if err != nil {
		return nil, sqlError(err)
	}
	return &sqlRows{rows: rows}, nil
}

func (t sqlTx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	rows, err := t.Query(ctx, query, args...)
	return sqlRow{rows, err}
}

// sqlError gives an error of another driver than pgx the SQLSTATE that it knows: drivers tell it by this method.
func sqlError(err error) error {
	var pg *pgconn.PgError
	var other interface{ SQLState() string }
	if err == nil || errors.As(err, &pg) || !errors.As(err, &other) {
		return err
	}
	message := strings.TrimPrefix(err.Error(), "pq: ")
	return fmt.Errorf("%w (%w)", &pgconn.PgError{Severity: "ERROR", Code: other.SQLState(), Message: message}, err)
}

// texts writes parameters as texts.
func texts(args []any) []any {
	written := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case []string:
			written[i] = array(v, func(s string) (string, bool) { return s, true })
		case []json.RawMessage:
			written[i] = array(v, func(m json.RawMessage) (string, bool) { return string(m), m != nil })
		case []pgtype.UUID:
			written[i] = array(v, func(id pgtype.UUID) (string, bool) { return id.String(), id.Valid })
		default:
			written[i] = arg
		}
	}
	return written
}

// array writes the text form of an array; an element without text is null.
func array[T any](elements []T, text func(T) (string, bool)) any {
	if elements == nil {
		return nil
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		s, ok := text(e)
		if !ok {
			b.WriteString("NULL")
			continue
		}
		b.WriteByte('"')
		b.WriteString(quoteElement.Replace(s))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

var quoteElement = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// sqlRows are the rows of package database/sql as those of pgx, as far as generated code asks.
type sqlRows struct {
	rows *sql.Rows
	err  error
}

func (r *sqlRows) Close()                 { r.err = errors.Join(r.err, r.rows.Close()) }
func (r *sqlRows) Err() error             { return sqlError(errors.Join(r.err, r.rows.Err())) }
func (r *sqlRows) Next() bool             { return r.rows.Next() }
func (r *sqlRows) Scan(dest ...any) error { return r.rows.Scan(dest...) }

func (r *sqlRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (r *sqlRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r *sqlRows) Values() ([]any, error)                       { return nil, errors.ErrUnsupported }
func (r *sqlRows) RawValues() [][]byte                          { return nil }
func (r *sqlRows) Conn() *pgx.Conn                              { return nil }

func (r *sqlRows) TypeMap() *pgtype.Map { return nil }

type sqlRow struct {
	rows pgx.Rows
	err  error
}

func (r sqlRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return errors.Join(r.rows.Err(), sql.ErrNoRows)
	}
	return r.rows.Scan(dest...)
}
