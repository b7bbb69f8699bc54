package engine

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// A tenant's task waits for a message as any other does: its worker stores the wait, its client's message wakes it, and its viewer sees
// it, also where row-level security binds the owner.
func TestInboxOfATenant(t *testing.T) {
	t.Parallel()
	for name, newEngine := range map[string]func(testing.TB) *pgxpool.Pool{"owned by a superuser": newRoles, "behind row-level security": newOwned} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			acme := pgtest.Login(t, pool, "acme", "client worker viewer", "acme")
			task := spawn(t, acme, "")[0]
			w := newWorker(t, acme)
			send := func(payload string) {
				t.Helper()
				if got := one[string](t, acme, `select answer from absurd.send_messages('q', $1, '{in}', '{""}', array[$2::jsonb])`, []pgtype.UUID{task}, payload); got != "sent" {
					t.Fatalf("sent: %s", got)
				}
			}
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{name: "first", event: "in"}}})
			if got := one[int](t, acme, `select count(*) from absurd.list_tasks('q', '{sleeping}')`); got != 1 {
				t.Errorf("%d sleeping tasks are listed, want 1", got)
			}
			if got := one[int](t, acme, `select waits from absurd.queue_statistics('q')`); got != 1 {
				t.Errorf("%d waits are counted, want 1", got)
			}
			if got := one[int](t, acme, `select count(*) from absurd.list_waits('q')`); got != 1 {
				t.Errorf("%d waits are listed, want 1", got)
			}
			send(`1`)
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{name: "second", event: "in"}}})
			send(`2`)
			if got := records(t, pool, task); !slices.Equal(got, []string{"m v first 1", "m v second 2"}) {
				t.Errorf("records %q", got)
			}
		})
	}
}
