package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

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
	if got := heard(); !slices.Equal(got, []string{notice("q:", "q")}) {
		t.Errorf("notified %v while the flag was down, up, down", got)
	}

	// Whatever makes a task pending notifies.
	idle(true)
	ready := func(what string, call func()) {
		t.Helper()
		call()
		if got := heard(); !slices.Equal(got, []string{notice("q:", "q")}) {
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
				want = append(want, notice("t:", uuidText(id)))
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

// notice is the payload of a notification: whoever listens learns no name and no id from it.
func notice(kind, name string) string {
	sum := sha256.Sum256([]byte(name))
	return kind + hex.EncodeToString(sum[:16])
}
