package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
)

func TestCommitEveryAction(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	due := hour().Truncate(time.Microsecond)
	tests := []struct {
		pass    pass
		state   string
		attempt int32
		result  string
		failure string
		records []string
		due     time.Time // of its wake timer
	}{
		{pass: pass{action: "record", records: []record{value("a", `1`)}}, state: "running", attempt: 1, records: []string{"s v a 1"}},
		{pass: pass{action: "complete", payload: `{"ok": true}`, records: []record{value("a", `1`), value("b", ``)}},
			state: "completed", attempt: 1, result: `{"ok": true}`, records: []string{"s v a 1", "s v b "}},
		{pass: pass{action: "fail", payload: `{"name": "x"}`, records: []record{{"a", "s", "f", `"no"`}}},
			state: "failed", attempt: 1, failure: `{"name": "x"}`, records: []string{`s f a "no"`}},
		{pass: pass{action: "retry", payload: `{"name": "x"}`, due: due}, state: "sleeping", attempt: 2, due: due},
		{pass: pass{action: "retry", payload: `{"name": "x"}`, due: time.Now()}, state: "pending", attempt: 2},
		{pass: pass{action: "suspend", due: due, records: []record{{"z", "z", "v", `"then"`}}},
			state: "sleeping", attempt: 1, records: []string{`z v z "then"`}, due: due},
		{pass: pass{action: "suspend", due: due, waits: []wait{{"w", "event", due.Add(-time.Minute)}}},
			state: "sleeping", attempt: 1, due: due.Add(-time.Minute)},
		{pass: pass{action: "suspend", waits: []wait{{"w", "event", time.Time{}}}}, state: "sleeping", attempt: 1},
		{pass: pass{action: "block", payload: `{"why": 1}`, due: due}, state: "blocked", attempt: 1, failure: `{"why": 1}`, due: due},
		{pass: pass{action: "release", records: []record{value("a", `1`)}}, state: "pending", attempt: 1, records: []string{"s v a 1"}},
	}
	spawn(t, pool, make([]string, len(tests))...)
	var passes []pass
	for i, claimed := range w.claim(len(tests)) {
		tests[i].pass.task = claimed
		passes = append(passes, tests[i].pass)
	}
	w.mustCommit(passes...) // all in one call
	for _, test := range tests {
		name, task := test.pass.action+" to "+test.state, test.pass.task.TaskID
		got := outcome(t, pool, task)
		want := db.Outcome{TaskID: task, TaskName: "t", State: test.state, Attempt: test.attempt, Result: raw(test.result), Failure: raw(test.failure)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: outcome (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(append([]string{}, test.records...), records(t, pool, task)); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", name, diff)
		}
		timers := column[time.Time](t, pool, `select due_at from absurd.timers where task_id = $1`, task)
		if !test.due.IsZero() && (len(timers) != 1 || !timers[0].Equal(test.due)) || test.due.IsZero() && len(timers) > 0 {
			t.Errorf("%s: timers %v, want %v", name, timers, test.due)
		}
	}
	checkInvariants(t, pool)
}

func TestCommitAnswers(t *testing.T) {
	t.Parallel()
	write := []record{value("written", `1`)}
	tests := []struct {
		name    string
		between func(t *testing.T, w *worker, task *db.ClaimedTask) // after the claim, before the commit
		want    string
	}{
		{"held", func(*testing.T, *worker, *db.ClaimedTask) {}, "ok"},
		{"another token", func(_ *testing.T, _ *worker, task *db.ClaimedTask) { task.Token-- }, "lost"},
		{"a later token", func(_ *testing.T, _ *worker, task *db.ClaimedTask) { task.Token++ }, "lost"},
		{"unknown task", func(_ *testing.T, _ *worker, task *db.ClaimedTask) { task.TaskID.Bytes[0]++ }, "lost"},
		{"cancelled", func(t *testing.T, w *worker, task *db.ClaimedTask) {
			exec(t, w.pool, `select absurd.cancel_task('q', $1)`, task.TaskID)
		}, "cancelled"},
		{"lease over, nobody took it", func(t *testing.T, w *worker, _ *db.ClaimedTask) {
			exec(t, w.pool, `update absurd.workers set lease_expires_at = clock_timestamp()`)
		}, "lost"},
		{"lease over, swept", func(t *testing.T, w *worker, _ *db.ClaimedTask) {
			exec(t, w.pool, `update absurd.workers set lease_expires_at = clock_timestamp()`)
			exec(t, w.pool, `select absurd.sweep(10)`)
		}, "lost"},
		{"claimed again by the same worker", func(t *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "release"})
			w.claimOne()
		}, "lost"},
		{"claimed by another worker", func(t *testing.T, w *worker, task *db.ClaimedTask) {
			w.mustCommit(pass{task: *task, action: "release"})
			newWorker(t, w.pool).claimOne()
		}, "lost"},
		{"another worker's id", func(t *testing.T, w *worker, _ *db.ClaimedTask) { w.id = newWorker(t, w.pool).id }, "lost"},
	}
	for _, action := range []string{"record", "complete", "fail", "retry", "suspend", "block", "release"} {
		for _, test := range tests {
			t.Run(action+" when "+test.name, func(t *testing.T) {
				t.Parallel()
				pool := newEngine(t)
				w := newWorker(t, pool)
				task := spawn(t, pool, "")[0]
				claimed := w.claimOne()
				test.between(t, w, &claimed)
				before := outcome(t, pool, task)
				p := pass{task: claimed, action: action, payload: `{}`, due: hour(), records: write}
				if got := w.commit(p); !slices.Equal(got, []string{test.want}) {
					t.Fatalf("answer %v, want %s", got, test.want)
				}
				if test.want == "ok" {
					return
				}
				if got := records(t, pool, task); len(got) > 0 {
					t.Errorf("a refused unit wrote %v", got)
				}
				if diff := cmp.Diff(before, outcome(t, pool, task)); diff != "" {
					t.Errorf("a refused unit changed the task (-before +after):\n%s", diff)
				}
			})
		}
	}
}

