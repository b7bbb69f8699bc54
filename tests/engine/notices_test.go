package engine

import (
	"context"
	"testing"

	"github.com/absurdgen/absurdgen/db"
)

// An open transaction that tells a worker something holds a row that a renewal would tidy away. The renewal does not wait for it.
func TestRenewalWaitsForNoNotice(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	exec(t, pool, `insert into absurd.notices (worker_id, task_id, queue_no, noted_at)
		select $1, t.task_id, t.queue_no, now() - interval '1 hour' from absurd.tasks t where t.task_id = $2`, w.id, id)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	exec(t, tx, `update absurd.notices set noted_at = now()`)

	limit, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := db.New().RenewWorker(limit, pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: lease}); err != nil {
		t.Fatalf("renewal beside an open transaction: %v", err)
	}
}
