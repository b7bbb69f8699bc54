package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// expire ends the leases of all workers.
func expire(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	exec(tb, pool, `update absurd.workers set lease_expires_at = clock_timestamp()`)
}

func TestLeases(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	q := db.New()
	w := newWorker(t, pool)
	end := one[time.Time](t, pool, `select lease_expires_at from absurd.workers`)

	// A shorter lease does not shorten the one that runs.
	renewed, err := q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: 1})
	if err != nil || len(renewed) != 1 || !renewed[0].LeaseEnd.Equal(end) {
		t.Fatalf("renewed for 1 ms: %v, %v, want %v", renewed, err, end)
	}
	renewed, err = q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: 10 * lease})
	if err != nil || len(renewed) != 1 || !renewed[0].LeaseEnd.After(end) {
		t.Fatalf("renewed: %v, %v, want after %v", renewed, err, end)
	}
	for _, leaseMs := range []int32{0, -1} {
		_, err := q.RegisterWorker(t.Context(), pool, db.RegisterWorkerParams{Name: "w", LeaseMs: leaseMs})
		if !errors.Is(db.Err(err), db.ErrInvalidOption) {
			t.Errorf("register with a lease of %d ms: %v", leaseMs, err)
		}
		_, err = q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: leaseMs})
		if !errors.Is(db.Err(err), db.ErrInvalidOption) {
			t.Errorf("renew with a lease of %d ms: %v", leaseMs, err)
		}
	}

	// A lost lease stays lost.
	expire(t, pool)
	if renewed, err := q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: lease}); err != nil || len(renewed) > 0 {
		t.Errorf("renewed an ended lease: %v, %v", renewed, err)
	}
	if _, err := q.ClaimTasks(t.Context(), pool, db.ClaimTasksParams{Queue: "q", Worker: w.id, MaxTasks: 1, NameNos: w.names}); !errors.Is(db.Err(err), db.ErrWorkerLost) {
		t.Errorf("claim after the lease: %v", err)
	}
	if _, err := q.JoinQueue(t.Context(), pool, db.JoinQueueParams{Worker: w.id, Queue: "q", Names: []string{"t"}}); !errors.Is(db.Err(err), db.ErrWorkerLost) {
		t.Errorf("join after the lease: %v", err)
	}
	if renewed, err := q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: 1 << 40, LeaseMs: lease}); err != nil || len(renewed) > 0 {
		t.Errorf("renewed an unknown worker: %v, %v", renewed, err)
	}
}

func TestUnknownQueueIsNamed(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	q := db.New()
	w := newWorker(t, pool)
	for name, call := range map[string]func() error{
		"spawn": func() error {
			_, err := q.SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "nope"})
			return err
		},
		"claim": func() error {
			_, err := q.ClaimTasks(t.Context(), pool, db.ClaimTasksParams{Queue: "nope", Worker: w.id, MaxTasks: 1})
			return err
		},
		"join": func() error {
			_, err := q.JoinQueue(t.Context(), pool, db.JoinQueueParams{Queue: "nope", Worker: w.id})
			return err
		},
		"idle": func() error {
			return q.SetIdle(t.Context(), pool, db.SetIdleParams{Queue: "nope", Worker: w.id, Idle: true})
		},
		"emit": func() error {
			_, err := q.EmitEvents(t.Context(), pool, db.EmitEventsParams{Queue: "nope"})
			return err
		},
		"commit": func() error {
			_, err := q.CommitPasses(t.Context(), pool, db.CommitPassesParams{Queue: "nope", Worker: w.id})
			return err
		},
		"watch": func() error {
			_, err := q.WatchTask(t.Context(), pool, db.WatchTaskParams{Queue: "nope"})
			return err
		},
		"release": func() error {
			_, err := q.ReleaseClaims(t.Context(), pool, db.ReleaseClaimsParams{Queue: "nope", Worker: w.id})
			return err
		},
	} {
		err := db.Err(call())
		if !errors.Is(err, db.ErrUnknownQueue) || !strings.Contains(err.Error(), `db: queue "nope" does not exist: create it first`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRetireHandsEverythingBack(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	ids := spawn(t, pool, "", "", "", "")
	claimed := append(w.claim(2), w.claim(1)...)
	w.mustCommit(pass{task: claimed[0], action: "complete", payload: `1`})
	back, err := w.q.RetireWorker(t.Context(), pool, w.id)
	if err != nil || back != 2 {
		t.Fatalf("handed back %d, %v, want 2", back, err)
	}
	if n := one[int](t, pool, `select (select count(*) from absurd.workers) + (select count(*) from absurd.claims) + (select count(*) from absurd.worker_queues)`); n != 0 {
		t.Errorf("%d rows of the worker stayed", n)
	}
	if got := w.commit(pass{task: claimed[1], action: "complete", payload: `1`}); got[0] != "lost" {
		t.Errorf("a retired worker's write: %v", got)
	}
	next := newWorker(t, pool).claim(10)
	if len(next) != 3 || next[0].TaskID != ids[1] || next[0].Token != 3 || next[0].LostLeases != 0 || next[0].Attempt != 1 {
		t.Errorf("claimed after it: %+v", next) // token: claim, taking back, claim
	}
	checkInvariants(t, pool)
	if back, err := w.q.RetireWorker(t.Context(), pool, w.id); err != nil || back != 0 {
		t.Errorf("retired twice: %d, %v", back, err)
	}
}

func TestReleaseClaimsThatNobodyKnows(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "", "", "")
	known := w.claim(1)[0]
	// A run that was claimed, let go and claimed again with a lost answer belongs to the later claim.
	again := w.claim(1)[0]
	w.mustCommit(pass{task: again, action: "release"})
	if lost := w.claim(3); len(lost) != 3 {
		t.Fatalf("claimed %d", len(lost))
	}
	back, err := w.q.ReleaseClaims(t.Context(), pool, db.ReleaseClaimsParams{Worker: w.id, Queue: "q", Known: []int64{known.ClaimNo, again.ClaimNo}})
	if err != nil || back != 3 {
		t.Fatalf("released %d, %v, want 3", back, err)
	}
	w.mustCommit(pass{task: known, action: "complete", payload: `1`})
	if next := w.claim(10); len(next) != 3 || next[0].LostLeases != 0 {
		t.Errorf("claimed after it: %+v", next)
	}
	checkInvariants(t, pool)
}

// A worker is not removed while a claim of its own is being committed: nobody would find the runs again.
func TestWorkerStaysWhileItClaims(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*pgxpool.Pool, *worker){
		"retire": func(pool *pgxpool.Pool, w *worker) {
			if _, err := w.q.RetireWorker(t.Context(), pool, w.id); err != nil {
				t.Error(err)
			}
		},
		"sweep": func(pool *pgxpool.Pool, w *worker) {
			expire(t, pool)
			sweep(t, pool, 100)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			spawn(t, pool, "")
			w := newWorker(t, pool)
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.q.ClaimTasks(t.Context(), tx, db.ClaimTasksParams{Queue: "q", Worker: w.id, MaxTasks: 1, NameNos: w.names}); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); end(pool, w) }()
			if name == "sweep" {
				<-ended // it passes the worker over
			} else {
				waitForLocks(t, pool, 1)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-ended
			expire(t, pool)
			sweep(t, pool, 100)
			if got := newWorker(t, pool).claim(1); len(got) != 1 {
				t.Error("the claimed task is held by a worker that is gone: nobody will run it")
			}
			checkInvariants(t, pool)
		})
	}
}
