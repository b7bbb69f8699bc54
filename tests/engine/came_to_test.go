package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// What claims have taken stays in the index until the next vacuum. A worker that has much before it does not walk past all of that at each claim.
func TestClaimsGoOnFromWhereTheLastCame(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			exec(t, pool, fmt.Sprintf(`select absurd.drop_queue('q'); select absurd.create_queue('q', '%s')`, mode))
			stopAutovacuum(t, pool)
			w := newWorker(t, pool, "t", "other")
			for range 15 {
				spawn(t, pool, make([]string, 1000)...)
			}
			conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			claims := func(n int) (least int) {
				for range n {
					// All time is one moment: none of these looks from the beginning again.
					exec(t, conn, `set absurd.fake_now = '2100-01-01'`)
					exec(t, conn, `update absurd.workers set lease_expires_at = 'infinity'`)
					if pages := pagesOf(t, conn, `select * from absurd.claim_tasks('q', $1, 50, $2, '{}')`, w.id, w.names); least == 0 || pages < least {
						least = pages
					}
				}
				return least
			}
			first := claims(20)
			claims(250)
			if last := claims(20); last > first+50 {
				t.Errorf("a claim of 50 tasks touches %d pages, and %d when 14,000 have been taken before", first, last)
			}
		})
	}
}

// A claim that goes on from where the last one came misses nothing of a higher priority, and what is older for a tenth of a second at most, and only
// while there is more than it asks for.
func TestClaimsThatGoOnMissNothing(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	exec(t, pool, `update absurd.workers set lease_expires_at = 'infinity'`)
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	start := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) {
		exec(t, conn, fmt.Sprintf(`set absurd.fake_now = '%s'`, start.Add(time.Duration(ms)*time.Millisecond).Format(time.RFC3339Nano)))
	}
	spawn := func(n, priority int) []pgtype.UUID {
		t.Helper()
		return column[pgtype.UUID](t, conn, `select task_id from absurd.spawn_tasks('q', array_fill('t'::text, array[$1::int]), array_fill('1'::jsonb, array[$1]),
			array_fill(jsonb_build_object('priority', $2::int), array[$1])) order by ord`, n, priority)
	}
	claim := func(n int) []pgtype.UUID {
		t.Helper()
		return column[pgtype.UUID](t, conn, `select task_id from absurd.claim_tasks('q', $1, $2, $3, '{}')`, w.id, n, w.names)
	}
	at(1000)
	tasks := spawn(200, 0)
	equal(t, "the first", claim(40), tasks[:40])
	at(0)
	older := spawn(1, 0)
	at(1000)
	urgent := spawn(1, -1)
	equal(t, "with an urgent one", claim(40), slices.Concat(urgent, older, tasks[40:78]))
	at(0)
	older = spawn(1, 0)
	at(1050)
	equal(t, "right after", claim(40), tasks[78:118])
	equal(t, "a few, in the exact order", claim(5), slices.Concat(older, tasks[118:122]))
	at(0)
	older = spawn(1, 0)
	at(1101)
	equal(t, "a tenth of a second later", claim(40), slices.Concat(older, tasks[122:161]))
	at(0)
	older = spawn(1, 0)
	at(1102)
	equal(t, "all that is left", claim(40), slices.Concat(older, tasks[161:]))
}
