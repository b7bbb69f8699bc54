package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
)

func (w *worker) recordStep(on db.DBTX, task db.ClaimedTask, name, state string) db.StepRecord {
	w.tb.Helper()
	row, err := w.q.RecordStep(w.tb.Context(), on, db.RecordStepParams{
		Queue: "q", Worker: w.id, Task: task.TaskID, Token: task.Token, Name: name, RecordedAt: time.Now(), State: raw(state),
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return row
}

func (w *worker) findStep(task db.ClaimedTask, name string) db.StepRecord {
	w.tb.Helper()
	row, err := w.q.FindStep(w.tb.Context(), w.pool, db.FindStepParams{Queue: "q", Worker: w.id, Task: task.TaskID, Token: task.Token, Name: name})
	if err != nil {
		w.tb.Fatal(err)
	}
	return row
}

func TestRecordStepAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		between func(t *testing.T, w *worker, task *db.ClaimedTask) // after the claim, before the record
		want    string
		records []string
	}{
		{"held", func(*testing.T, *worker, *db.ClaimedTask) {}, "ok", []string{"s v book 1"}},
		{"in place of a pending one", func(_ *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "record", records: []record{{"book", "s", "n", `{}`}}})
		}, "ok", []string{"s v book 1"}},
		{"recorded before", func(_ *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "record", records: []record{{"book", "s", "f", `"no"`}}})
		}, "recorded", []string{`s f book "no"`}},
		{"another token", func(_ *testing.T, _ *worker, task *db.ClaimedTask) { task.Token-- }, "lost", nil},
		{"unknown task", func(_ *testing.T, _ *worker, task *db.ClaimedTask) { task.TaskID.Bytes[0]++ }, "lost", nil},
		{"no lease", func(t *testing.T, w *worker, _ *db.ClaimedTask) { expire(t, w.pool) }, "lost", nil},
		{"handed back", func(_ *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "release"})
		}, "lost", nil},
		{"completed", func(_ *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "complete"})
		}, "lost", nil},
		{"cancelled", func(t *testing.T, w *worker, task *db.ClaimedTask) {
			exec(t, w.pool, `select absurd.cancel_task('q', $1)`, task.TaskID)
		}, "cancelled", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			w := newWorker(t, pool)
			id := spawn(t, pool, "")[0]
			task := w.claimOne()
			test.between(t, w, &task)
			row := w.recordStep(pool, task, "book", `1`)
			if row.Answer != test.want {
				t.Errorf("answer %s, want %s", row.Answer, test.want)
			}
			if recorded := row.Outcome != nil && *row.Outcome == "f" && string(row.State) == `"no"`; recorded != (test.want == "recorded") {
				t.Errorf("with the outcome %+v", row)
			}
			if diff := cmp.Diff(append([]string{}, test.records...), records(t, pool, id)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			checkInvariants(t, pool)
		})
	}
}

// TestFindStepWaits: what became of a record is known when its transaction has ended, and not before.
func TestFindStepWaits(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		pool := newEngine(t)
		w := newWorker(t, pool)
		spawn(t, pool, "")
		task := w.claimOne()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if row := w.recordStep(tx, task, "book", `1`); row.Answer != "ok" {
			t.Fatalf("answer %s", row.Answer)
		}
		found := make(chan db.StepRecord)
		go func() { found <- w.findStep(task, "book") }()
		waitForLocks(t, pool, 1)
		end, want := pgx.Tx.Rollback, "ok"
		if commits {
			end, want = pgx.Tx.Commit, "recorded"
		}
		if err := end(tx, t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := <-found; row.Answer != want || commits != (string(row.State) == `1`) {
			t.Errorf("committed %v: %s with %s, want %s", commits, row.Answer, row.State, want)
		}
	}
}
