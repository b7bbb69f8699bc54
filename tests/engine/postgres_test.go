package engine

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// newDatabase returns a pool on an empty database of the test's own.
func newDatabase(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, _ := pgtest.Empty(tb)
	return pool
}

// newEngine returns a pool on a database of the test's own with the schema installed and a queue "q".
func newEngine(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, _ := pgtest.Database(tb)
	exec(tb, pool, `select absurd.create_queue('q')`)
	return pool
}