func TestCommitDoesNotWaitForLockedRows(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "", "")
	claimed := w.claim(3)
	var passes []pass
	for _, task := range claimed {
		passes = append(passes, pass{task: task, action: "complete", payload: `1`, records: []record{value("a", `1`)}})
	}

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select absurd.cancel_task('q', $1)`, claimed[1].TaskID)
	if got, want := w.commit(passes...), []string{"ok", "busy", "ok"}; !slices.Equal(got, want) {
		t.Fatalf("answers %v, want %v", got, want)
	}
	if got := records(t, pool, claimed[1].TaskID); len(got) > 0 {
		t.Fatalf("a busy unit wrote %v", got)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.commit(passes[1]); !slices.Equal(got, []string{"ok"}) {
		t.Fatalf("answer %v once the row is free", got)
	}
	checkInvariants(t, pool)
}

func TestCommitAgainAfterUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"record", "complete", "fail", "retry", "suspend", "block", "release"} {
		for _, written := range []bool{true, false} {
			name := action + " not written"
			if written {
				name = action + " written"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				pool := newEngine(t)
				w := newWorker(t, pool)
				task := spawn(t, pool, "")[0]
				arg := w.arguments(pass{task: w.claimOne(), action: action, payload: `{"n": 1}`, due: hour(), records: []record{value("a", `1`)}})
				if written {
					if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
						t.Fatal(answers, err)
					}
				}
				arg.Resend = true
				if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
					t.Fatalf("sent again: %v, %v", answers, err)
				}
				if got := records(t, pool, task); !slices.Equal(got, []string{"s v a 1"}) {
					t.Fatalf("records %v", got)
				}
				if attempts := outcome(t, pool, task).Attempt; attempts != map[bool]int32{true: 2, false: 1}[action == "retry"] {
					t.Fatalf("attempt %d", attempts)
				}
				checkInvariants(t, pool)
				if action == "record" {
					return
				}
				// Without the flag the same call is one of a run that has been given up.
				arg.Resend = false
				if answers, err := w.try(pool, arg); err != nil || answers[0] != "lost" {
					t.Fatalf("without the flag: %v, %v", answers, err)
				}
			})
		}
	}
}

func TestCommitAgainIsNotFooledByOthers(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "")
	task := w.claimOne()
	exec(t, pool, `update absurd.workers set lease_expires_at = clock_timestamp()`)
	exec(t, pool, `select absurd.sweep(10)`) // the run is pending again, but not by this worker's doing
	arg := w.arguments(pass{task: task, action: "release"})
	arg.Resend = true
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "lost" {
		t.Fatalf("release of a swept run: %v, %v", answers, err)
	}
}

func TestRecordAgainNeedsTheRun(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	task := w.claimOne()
	w.mustCommit(pass{task: task, action: "suspend", due: hour()})
	arg := w.arguments(pass{task: task, action: "record", records: []record{value("a", `1`)}})
	arg.Resend = true
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "lost" {
		t.Fatalf("records for a run that has been let go: %v, %v", answers, err)
	}
	if got := records(t, pool, id); len(got) > 0 {
		t.Errorf("records %v", got)
	}
}

func TestFirstRecordStays(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	task := w.claimOne()
	store := func(r record) {
		t.Helper()
		arg := w.arguments(pass{task: task, action: "record", records: []record{r}})
		arg.Renews = true
		if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
			t.Fatal(answers, err)
		}
	}
	for _, r := range []record{value("a", `1`), value("a", `2`), {"a", "s", "f", `"late"`}, {"b", "s", "n", `{"tries": 1}`}, {"b", "s", "n", `{"tries": 2}`}} {
		store(r)
	}
	if got, want := records(t, pool, id), []string{"s v a 1", `s n b {"tries": 2}`}; !slices.Equal(got, want) {
		t.Fatalf("records %v, want %v", got, want)
	}
	store(value("b", `3`))
	store(record{"b", "s", "n", `{"tries": 3}`})
	if got, want := records(t, pool, id), []string{"s v a 1", "s v b 3"}; !slices.Equal(got, want) {
		t.Fatalf("records %v, want %v: an outcome replaces a pending row, and never the other way", got, want)
	}
}

// A retry removes the failures that it names, also one that comes with it. What their branch recorded after them is
// superseded; what came before, and what other branches did, stays as it is.
func TestRetryRemovesFailures(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	task := w.claimOne()
	failed := func(name string) record { return record{name, "s", "f", `"no"`} }
	w.mustCommit(pass{task: task, action: "record", records: []record{
		value("before", `1`), value("1/other", `1`), failed("2/a"), value("2/after", `1`), value("2.1/below", `1`), value("20/other", `1`),
	}})
	w.mustCommit(pass{task: task, action: "retry", payload: `{}`, due: time.Now(), removed: []string{"2/a", "2/b", "before", "unknown"},
		records: []record{failed("2/b")}})
	want := []string{"s v before 1", "s v 1/other 1", "s V 2/after 1", "s V 2.1/below 1", "s v 20/other 1"}
	if got := records(t, pool, id); !slices.Equal(got, want) {
		t.Fatalf("records %v, want %v", got, want)
	}
}

func TestRetryArchivesTheAttempt(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	for attempt := range 3 {
		task := w.claimOne()
		if task.Attempt != int32(attempt+1) {
			t.Fatalf("attempt %d, want %d", task.Attempt, attempt+1)
		}
		w.mustCommit(pass{task: task, action: "retry", payload: `{"attempt": ` + string('1'+rune(attempt)) + `}`, due: time.Now()})
	}
	rows, err := pool.Query(t.Context(), `select attempt || ' ' || state::text || coalesce(' ' || (failure_reason ->> 'attempt'), '') from absurd.runs where task_id = $1 order by attempt`, id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if want := "1 f 1, 2 f 2, 3 f 3, 4 p"; strings.Join(got, ", ") != want {
		t.Fatalf("runs %v, want %v", got, want)
	}
}

func TestBadJSONFailsTheWholeCallAndNothingElse(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	ids := spawn(t, pool, "", "")
	claimed := w.claim(2)
	good := pass{task: claimed[0], action: "complete", payload: `1`, records: []record{value("a", `1`)}}
	bad := pass{task: claimed[1], action: "complete", payload: `1`, records: []record{value("a", `"\u0000"`)}}
	if answers, err := w.try(pool, w.arguments(good, bad)); err == nil {
		t.Fatalf("a NUL was stored: %v", answers)
	}
	if got := records(t, pool, ids[0]); len(got) > 0 {
		t.Fatalf("half a call was written: %v", got)
	}
	w.mustCommit(good)
}
