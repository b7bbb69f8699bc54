package engine

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A flush of plain records locks no task, so what keeps others from taking its runs is the lock of its worker's row.

// TestRunsStayWhileTheirRecordsAreWritten: whoever ends the worker comes before the whole flush or after it.
func TestRunsStayWhileTheirRecordsAreWritten(t *testing.T) {
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
			id := spawn(t, pool, "")[0]
			w := newWorker(t, pool)
			task := w.claimOne()
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context())
			answers, err := w.try(tx, w.arguments(pass{task: task, action: "record", records: []record{value("a", `1`)}}))
			if err != nil || answers[0] != "ok" {
				t.Fatal(answers, err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); end(pool, w) }()
			if name == "sweep" {
				<-ended // it passes the worker over
			} else {
				waitForLocks(t, pool, 1)
			}
			if state := outcome(t, pool, id).State; state != "running" {
				t.Fatalf("the task is %s while its record is not committed", state)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-ended
			expire(t, pool)
			sweep(t, pool, 100)
			if again := newWorker(t, pool).claimOne(); !again.HasRecords {
				t.Error("the next holder is told that there are no records")
			}
			checkInvariants(t, pool)
		})
	}
}

// TestRecordsWaitForTheEndOfTheirWorker: a flush that comes while the worker's runs are handed back writes nothing.
func TestRecordsWaitForTheEndOfTheirWorker(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	id := spawn(t, pool, "")[0]
	w := newWorker(t, pool)
	task := w.claimOne()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select absurd.retire_worker($1)`, w.id)
	answers := make(chan []string, 1)
	go func() {
		got, err := w.try(pool, w.arguments(pass{task: task, action: "record", records: []record{value("a", `1`)}}))
		if err != nil {
			t.Error(err)
		}
		answers <- got
	}()
	waitForLocks(t, pool, 1)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; !slices.Equal(got, []string{"lost"}) {
		t.Errorf("answer %v", got)
	}
	if got := records(t, pool, id); len(got) > 0 {
		t.Errorf("records %v", got)
	}
	checkInvariants(t, pool)
}

// TestRecordsPassLockedTasks: a client whose transaction has touched the task does not hold up its records.
func TestRecordsPassLockedTasks(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	task := w.claimOne()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select absurd.cancel_task('q', $1)`, id)
	w.mustCommit(pass{task: task, action: "record", records: []record{value("a", `1`)}})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.commit(pass{task: task, action: "record", records: []record{value("b", `1`)}}); !slices.Equal(got, []string{"cancelled"}) {
		t.Errorf("answer %v after the cancellation", got)
	}
	if got := records(t, pool, id); !slices.Equal(got, []string{"s v a 1"}) {
		t.Errorf("records %v", got)
	}
	checkInvariants(t, pool)
}

// TestNamesMustBeNew: what is not said to be a repetition is refused where it is one, and nothing of the call is written.
func TestNamesMustBeNew(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	ids := spawn(t, pool, "", "")
	tasks := w.claim(2)
	w.mustCommit(pass{task: tasks[0], action: "record", records: []record{value("a", `1`)}})
	_, err := w.try(pool, w.arguments(
		pass{task: tasks[1], action: "record", records: []record{value("a", `1`)}},
		pass{task: tasks[0], action: "record", records: []record{value("a", `2`)}}))
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23505" {
		t.Fatalf("error %v, want 23505", err)
	}
	for i, want := range [][]string{{"s v a 1"}, {}} {
		if got := records(t, pool, ids[i]); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("task %d has the records %v, want %v", i+1, got, want)
		}
	}
}
