package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// reading is a look at the server's counters. All of them are exact at once: statistics that a backend reports some time
// later are not used.
type reading struct {
	lsn        string
	statements int64
	cpu        float64 // milliseconds of all processes of the server
}

// cost is what the server did between two readings.
type cost struct {
	Commits    float64 `json:"commits"` // that wrote something
	WAL        float64 `json:"wal"`     // bytes, without full-page images
	FullPages  float64 `json:"full_pages"`
	Statements float64 `json:"statements"`
	ServerCPU  float64 `json:"server_cpu"` // milliseconds
}

func (s *server) read(ctx context.Context, conn *pgx.Conn, database string) (reading, error) {
	r := reading{cpu: s.cpu()}
	err := conn.QueryRow(ctx, `
		select pg_current_wal_insert_lsn()::text, coalesce(sum(st.calls), 0)::bigint
		from pg_stat_statements st join pg_database d on d.oid = st.dbid
		where d.datname = $1`, database).Scan(&r.lsn, &r.statements)
	return r, err
}

func (s *server) between(ctx context.Context, conn *pgx.Conn, from, to reading) (cost, error) {
	c := cost{Statements: float64(to.statements - from.statements), ServerCPU: to.cpu - from.cpu}
	if from.lsn == to.lsn {
		return c, nil
	}
	// The server can show only what is on disk: a commit writes all that came before it, if it is one that waits.
	if _, err := conn.Exec(ctx, `set synchronous_commit = on; select pg_logical_emit_message(true, 'bench', '')`); err != nil {
		return c, err
	}
	err := conn.QueryRow(ctx, `
		select coalesce(sum(count) filter (where "resource_manager/record_type" = 'Transaction/COMMIT'), 0)::float8,
		       coalesce(sum(record_size), 0)::float8, coalesce(sum(fpi_size), 0)::float8
		from pg_get_wal_stats($1::pg_lsn, $2::pg_lsn, true)`, from.lsn, to.lsn).Scan(&c.Commits, &c.WAL, &c.FullPages)
	if err != nil {
		return c, fmt.Errorf("reading the WAL: %w", err)
	}
	return c, nil
}

// per returns the cost of one of n units.
func (c cost) per(n float64) cost {
	return cost{c.Commits / n, c.WAL / n, c.FullPages / n, c.Statements / n, c.ServerCPU / n}
}

// cpu returns the CPU milliseconds that the server's processes have used, those that have ended included.
func (s *server) cpu() float64 {
	parent := strconv.Itoa(s.pid)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	ticks := 0.0
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile, and its parent has its time
		}
		// pid (comm) state ppid … utime stime cutime cstime are the fields 14 to 17.
		text := string(data)
		f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		switch own := strings.HasPrefix(text, parent+" "); {
		case own:
			ticks += number(f[11]) + number(f[12]) + number(f[13]) + number(f[14])
		case f[1] == parent:
			ticks += number(f[11]) + number(f[12])
		}
	}
	return ticks * 10 // USER_HZ is 100 on every Linux that Go runs on
}

func number(s string) float64 {
	n, _ := strconv.ParseFloat(s, 64) // the kernel writes numbers
	return n
}
