package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

func ids(claimed []db.ClaimedTask) []pgtype.UUID {
	var ids []pgtype.UUID
	for _, task := range claimed {
		ids = append(ids, task.TaskID)
	}
	return ids
}

func TestClaimGivesWhatWasSpawned(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, `{"max_attempts": 3, "priority": 5, "headers": {"h": 1}, "retry_strategy": {"kind": "fixed", "base_seconds": 2}}`)[0]
	got := w.claimOne()
	if got.TaskID != id || got.Token != 1 || got.Attempt != 1 || got.Generation != 0 || *got.MaxAttempts != 3 || got.LostLeases != 0 ||
		got.HasRecords || got.NameNo != w.names[0] || string(got.Params) != `{"n": 1}` || string(got.Headers) != `{"h": 1}` ||
		string(got.RetryStrategy) != `{"kind": "fixed", "base_seconds": 2}` || !got.FirstStartedAt.Equal(got.ClaimedAt) || got.EnqueueAt.After(got.ClaimedAt) {
		t.Errorf("claimed %+v", got)
	}
	w.mustCommit(pass{task: got, action: "release"})
	again := w.claimOne()
	if again.Token != 2 || !again.FirstStartedAt.Equal(got.FirstStartedAt) || !again.ClaimedAt.After(got.ClaimedAt) || again.ClaimNo == got.ClaimNo {
		t.Errorf("claimed again %+v", again)
	}
}

func TestClaimOrder(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool, "a", "b", "c")
	var want []pgtype.UUID
	spawned := map[string]pgtype.UUID{}
	for _, task := range []struct {
		key, name string
		priority  int
	}{{"3rd", "b", 0}, {"4th", "a", 0}, {"2nd", "c", -5}, {"6th", "a", 9}, {"5th", "c", 0}, {"1st", "a", -100}} {
		rows, err := w.q.SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{task.name}, Params: []json.RawMessage{nil},
			Options: []json.RawMessage{raw(fmt.Sprintf(`{"priority": %d}`, task.priority))}})
		if err != nil {
			t.Fatal(err)
		}
		spawned[task.key] = rows[0].TaskID
	}
	for _, key := range []string{"1st", "2nd", "3rd", "4th", "5th", "6th"} {
		want = append(want, spawned[key])
	}
	got := ids(w.claim(1))
	got = append(got, ids(w.claim(4))...)
	got = append(got, ids(w.claim(4))...)
	if !slices.Equal(got, want) {
		t.Errorf("claimed\n%v, want\n%v", got, want)
	}

	// One call's rows come in the order they were given.
	want = spawn(t, pool, make([]string, 300)...)
	if got := ids(newWorker(t, pool).claim(300)); !slices.Equal(got, want) {
		t.Error("tasks of one spawn came in another order")
	}
}

func TestClaimTakesKnownNamesAlone(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool, "other")
	spawn(t, pool, "")
	if n := len(w.claim(5)); n != 0 {
		t.Errorf("claimed %d tasks of a name that the worker does not know", n)
	}
	newWorker(t, pool).claimOne()
}

