package engine

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

func limit(t *testing.T, pool *pgxpool.Pool, n int32) {
	t.Helper()
	if err := db.New().SetQueueLimit(t.Context(), pool, db.SetQueueLimitParams{Queue: "q", MaxRunning: &n}); err != nil {
		t.Fatal(err)
	}
}

func TestPausedQueueStartsNothing(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	running := spawn(t, pool, "")
	task := w.claimOne()
	if err := db.New().PauseQueue(t.Context(), pool, "q"); err != nil {
		t.Fatal(err)
	}
	waiting := spawn(t, pool, "")[0]
	if got := w.claim(10); len(got) != 0 {
		t.Errorf("claimed %d runs of a paused queue", len(got))
	}
	if n := one[int](t, pool, `select count(*) from absurd.claim_task('q', 'sdk', 60, 10)`); n != 0 {
		t.Errorf("claim_task gave out %d runs of a paused queue", n)
	}
	w.mustCommit(pass{task: task, action: "complete", payload: `1`})
	if got := outcome(t, pool, running[0]).State; got != "completed" {
		t.Errorf("what was running is %s", got)
	}
	if stats, err := db.New().QueueStatistics(t.Context(), pool, ptr("q")); err != nil || !stats[0].Paused {
		t.Errorf("statistics of a paused queue: %+v, %v", stats, err)
	}

	if err := db.New().SetIdle(t.Context(), pool, db.SetIdleParams{Worker: w.id, Queue: "q", Idle: true}); err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec(t, conn, `listen absurd`)
	if err := db.New().ResumeQueue(t.Context(), pool, "q"); err != nil {
		t.Fatal(err)
	}
	if note, err := conn.Conn().WaitForNotification(t.Context()); err != nil || note.Payload != notice("q:", "q") {
		t.Errorf("idle workers heard %+v, %v", note, err)
	}
	if got := w.claimOne(); got.TaskID != waiting {
		t.Errorf("claimed %s after the pause, want %s", got.TaskID, waiting)
	}
}

func TestQueueLimit(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	a, b := newWorker(t, pool), newWorker(t, pool)
	limit(t, pool, 3)
	for range 6 {
		spawn(t, pool, "")
	}
	held := a.claim(2)
	if n := one[int](t, pool, `select count(*) from absurd.claim_task('q', 'sdk', 0, 10)`); len(held) != 2 || n != 1 {
		t.Fatalf("claimed %d and %d runs, want 2 and 1", len(held), n)
	}
	if got := b.claim(10); len(got) != 0 {
		t.Fatalf("claimed %d runs beyond the limit", len(got))
	}
	// A sleeping run is not running, and neither is one that has ended.
	a.mustCommit(pass{task: held[0], action: "suspend", due: hour()}, pass{task: held[1], action: "complete", payload: `1`})
	got := b.claim(10)
	if len(got) != 2 {
		t.Fatalf("claimed %d runs after two made room", len(got))
	}
	limit(t, pool, 1)
	b.mustCommit(pass{task: got[0], action: "complete", payload: `1`})
	if got := a.claim(10); len(got) != 0 {
		t.Fatalf("claimed %d runs while more run than a lowered limit allows", len(got))
	}
	if err := db.New().SetQueueLimit(t.Context(), pool, db.SetQueueLimitParams{Queue: "q"}); err != nil {
		t.Fatal(err)
	}
	if got := a.claim(10); len(got) != 1 {
		t.Errorf("claimed %d runs without a limit, want the last one", len(got))
	}
	zero := int32(0)
	for _, test := range []struct {
		arg  db.SetQueueLimitParams
		want error
	}{{db.SetQueueLimitParams{Queue: "other"}, db.ErrUnknownQueue}, {db.SetQueueLimitParams{Queue: "q", MaxRunning: &zero}, db.ErrInvalidOption}} {
		if err := db.Err(db.New().SetQueueLimit(t.Context(), pool, test.arg)); !errors.Is(err, test.want) {
			t.Errorf("set_queue_limit of %+v: %v, want %v", test.arg, err, test.want)
		}
	}
}

// Claims that meet never take more together than the limit allows, and all work gets done.
func TestQueueLimitHoldsUnderConcurrentClaims(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	const most, tasks = 5, 200
	limit(t, pool, most)
	spawn(t, pool, make([]string, tasks)...)
	done := make(chan pgtype.UUID, tasks)
	var wg sync.WaitGroup
	for range 6 {
		w := newWorker(t, pool)
		wg.Go(func() {
			for len(done) < tasks && t.Context().Err() == nil {
				claimed, err := w.q.ClaimTasks(t.Context(), pool, db.ClaimTasksParams{Queue: "q", Worker: w.id, MaxTasks: 3, NameNos: w.names})
				if err != nil {
					t.Error(err)
					return
				}
				if n := one[int](t, pool, `select count(*) from absurd.tasks where state = 'r'`); n > most {
					t.Errorf("%d runs at once, the limit is %d", n, most)
				}
				for _, task := range claimed {
					answers, err := w.try(pool, w.arguments(pass{task: task, action: "complete", payload: `1`}))
					if err != nil || answers[0] != "ok" {
						t.Errorf("complete: %v, %v", answers, err)
					}
					done <- task.TaskID
				}
			}
		})
	}
	wg.Wait()
	if n := one[int](t, pool, `select count(*) from absurd.tasks where state = 'c'`); n != tasks {
		t.Errorf("%d of %d tasks are done", n, tasks)
	}
}

// Another claim's open transaction delays a claim of a limited queue for a moment, and no claim of other queues.
func TestQueueLimitDoesNotWaitLong(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	limit(t, pool, 3)
	spawn(t, pool, "", "")
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	exec(t, tx, `select absurd.claim_task('q', 'sdk', 60)`)
	if got := w.claim(10); len(got) != 0 {
		t.Errorf("claimed %d runs beside a claim that is not committed", len(got))
	}
	if setting := one[string](t, tx, `select current_setting('lock_timeout')`); setting != "0" {
		t.Errorf("claim_task left lock_timeout at %s", setting)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.claim(10); len(got) != 2 {
		t.Errorf("claimed %d runs after it, want 2", len(got))
	}
}
