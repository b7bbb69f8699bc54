package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

func sweep(tb testing.TB, pool *pgxpool.Pool, limit int32) []db.SweptWorker {
	tb.Helper()
	swept, err := db.New().Sweep(tb.Context(), pool, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return swept
}

func TestSweepTakesBackAndCounts(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	ids := spawn(t, pool, "", "", "")
	claimed := w.claim(3)
	w.mustCommit(pass{task: claimed[0], action: "complete", payload: `1`})
	if swept := sweep(t, pool, 100); len(swept) != 0 {
		t.Fatalf("swept a living worker: %+v", swept)
	}
	expire(t, pool)
	if swept := sweep(t, pool, 100); len(swept) != 1 || swept[0] != (db.SweptWorker{WorkerID: w.id, Requeued: 2}) {
		t.Fatalf("swept %+v", swept)
	}
	if swept := sweep(t, pool, 100); len(swept) != 0 {
		t.Fatalf("swept twice: %+v", swept)
	}
	next := newWorker(t, pool).claim(10)
	if len(next) != 2 || next[0].TaskID != ids[1] || next[0].LostLeases != 1 || next[0].Attempt != 1 {
		t.Errorf("claimed after it: %+v", next)
	}
	checkInvariants(t, pool)
}

func TestSweepLeavesLockedTasksForTheNext(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "")
	claimed := w.claim(2)
	expire(t, pool)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select from absurd.tasks where task_id = $1 for update`, claimed[0].TaskID)
	if swept := sweep(t, pool, 100); len(swept) != 1 || swept[0].Requeued != 1 {
		t.Fatalf("swept %+v, want the task that is free", swept)
	}
	if n := one[int](t, pool, `select count(*) from absurd.workers`); n != 1 {
		t.Fatalf("%d workers: the dead one still holds a task", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if swept := sweep(t, pool, 100); len(swept) != 1 || swept[0].Requeued != 1 {
		t.Fatalf("swept %+v, want the other task", swept)
	}
	checkInvariants(t, pool)
}

func TestSweepStaysWithinItsLimit(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, make([]string, 40)...)
	for range 4 {
		w.claim(10)
	}
	expire(t, pool)
	for _, want := range []int32{20, 20} {
		swept := sweep(t, pool, 15)
		if len(swept) != 1 || swept[0].Requeued != want {
			t.Fatalf("swept %+v, want %d: whole claims up to the limit", swept, want)
		}
	}
	checkInvariants(t, pool)
}

func TestTenthLostLeaseIsPoison(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	id := spawn(t, pool, "")[0]
	for n := range 10 {
		w := newWorker(t, pool)
		if task := w.claimOne(); task.LostLeases != int32(n) {
			t.Fatalf("lost leases %d, want %d", task.LostLeases, n)
		}
		expire(t, pool)
		want := db.SweptWorker{WorkerID: w.id, Requeued: 1}
		if n == 9 {
			want = db.SweptWorker{WorkerID: w.id, Poisoned: 1}
		}
		if swept := sweep(t, pool, 100); len(swept) != 1 || swept[0] != want {
			t.Fatalf("sweep %d: %+v, want %+v", n, swept, want)
		}
	}
	got := outcome(t, pool, id)
	if got.State != "failed" || got.Attempt != 1 || !strings.Contains(string(got.Failure), `"$LostLease"`) {
		t.Errorf("outcome %+v, failure %s", got, got.Failure)
	}
	checkInvariants(t, pool)
}

// Lost leases count in a row: a task that went to sleep in between has not killed its workers.
func TestSleepForgetsLostLeases(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	spawn(t, pool, "")
	for range 12 {
		w := newWorker(t, pool)
		w.claimOne()
		expire(t, pool)
		sweep(t, pool, 100)
		w = newWorker(t, pool)
		w.mustCommit(pass{task: w.claimOne(), action: "suspend", due: time.Now().Add(-time.Second)})
	}
}
