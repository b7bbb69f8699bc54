package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

func TestRetryTaskNow(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	retry := func(id pgtype.UUID) ([]db.RetriedTask, error) {
		return w.q.RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: id})
	}
	id := spawn(t, pool, `{"max_attempts": 1, "cancellation": {"max_duration": 3600}}`)[0]
	first := w.claimOne()
	if _, err := retry(id); err == nil || !strings.Contains(err.Error(), "is running") {
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