func TestClaimPassesOverLockedRows(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool, "t", "u")
	all := spawn(t, pool, make([]string, 6)...)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select from absurd.tasks where task_id = any ($1) for update`, all[:3])
	if got := ids(w.claim(2)); !slices.Equal(got, all[3:5]) {
		t.Errorf("claimed %v, want the first two that are free", got)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ids(w.claim(9)); !slices.Equal(got, append(slices.Clone(all[:3]), all[5])) {
		t.Errorf("claimed %v, want the rest in order", got)
	}
	checkInvariants(t, pool)
}

func TestClaimLocksOnlyWhatItTakes(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool, "t", "u", "v")
	spawn(t, pool, make([]string, 50)...)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	first, err := w.q.ClaimTasks(t.Context(), tx, db.ClaimTasksParams{Queue: "q", Worker: w.id, MaxTasks: 5, NameNos: w.names})
	if err != nil || len(first) != 5 {
		t.Fatal(len(first), err)
	}
	if rest := w.claim(100); len(rest) != 45 {
		t.Errorf("claimed %d beside an open claim of 5, want the other 45", len(rest))
	}
}

func TestConcurrentClaimsShareTheWork(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	const n = 2000
	spawn(t, pool, make([]string, n)...)
	var mu sync.Mutex
	seen := map[pgtype.UUID]int{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			w := newWorker(t, pool, "t", "u")
			for {
				claimed := w.claim(16)
				if len(claimed) == 0 {
					return
				}
				mu.Lock()
				for _, task := range claimed {
					seen[task.TaskID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	// A claim that found everything locked by others may have come back empty, so some tasks may be left.
	for _, task := range newWorker(t, pool).claim(n) {
		seen[task.TaskID]++
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("task %v was claimed %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("claimed %d of %d", len(seen), n)
	}
	checkInvariants(t, pool)
}

func TestClaimRemovesDoneClaims(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "")
	done := w.claim(1)[0]
	w.mustCommit(pass{task: done, action: "complete", payload: `1`})
	other := newWorker(t, pool)
	claim := func(w *worker) {
		t.Helper()
		if _, err := w.q.ClaimTasks(t.Context(), pool, db.ClaimTasksParams{Queue: "q", Worker: w.id, DoneClaims: []int64{done.ClaimNo}}); err != nil {
			t.Fatal(err)
		}
	}
	claim(other)
	if n := one[int](t, pool, `select count(*) from absurd.claims`); n != 1 {
		t.Fatal("a worker removed another's claim")
	}
	claim(w)
	if n := one[int](t, pool, `select count(*) from absurd.claims`); n != 0 {
		t.Error("the claim is still there")
	}
}

func TestSleepersWakeInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, make([]string, 30)...)
	var passes []pass
	first := hour().Add(-time.Minute).Truncate(time.Microsecond)
	for i, task := range w.claim(30) {
		actions := []string{"suspend", "retry", "block"}
		passes = append(passes, pass{task: task, action: actions[i%3], payload: `{}`, due: first.Add(time.Duration(29-i) * time.Second)})
	}
	spawn(t, pool, `{"delay_ms": 36000000}`)
	w.mustCommit(passes...)
	if due, err := w.q.NextDue(t.Context(), pool, "q"); err != nil || due == nil || !due.Equal(first) {
		t.Errorf("next due %v, %v, want %v", due, err, first)
	}
	if n := len(w.claim(1)); n != 0 {
		t.Error("a task woke before its time")
	}
	anHourPasses(t, pool)
	var want []pgtype.UUID
	for _, p := range slices.Backward(passes) {
		want = append(want, p.task.TaskID)
	}
	got := ids(w.claim(10))
	got = append(got, ids(w.claim(40))...)
	if !slices.Equal(got, want) {
		t.Errorf("claimed %d, want 30 in the order of their times", len(got))
	}
	if due, err := w.q.NextDue(t.Context(), pool, "q"); err != nil || due == nil || due.Before(hour()) {
		t.Errorf("next due %v, %v, want that of the task that starts later", due, err)
	}
	checkInvariants(t, pool)
}

// A timer whose task another transaction has locked stays where it is, and holds nobody up.
func TestTimersPassOverLockedTasks(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "", "")
	var passes []pass
	for _, task := range w.claim(3) {
		passes = append(passes, pass{task: task, action: "suspend", due: hour().Add(-time.Minute)})
	}
	w.mustCommit(passes...)
	cancelled := spawn(t, pool, `{"cancellation": {"max_delay": 3600}, "delay_ms": 7200000}`)[0]
	anHourPasses(t, pool)
	exec(t, pool, `update absurd.tasks set enqueue_at = enqueue_at - interval '1 hour'`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	exec(t, tx, `select from absurd.tasks where task_id = any ($1) for update`, []pgtype.UUID{passes[0].task.TaskID, cancelled})
	if got, want := ids(w.claim(2)), []pgtype.UUID{passes[1].task.TaskID, passes[2].task.TaskID}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want the two that are free: %v", got, want)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := ids(w.claim(2)), []pgtype.UUID{passes[0].task.TaskID}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	if state := outcome(t, pool, cancelled).State; state != "cancelled" {
		t.Errorf("state %s after its deadline", state)
	}
	checkInvariants(t, pool)
}

func TestDeadlinesCancel(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	all := spawn(t, pool, `{"cancellation": {"max_delay": 3600}}`, `{"cancellation": {"max_duration": 3600}}`,
		`{"cancellation": {"max_delay": 3600, "max_duration": 7200}}`, `{"cancellation": {"max_duration": 3600}, "delay_ms": 100000000}`)
	claimed := w.claim(2)
	if !slices.Equal(ids(claimed), all[:2]) {
		t.Fatal("claimed others")
	}
	// An hour and a half passes.
	exec(t, pool, `update absurd.tasks set enqueue_at = enqueue_at - interval '90 minutes', first_started_at = first_started_at - interval '90 minutes';
		update absurd.timers set due_at = due_at - interval '90 minutes' where kind = 'd'`)
	rest := w.claim(10)
	states := func() string {
		var states []string
		for _, id := range all {
			states = append(states, outcome(t, pool, id).State)
		}
		return strings.Join(states, " ")
	}
	if got, want := states(), "running cancelled cancelled sleeping"; got != want || len(rest) != 0 {
		t.Errorf("states %s, want %s", got, want)
	}
	if got := w.commit(pass{task: claimed[0], action: "complete", payload: `1`}, pass{task: claimed[1], action: "complete", payload: `1`}); !slices.Equal(got, []string{"ok", "cancelled"}) {
		t.Errorf("answers %v", got)
	}
	exec(t, pool, `update absurd.timers set due_at = clock_timestamp() where kind = 'd'`)
	sweep(t, pool, 100)
	if n := one[int](t, pool, `select count(*) from absurd.timers where kind = 'd' and due_at > clock_timestamp()`); n != 1 {
		t.Errorf("%d deadlines are watched, want the one of the task that has not started", n)
	}
	checkInvariants(t, pool)
}

func TestTimersOfVanishedTasksGo(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `insert into absurd.timers (queue_no, kind, due_at, task_id)
		select q.queue_no, k.kind, clock_timestamp(), gen_random_uuid() from absurd.queues q, unnest('{d,l,w,e}'::"char"[]) k(kind)`)
	sweep(t, pool, 10)
	if n := one[int](t, pool, `select count(*) from absurd.timers`); n != 0 {
		t.Errorf("%d timers of no task", n)
	}
}
