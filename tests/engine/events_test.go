package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// suspended spawns a task, claims it and puts it to sleep on the given waits.
func (w *worker) suspended(waits ...wait) pgtype.UUID {
	w.tb.Helper()
	id := spawn(w.tb, w.pool, "")[0]
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: waits})
	return id
}

func TestFirstEmitStays(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	if !emit(t, pool, "e", `1`) || emit(t, pool, "e", `2`) {
		t.Error("the second emit was first")
	}
	rows, err := db.New().EmitEvents(t.Context(), pool, db.EmitEventsParams{Queue: "q",
		Names: []string{"b", "e", "a", "b"}, Payloads: []json.RawMessage{raw(`1`), raw(`2`), nil, raw(`3`)}})
	want := []db.EmittedEvent{{Ord: 1, First: true}, {Ord: 2}, {Ord: 3, First: true}, {Ord: 4}}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("a set: %+v, %v, want %+v", rows, err, want)
	}
	got := column[string](t, pool, `select event_name || ' ' || payload from absurd.events order by 1`)
	if want := []string{"a null", "b 1", "e 1"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	for _, name := range []string{"", " \t", strings.Repeat("x", 1001)} {
		_, err := db.New().EmitEvents(t.Context(), pool, db.EmitEventsParams{Queue: "q", Names: []string{name}, Payloads: []json.RawMessage{nil}})
		if !errors.Is(db.Err(err), db.ErrInvalidName) {
			t.Errorf("event name %.5q: %v", name, err)
		}
	}
}

func TestEmitBeforeAndAfterTheWait(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	emit(t, pool, "early", `"early"`)
	id := w.suspended(wait{"a", "early", hour()}, wait{"b", "late", time.Time{}})
	if got := outcome(t, pool, id).State; got != "pending" {
		t.Fatalf("state %s after waiting for an event that was there", got)
	}
	checkInvariants(t, pool)

	// The other wait is still open: while the task runs, its event is recorded, and the next suspension finds it.
	task := w.claimOne()
	emit(t, pool, "late", `"late"`)
	if got, want := records(t, pool, id), []string{`e v a "early"`, `e v b "late"`}; !slices.Equal(got, want) {
		t.Fatalf("records %v, want %v", got, want)
	}
	w.mustCommit(pass{task: task, action: "suspend", waits: []wait{{"b", "late", time.Time{}}}})
	if got := outcome(t, pool, id).State; got != "pending" {
		t.Fatalf("state %s after waiting for an event that was recorded meanwhile", got)
	}
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"c", "third", hour()}}, due: hour().Add(time.Hour)})
	emit(t, pool, "third", `"third"`)
	if task := w.claimOne(); task.TaskID != id || !task.HasRecords {
		t.Fatalf("claimed %+v after the emit", task)
	}
	checkInvariants(t, pool)
}

func TestEmitWakesEveryWaiter(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	const n = 200
	spawn(t, pool, make([]string, n)...)
	var passes []pass
	for i, task := range w.claim(n) {
		waits := []wait{{"own", fmt.Sprint("own", i), hour()}, {"common", "common", hour()}}
		passes = append(passes, pass{task: task, action: "suspend", waits: waits})
	}
	w.mustCommit(passes...)
	emit(t, pool, "common", `{"to": "all"}`)
	claimed := w.claim(2 * n)
	if len(claimed) != n {
		t.Fatalf("%d of %d woke", len(claimed), n)
	}
	for _, task := range claimed {
		if got := records(t, pool, task.TaskID); !slices.Equal(got, []string{`e v common {"to": "all"}`}) {
			t.Fatalf("records %v", got)
		}
	}
	checkInvariants(t, pool)
}

func TestSuspendReplacesWhatWasWaitedFor(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	later := hour().Add(time.Hour)
	id := w.suspended(wait{"a", "ea", time.Time{}}, wait{"b", "eb", hour()}, wait{"c", "ec", later}, wait{"wake", "now", time.Time{}})
	emit(t, pool, "now", `1`)
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"a", "ea", time.Time{}}, {"c", "other", later}}})
	got := column[string](t, pool, `select step_name || ' ' || event_name from absurd.waits where task_id = $1 order by 1`, id)
	if want := []string{"a ea", "c other"}; !slices.Equal(got, want) {
		t.Errorf("waits %q, want %q", got, want)
	}
	emit(t, pool, "eb", `1`)
	emit(t, pool, "ec", `1`)
	if n := len(w.claim(1)); n != 0 {
		t.Error("a wait that was given up woke the task")
	}
	emit(t, pool, "other", `1`)
	w.claimOne()
	checkInvariants(t, pool)
}

func TestTimeoutsAreRecorded(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	later := hour().Add(time.Hour)
	id := w.suspended(wait{"late", "e1", hour().Add(-time.Minute)}, wait{"later", "e2", later}, wait{"never", "e3", time.Time{}})
	anHourPasses(t, pool)
	task := w.claimOne()
	want := []string{"e t late "}
	if got := records(t, pool, id); !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	// The outcome stands: an emit after it changes nothing, and a wait for it ends at once.
	emit(t, pool, "e1", `1`)
	w.mustCommit(pass{task: task, action: "suspend", waits: []wait{{"late", "e1", hour()}, {"later", "e2", later.Add(-time.Hour)}}})
	task = w.claimOne()
	if got := records(t, pool, id); !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	checkInvariants(t, pool)

	// While the task runs nobody watches the clock for it: a time that has passed meanwhile counts when it goes to sleep again.
	anHourPasses(t, pool)
	waits := column[time.Time](t, pool, `select timeout_at from absurd.waits`)
	w.mustCommit(pass{task: task, action: "suspend", waits: []wait{{"later", "e2", waits[0]}, {"new", "e4", time.Now()}}})
	w.claimOne()
	want = append(want, "e t later ", "e t new ")
	if got := records(t, pool, id); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	checkInvariants(t, pool)
}

func TestEventBeatsATimeoutThatNobodyHandled(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := w.suspended(wait{"a", "e", hour().Add(-time.Minute)})
	anHourPasses(t, pool)
	emit(t, pool, "e", `1`)
	w.claimOne()
	if got, want := records(t, pool, id), []string{"e v a 1"}; !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q: first write wins", got, want)
	}
	checkInvariants(t, pool)
}
