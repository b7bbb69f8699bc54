package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// showStatements prints what took the server's time in a database.
func showStatements(ctx context.Context, conn *pgx.Conn, database string) error {
	rows, err := conn.Query(ctx, `
		select calls, total_exec_time, total_plan_time, rows, shared_blks_hit, wal_bytes::float8, toplevel, regexp_replace(left(query, 150), '\s+', ' ', 'g')
		from pg_stat_statements
		where dbid = (select oid from pg_database where datname = $1)
		order by total_exec_time desc limit 30`, database)
	if err != nil {
		return err
	}
	var (
		calls, touched, hits int64
		total, planning, wal float64
		top                  bool
		query                string
	)
	_, err = pgx.ForEachRow(rows, []any{&calls, &total, &planning, &touched, &hits, &wal, &top, &query}, func() error {
		mark := " "
		if top {
			mark = "*"
		}
		fmt.Printf("    %s %8.1f ms %7d calls %7.1f ms planning %8d rows %9d hits %10.0f WAL  %s\n", mark, total, calls, planning, touched, hits, wal, query)
		return nil
	})
	return err
}

// showWAL prints what kinds of records the WAL between two readings is made of.
func showWAL(ctx context.Context, conn *pgx.Conn, from, to reading, units int) error {
	rows, err := conn.Query(ctx, `
		select "resource_manager/record_type", count::float8, record_size::float8, fpi_size::float8
		from pg_get_wal_stats($1::pg_lsn, $2::pg_lsn, true) where count > 0 order by record_size desc limit 20`, from.lsn, to.lsn)
	if err != nil {
		return err
	}
	var kind string
	var count, size, full float64
	_, err = pgx.ForEachRow(rows, []any{&kind, &count, &size, &full}, func() error {
		n := float64(units)
		fmt.Printf("    %-30s %8.3f records, %7.1f bytes, %7.1f bytes of full pages each\n", kind, count/n, size/n, full/n)
		return nil
	})
	return err
}
