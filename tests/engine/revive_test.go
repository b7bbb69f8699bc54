package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

func retryNow(t *testing.T, pool *pgxpool.Pool, task pgtype.UUID) {
	t.Helper()
	rows, err := db.New().RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: task})
	if err != nil || len(rows) != 1 {
		t.Fatalf("retry: %+v, %v", rows, err)
	}
}

// However a task was cancelled, it can be tried again, with what it has recorded, and its old attempt shows how that has ended.
func TestCancelledTasksCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	for name, cancel := range map[string]func() pgtype.UUID{
		"asleep": func() pgtype.UUID {
			task := w.suspended(wait{"w", "never", hour()})
			exec(t, pool, `select absurd.cancel_task('q', $1)`, task)
			return task
		},
		"running": func() pgtype.UUID {
			task := spawn(t, pool, "")[0]
			w.mustCommit(pass{task: w.claimOne(), action: "record", records: []record{value("a", `1`)}})
			exec(t, pool, `select absurd.terminate_task('q', $1)`, task)
			return task
		},
		"before its start, by its policy": func() pgtype.UUID {
			task := spawn(t, pool, `{"cancellation": {"max_delay": 60}}`)[0]
			exec(t, pool, `update absurd.tasks set enqueue_at = enqueue_at - interval '1 hour' where task_id = $1`, task)
			exec(t, pool, `update absurd.timers set due_at = clock_timestamp() where task_id = $1`, task)
			w.claim(1)
			return task
		},
		"after it had cleaned up": func() pgtype.UUID {
			task := spawn(t, pool, "")[0]
			c := w.claimOne()
			w.mustCommit(pass{task: c, action: "record", records: []record{value("a", `1`)}})
			exec(t, pool, `select absurd.request_cancel('q', $1)`, task)
			w.commit(pass{task: c, action: "cancel", records: []record{{"$cancel", "k", "v", `[]`}, value("undo", `1`)}})
			return task
		},
	} {
		task := cancel()
		if got := state(t, pool, task); got != "cancelled" {
			t.Fatalf("%s: the task is %s", name, got)
		}
		retryNow(t, pool, task)
		again := w.claimOne()
		if again.TaskID != task || again.Attempt != 2 || again.CancelRequested {
			t.Errorf("%s: claimed %+v", name, again)
		}
		if got := column[string](t, pool, `select state from absurd.r_q where task_id = $1 order by attempt`, task); !slices.Equal(got, []string{"cancelled", "running"}) {
			t.Errorf("%s: the runs are %v", name, got)
		}
		for _, r := range records(t, pool, task) {
			if strings.Contains(r, "$cancel") || strings.Contains(r, "undo") && !strings.HasPrefix(r, "s V ") {
				t.Errorf("%s: record %s", name, r)
			}
		}
		w.mustCommit(pass{task: again, action: "complete", payload: `1`})
		if _, err := w.q.RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: task}); err == nil || !strings.Contains(err.Error(), "is completed") {
			t.Errorf("%s: retry of a completed task: %v", name, err)
		}
		checkInvariants(t, pool)
	}
}

// A task that is tried again hears of the children that have ended since it did, and of those that are gone.
func TestRevivedParentHearsOfItsChildren(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	parent, children := family(t, pool, w, 3)
	exec(t, pool, `select absurd.terminate_task('q', $1)`, parent) // and so the children
	exec(t, pool, `select absurd.retry_task_now('q', $1)`, children[0].TaskID)
	exec(t, pool, `delete from absurd.notices`) // as time does
	exec(t, pool, `select absurd.delete_task(q.queue_no, $1) from absurd.queues q`, children[1].TaskID)
	retryNow(t, pool, parent)
	got := records(t, pool, parent)
	if len(got) != 3 || !strings.HasPrefix(got[0], "c n child 0") && !strings.HasPrefix(got[2], "c n child 0") {
		t.Fatalf("records %q: the first child runs again, and the others have ended", got)
	}
	all := strings.Join(got, "\n")
	if !strings.Contains(all, "c f child 1") || !strings.Contains(all, "the task is gone") || !strings.Contains(all, "c f child 2") {
		t.Errorf("records %q", got)
	}
	// It sleeps until the first one ends.
	held := w.claim(2)
	if held[0].TaskID != parent {
		slices.Reverse(held)
	}
	w.mustCommit(pass{task: held[0], action: "suspend"})
	w.mustCommit(pass{task: held[1], action: "complete", payload: `7`})
	if got := state(t, pool, parent); got != "pending" {
		t.Errorf("the parent is %s after its child has ended", got)
	}
	checkInvariants(t, pool)
}

// What a worker is just recording for a task that is cancelled and tried again, or cleaned up, is there before, or not at all.
func TestRecordsStayInTheirAttempt(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	tasks := spawn(t, pool, "", "")
	claimed := w.claim(2)
	flush, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer flush.Rollback(t.Context()) //nolint:errcheck // it has ended
	arg := w.arguments(
		pass{task: claimed[0], action: "record", records: []record{value("a", `1`)}},
		pass{task: claimed[1], action: "record", records: []record{value("a", `1`)}})
	if answers, err := w.try(flush, arg); err != nil || !slices.Equal(answers, []string{"ok", "ok"}) {
		t.Fatal(answers, err)
	}
	exec(t, pool, `select absurd.terminate_task('q', unnest($1::uuid[]))`, tasks)
	if n := one[int](t, pool, `select absurd.cleanup_tasks('q', 0)`); n != 0 {
		t.Errorf("cleaned %d tasks for which a worker is writing", n)
	}
	retried := make(chan error, 1)
	go func() {
		_, err := pool.Exec(t.Context(), `select absurd.retry_task_now('q', $1)`, claimed[0].TaskID)
		retried <- err
	}()
	waitForLocks(t, pool, 1)
	if err := flush.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-retried; err != nil {
		t.Fatal(err)
	}
	// The one who waited keeps nobody from renewing the lease, also in a transaction that stays open.
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it is only read
	exec(t, tx, `select absurd.retry_task_now('q', $1)`, claimed[1].TaskID)
	began := time.Now()
	if rows, err := w.q.RenewWorker(t.Context(), pool, db.RenewWorkerParams{Worker: w.id, LeaseMs: lease}); err != nil || len(rows) != 1 {
		t.Errorf("renewal: %v, %v", rows, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a renewal waited %s for a retry", took)
	}
	if answers := w.commit(pass{task: claimed[0], action: "record", records: []record{value("b", `1`)}}); answers[0] != "lost" {
		t.Errorf("a record of the old attempt: %s", answers[0])
	}
	if got := records(t, pool, claimed[0].TaskID); !slices.Equal(got, []string{"s v a 1"}) {
		t.Errorf("records %q", got)
	}
}
