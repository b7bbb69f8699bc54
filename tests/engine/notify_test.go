package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// listen listens on channel absurd. The function it returns gives everything notified since the last call: the engine's
// notifications come in the order of commits, so what it sends itself comes after all of them.
func listen(tb testing.TB, pool *pgxpool.Pool) func() []string {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), pool.Config().ConnConfig)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.Background()) })
	exec(tb, conn, `listen absurd`)
	calls := 0
	return func() []string {
		tb.Helper()
		calls++
		end := fmt.Sprint("end ", calls)
		exec(tb, pool, `select pg_notify('absurd', $1)`, end)
		var heard []string
		for {
			n, err := conn.WaitForNotification(tb.Context())
			if err != nil {
				tb.Fatal(err)
			}
			if n.Payload == end {
				return heard
			}
			heard = append(heard, n.Payload)
		}
	}
}

// patience is how long a test waits for something that must come. It is no measure of speed.
const patience = 3 * time.Minute

// waitUntil waits until a query says true.
func waitUntil(tb testing.TB, on querier, query string, args ...any) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !one[bool](tb, on, query, args...); {
		if time.Now().After(deadline) {
			tb.Fatalf("still not true after %v: %s", patience, query)
		}
	}
}

// waitForLocks waits until at least n sessions of the pool's database wait for a lock that another session holds.
func waitForLocks(tb testing.TB, pool *pgxpool.Pool, n int) {
	tb.Helper()
	waitUntil(tb, pool, `select count(*) >= $1 from pg_stat_activity
		where datname = current_database() and backend_type = 'client backend' and wait_event_type = 'Lock' and wait_event <> 'extend'`, n)
}

// anHourPasses lets an hour pass for whatever sleeps: times move, since the clock does not.
func anHourPasses(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	exec(tb, pool, `
		update absurd.timers set due_at = due_at - interval '1 hour';
		update absurd.waits set timeout_at = timeout_at - interval '1 hour';
		update absurd.tasks set available_at = available_at - interval '1 hour' where state in ('s', 'b')`)
}

func uuidText(id pgtype.UUID) string { return id.String() }
