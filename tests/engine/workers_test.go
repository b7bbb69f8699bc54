package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// expire ends the leases of all workers.
func expire(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	exec(tb, pool, `update absurd.workers set lease_expires_at = clock_timestamp()`)
}

func sweep(tb testing.TB, pool *pgxpool.Pool, limit int32) []db.SweptWorker {
	tb.Helper()
	swept, err := db.New().Sweep(tb.Context(), pool, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return swept
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

func TestIdleFlagDecidesWhetherToNotify(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	heard := listen(t, pool)
	idle := func(up bool) {
		t.Helper()
		if err := w.q.SetIdle(t.Context(), pool, db.SetIdleParams{Worker: w.id, Queue: "q", Idle: up}); err != nil {
			t.Fatal(err)
		}
	}
	spawn(t, pool, "")
	idle(true)
	spawn(t, pool, "", "") // one notification a call
	idle(false)
	spawn(t, pool, "")
	if got := heard(); !slices.Equal(got, []string{"q:q"}) {
		t.Errorf("notified %v while the flag was down, up, down", got)
	}

	// Whatever makes a task pending notifies.
	idle(true)
	ready := func(what string, call func()) {
		t.Helper()
		call()
		if got := heard(); !slices.Equal(got, []string{"q:q"}) {
			t.Errorf("%s notified %v", what, got)
		}
	}
	ready("emit", func() {
		w.mustCommit(pass{task: w.claim(1)[0], action: "suspend", waits: []wait{{"w", "e", time.Time{}}}})
		emit(t, pool, "e", `1`)
	})
	ready("release", func() { w.mustCommit(pass{task: w.claim(1)[0], action: "release"}) })
	ready("retry", func() { w.mustCommit(pass{task: w.claim(1)[0], action: "retry", payload: `1`, due: time.Now()}) })
	ready("timer", func() {
		w.mustCommit(pass{task: w.claim(1)[0], action: "suspend", due: hour()})
		anHourPasses(t, pool)
		sweep(t, pool, 10)
	})
	ready("operator", func() {
		task := w.claim(1)[0]
		w.mustCommit(pass{task: task, action: "fail", payload: `1`})
		if _, err := w.q.RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: task.TaskID}); err != nil {
			t.Fatal(err)
		}
	})
	ready("sweep", func() {
		other := newWorker(t, pool)
		other.claim(1)
		exec(t, pool, `update absurd.workers set lease_expires_at = clock_timestamp() where worker_id = $1`, other.id)
		sweep(t, pool, 10)
	})
}

func TestWatchedEndNotifies(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	heard := listen(t, pool)
	ends := map[string]func(db.ClaimedTask){
		"completed": func(task db.ClaimedTask) { w.mustCommit(pass{task: task, action: "complete", payload: `1`}) },
		"failed":    func(task db.ClaimedTask) { w.mustCommit(pass{task: task, action: "fail", payload: `1`}) },
		"cancelled": func(task db.ClaimedTask) { exec(t, pool, `select absurd.cancel_task('q', $1)`, task.TaskID) },
	}
	for state, end := range ends {
		for _, watched := range []bool{false, true} {
			id := spawn(t, pool, "")[0]
			task := w.claimOne()
			var want []string
			if state == "cancelled" { // its worker is told
				want = []string{fmt.Sprint("w:", w.id)}
			}
			if watched {
				want = append(want, "t:"+uuidText(id))
				rows, err := w.q.WatchTask(t.Context(), pool, db.WatchTaskParams{Queue: "q", Task: id})
				if err != nil || len(rows) != 1 || rows[0].State != "running" {
					t.Fatalf("watch: %+v, %v", rows, err)
				}
			}
			end(task)
			if got := heard(); !slices.Equal(got, want) {
				t.Errorf("%s, watched %v: notified %v, want %v", state, watched, got, want)
			}
			rows, err := w.q.WatchTask(t.Context(), pool, db.WatchTaskParams{Queue: "q", Task: id})
			if err != nil || len(rows) != 1 || rows[0].State != state {
				t.Errorf("watch after the end: %+v, %v", rows, err)
			}
		}
	}
	rows, err := w.q.WatchTask(t.Context(), pool, db.WatchTaskParams{Queue: "q", Task: pgtype.UUID{Valid: true}})
	if err != nil || len(rows) != 0 {
		t.Errorf("watch of an unknown task: %+v, %v", rows, err)
	}
}

func TestRetryTaskNow(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	retry := func(id pgtype.UUID) ([]db.RetriedTask, error) {
		return w.q.RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: id})
	}
	id := spawn(t, pool, `{"max_attempts": 1, "cancellation": {"max_duration": 3600}}`)[0]
	first := w.claimOne()
	if _, err := retry(id); err == nil || !strings.Contains(err.Error(), "has not failed") {
		t.Fatalf("retry of a running task: %v", err)
	}
	w.mustCommit(pass{task: first, action: "fail", payload: `{"records": ["charge", "kept", "absent"]}`,
		records: []record{{"charge", "s", "f", `"no"`}, value("kept", `1`), {"other", "s", "f", `"no"`}}})
	// As if the first start were longer ago than max_duration: it counts from the retry.
	exec(t, pool, `update absurd.tasks set first_started_at = first_started_at - interval '2 hours'`)
	rows, err := retry(id)
	if err != nil || len(rows) != 1 || rows[0].Attempt != 2 {
		t.Fatalf("retry: %+v, %v", rows, err)
	}
	if got, want := records(t, pool, id), []string{"s v kept 1", `s F other "no"`}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v: the failures that are named go, what was recorded after them is superseded", got, want)
	}
	exec(t, pool, `update absurd.timers set due_at = clock_timestamp() where kind = 'd'`)
	again := w.claimOne()
	if again.Attempt != 2 || *again.MaxAttempts != 2 || !again.HasRecords || !again.FirstStartedAt.Before(first.FirstStartedAt) {
		t.Errorf("claimed %+v", again)
	}
	w.mustCommit(pass{task: again, action: "complete", payload: `1`})
	if rows, err := retry(pgtype.UUID{Valid: true}); err != nil || len(rows) != 0 {
		t.Errorf("retry of an unknown task: %+v, %v", rows, err)
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
			select {
			case <-ended: // the sweep passes the worker over
			case <-time.After(200 * time.Millisecond): // the retirement waits
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
