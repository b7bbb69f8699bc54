package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// tasks reads all pages of a list, and fails the test when a page is larger than asked for, or a row comes twice.
func tasks(t *testing.T, pool *pgxpool.Pool, arg db.ListTasksParams, pageSize, examine int32) []db.ListedTask {
	t.Helper()
	arg.Queue, arg.MaxRows, arg.Examine = "q", &pageSize, &examine
	var all []db.ListedTask
	seen := map[pgtype.UUID]bool{}
	for range 10_000 {
		page, err := db.New().ListTasks(t.Context(), pool, arg)
		if err != nil {
			t.Fatal(err)
		}
		rows := slices.DeleteFunc(slices.Clone(page), func(r db.ListedTask) bool { return !r.TaskID.Valid })
		if len(rows) > int(pageSize) {
			t.Fatalf("a page of %d rows, asked for %d", len(rows), pageSize)
		}
		for _, r := range rows {
			if seen[r.TaskID] {
				t.Fatalf("task %s comes twice", r.TaskID)
			}
			seen[r.TaskID] = true
		}
		all = append(all, rows...)
		if len(page) == 0 || len(page) == len(rows) && len(rows) < int(pageSize) {
			return all
		}
		arg.After = &page[len(page)-1].Cursor
	}
	t.Fatal("the list has no end")
	return nil
}

func listedIDs(rows []db.ListedTask) []pgtype.UUID {
	found := make([]pgtype.UUID, len(rows))
	for i, r := range rows {
		found[i] = r.TaskID
	}
	return found
}

// Whatever the size of pages, and however few rows may be examined, all pages together are the list, once and in its order.
func TestPagesTogetherAreTheList(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	want := map[string][]pgtype.UUID{}
	// Five of each: what a state's tasks have been through before it, in this order so that each claim takes the fresh ones.
	fresh := func() []db.ClaimedTask {
		spawn(t, pool, "", "", "", "", "")
		return w.claim(5)
	}
	each := func(state string, passes func(db.ClaimedTask, int) pass) {
		for i, task := range fresh() {
			w.mustCommit(passes(task, i))
			want[state] = append(want[state], task.TaskID)
		}
	}
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	each("completed", func(c db.ClaimedTask, _ int) pass { return pass{task: c, action: "complete", payload: `1`} })
	each("failed", func(c db.ClaimedTask, i int) pass {
		return pass{task: c, action: "fail", payload: fmt.Sprintf(`{"message": "card 100%% number %d"}`, i)}
	})
	each("sleeping", func(c db.ClaimedTask, i int) pass {
		return pass{task: c, action: "suspend", due: later.Add(time.Duration(i) * time.Minute)}
	})
	// This one sleeps until its child has ended.
	parent, children := family(t, pool, w, 1)
	want["sleeping"], want["running"] = append(want["sleeping"], parent), append(want["running"], children[0].TaskID)
	// These have no timer: only their event can wake them.
	for _, task := range fresh() {
		w.mustCommit(pass{task: task, action: "suspend", waits: []wait{{"a", "e", time.Time{}}, {"b", "f", time.Time{}}}})
		want["sleeping"] = append(want["sleeping"], task.TaskID)
	}
	each("blocked", func(c db.ClaimedTask, _ int) pass {
		return pass{task: c, action: "block", payload: `{}`, due: later.Add(-time.Minute)}
	})
	for _, task := range fresh() {
		want["running"] = append(want["running"], task.TaskID)
	}
	want["cancelled"] = spawn(t, pool, "", "", "", "", "")
	for _, id := range want["cancelled"] {
		exec(t, pool, `select absurd.cancel_task('q', $1)`, id)
	}
	want["pending"] = append(spawn(t, pool, `{"priority": 1}`, "", ""), spawn(t, pool, `{"priority": -1}`)...)
	slices.SortFunc(want["pending"], func(a, b pgtype.UUID) int { return slices.Index(want["pending"], a) - slices.Index(want["pending"], b) })
	want["pending"] = []pgtype.UUID{want["pending"][3], want["pending"][1], want["pending"][2], want["pending"][0]} // by priority, then age
	for _, state := range []string{"failed", "cancelled", "completed", "running"} {
		slices.Reverse(want[state]) // the newest first
	}

	for state, list := range want {
		for _, size := range []struct{ page, examine int32 }{{1000, 100_000}, {2, 100_000}, {3, 4}, {1, 1}} {
			got := tasks(t, pool, db.ListTasksParams{States: []string{state}}, size.page, size.examine)
			if diff := cmp.Diff(list, listedIDs(got)); diff != "" {
				t.Errorf("%s in pages of %+v (-want +got):\n%s", state, size, diff)
			}
			for _, r := range got {
				if *r.State != state {
					t.Errorf("a %s task among %s ones", *r.State, state)
				}
			}
		}
	}
	all := tasks(t, pool, db.ListTasksParams{}, 7, 9)
	byID := slices.IsSortedFunc(all, func(a, b db.ListedTask) int { return -strings.Compare(a.TaskID.String(), b.TaskID.String()) })
	if len(all) != 41 || !byID {
		t.Errorf("%d tasks in all, in the order of ids: %v", len(all), byID)
	}
	if got := tasks(t, pool, db.ListTasksParams{States: []string{"sleeping", "blocked"}}, 4, 5); len(got) != 16 || *got[0].State != "blocked" {
		t.Errorf("%d sleeping and blocked tasks, the first to be woken %s", len(got), *got[0].State)
	}
	failure := "100% NUMBER 3"
	if got := tasks(t, pool, db.ListTasksParams{Error: &failure}, 10, 5); len(got) != 1 || got[0].TaskID != want["failed"][1] {
		t.Errorf("by the text of the failure: %v", listedIDs(got))
	}
	from := one[time.Time](t, pool, `select enqueue_at from absurd.tasks where task_id = $1`, want["running"][4])
	to := one[time.Time](t, pool, `select enqueue_at from absurd.tasks where task_id = $1`, want["cancelled"][4])
	if got := listedIDs(tasks(t, pool, db.ListTasksParams{SpawnedFrom: &from, SpawnedTo: &to}, 10, 100)); !slices.Equal(got, want["running"][:5]) {
		t.Errorf("by time of spawn: %v, want %v", got, want["running"][:5])
	}
}

func TestListTasksRefusesWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	spawn(t, pool, "")
	cursor := tasks(t, pool, db.ListTasksParams{}, 1, 1)[0].Cursor
	for what, arg := range map[string]db.ListTasksParams{
		"a state":                     {Queue: "q", States: []string{"pending", "done"}},
		"a cursor":                    {Queue: "q", After: ptr("x")},
		"a cursor of another kind":    {Queue: "q", After: ptr(`{"a": 1}`)},
		"a cursor of another list":    {Queue: "q", States: []string{"failed"}, After: &cursor},
		"a cursor with too much":      {Queue: "q", After: ptr(`["all", "x", 1]`)},
		"a cursor with a broken key":  {Queue: "q", After: ptr(`["all", "x"]`)},
		"a cursor with a broken time": {Queue: "q", States: []string{"failed"}, After: ptr(`["failed", "x", "y"]`)},
	} {
		if _, err := db.New().ListTasks(t.Context(), pool, arg); !errors.Is(db.Err(err), db.ErrInvalidOption) {
			t.Errorf("%s that does not exist: %v", what, err)
		}
	}
	if _, err := db.New().ListTasks(t.Context(), pool, db.ListTasksParams{Queue: "other"}); !errors.Is(db.Err(err), db.ErrUnknownQueue) {
		t.Errorf("unknown queue: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestListRunsCheckpointsWaitsAndEvents(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	q := db.New()

	id := spawn(t, pool, `{"max_attempts": 3}`)[0]
	w.mustCommit(pass{task: w.claimOne(), action: "retry", payload: `{"message": "first"}`, records: []record{value("a", `1`)}})
	w.mustCommit(pass{task: w.claimOne(), action: "retry", payload: `{"message": "second"}`, records: []record{{"z", "z", "v", `"2030-01-01T00:00:00Z"`}}})
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"w1", "e1", hour()}, {"w2", "e2", time.Time{}}}})
	other := w.suspended(wait{"w1", "e2", time.Time{}})

	var attempts []string
	for after := (*string)(nil); ; {
		page, err := q.ListRuns(t.Context(), pool, db.ListRunsParams{Queue: "q", MaxRows: ptr(int32(2)), Examine: ptr(int32(1)), After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			if r.RunID.Valid {
				attempts = append(attempts, fmt.Sprintf("%v %d %s %s", r.TaskID == id, *r.Attempt, *r.State, r.FailureReason))
			}
		}
		after = &page[len(page)-1].Cursor
	}
	want := []string{"false 1 sleeping ", `true 1 failed {"message": "first"}`, `true 2 failed {"message": "second"}`, "true 3 sleeping "}
	if diff := cmp.Diff(want, attempts); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if runs, err := q.ListRuns(t.Context(), pool, db.ListRunsParams{Queue: "q", Task: id, States: []string{"failed"}}); err != nil || len(runs) != 2 {
		t.Errorf("failed runs of one task: %d, %v", len(runs), err)
	}

	checkpoints, err := q.ListCheckpoints(t.Context(), pool, db.ListCheckpointsParams{Queue: "q", Task: id, MaxRows: ptr(int32(1))})
	if err != nil || len(checkpoints) != 1 || checkpoints[0].CheckpointName != "a" || checkpoints[0].Kind != "step" || checkpoints[0].Outcome != "value" {
		t.Errorf("first checkpoint: %+v, %v", checkpoints, err)
	} else {
		checkpoints, err = q.ListCheckpoints(t.Context(), pool, db.ListCheckpointsParams{Queue: "q", Task: id, Kinds: []string{"step", "sleep"}, After: &checkpoints[0].Cursor})
		if err != nil || len(checkpoints) != 1 || checkpoints[0].CheckpointName != "z" || checkpoints[0].Kind != "sleep" || checkpoints[0].Attempt != 2 {
			t.Errorf("second checkpoint: %+v, %v", checkpoints, err)
		}
	}
	if _, err := q.ListCheckpoints(t.Context(), pool, db.ListCheckpointsParams{Queue: "q", Task: id, Kinds: []string{"nap"}}); !errors.Is(db.Err(err), db.ErrInvalidOption) {
		t.Errorf("unknown kind: %v", err)
	}

	waits := func(arg db.ListWaitsParams) (found []string) {
		t.Helper()
		arg.Queue, arg.MaxRows, arg.Examine = "q", ptr(int32(1)), ptr(int32(1))
		for range 100 {
			page, err := q.ListWaits(t.Context(), pool, arg)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return found
			}
			if page[0].TaskID.Valid {
				found = append(found, fmt.Sprintf("%v %s %s %s", page[0].TaskID == other, *page[0].StepName, *page[0].Kind, *page[0].EventName))
			}
			arg.After = &page[len(page)-1].Cursor
		}
		t.Fatal("the list has no end")
		return nil
	}
	if diff := cmp.Diff([]string{"false w1 event e1", "false w2 event e2", "true w1 event e2"}, waits(db.ListWaitsParams{})); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"false w2 event e2", "true w1 event e2"}, waits(db.ListWaitsParams{Event: ptr("e2"), Kind: ptr("event")})); diff != "" {
		t.Errorf("waits for one event (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"true w1 event e2"}, waits(db.ListWaitsParams{Task: other})); diff != "" {
		t.Errorf("waits of one task (-want +got):\n%s", diff)
	}

	emit(t, pool, "e2", `{"n": 1}`)
	emit(t, pool, "e3", `null`)
	events := func(arg db.ListEventsParams) (found []string) {
		t.Helper()
		arg.Queue, arg.MaxRows = "q", ptr(int32(1))
		for {
			page, err := q.ListEvents(t.Context(), pool, arg)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return found
			}
			found = append(found, *page[0].EventName+" "+string(page[0].Payload))
			arg.After = &page[0].Cursor
		}
	}
	if diff := cmp.Diff([]string{"e3 null", `e2 {"n": 1}`}, events(db.ListEventsParams{})); diff != "" { // e1 is waited for, not emitted
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"e3 null"}, events(db.ListEventsParams{Prefix: ptr("e3")})); diff != "" {
		t.Errorf("events by prefix (-want +got):\n%s", diff)
	}
}

// The numbers of a queue are those of what is alive, and history does not make them dearer.
func TestQueueStatistics(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	w.suspended(wait{"a", "e", time.Time{}}, wait{"b", "e", hour()})
	w.suspended(wait{"a", "f", time.Time{}})
	spawn(t, pool, "", "")
	for _, task := range w.claim(2) {
		w.mustCommit(pass{task: task, action: "complete", payload: `1`})
	}
	spawn(t, pool, "")
	w.mustCommit(pass{task: w.claimOne(), action: "block", payload: `{}`, due: later})
	spawn(t, pool, "", "")
	w.claim(2)
	exec(t, pool, `select absurd.spawn_task('q', 't', '1'), absurd.claim_task('q', 'sdk', 60)`)
	spawn(t, pool, fmt.Sprintf(`{"start_at": %q}`, later.Format(time.RFC3339)), "", "", "")

	stats, err := db.New().QueueStatistics(t.Context(), pool, nil)
	if err != nil || len(stats) != 1 {
		t.Fatalf("%+v, %v", stats, err)
	}
	s := stats[0]
	got := []int64{s.Pending, s.Running, s.Sleeping, s.Scheduled, s.Blocked, s.Waits, s.Workers, s.IdleWorkers}
	if want := []int64{3, 3, 2, 1, 1, 3, 1, 0}; s.QueueName != "q" || !slices.Equal(got, want) || s.OldestPendingAt == nil || s.NextDueAt == nil {
		t.Errorf("%v, want %v (pending, running, sleeping, scheduled, blocked, waits, workers, idle): %+v", got, want, s)
	}
	if _, err := db.New().QueueStatistics(t.Context(), pool, ptr("other")); !errors.Is(db.Err(err), db.ErrUnknownQueue) {
		t.Errorf("unknown queue: %v", err)
	}
}

// A page costs the same with and without a history, whatever it looks for among what is alive or failed.
func TestListsDoNotReadHistory(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	w.suspended(wait{"a", "e", hour()})
	spawn(t, pool, "", "", "")
	w.mustCommit(pass{task: w.claim(2)[0], action: "fail", payload: `{}`})
	calls := map[string]string{
		"failed":     `select count(*) from absurd.list_tasks('q', '{failed}')`,
		"pending":    `select count(*) from absurd.list_tasks('q', '{pending}')`,
		"running":    `select count(*) from absurd.list_tasks('q', '{running}')`,
		"sleeping":   `select count(*) from absurd.list_tasks('q', '{sleeping,blocked}')`,
		"waits":      `select count(*) from absurd.list_waits('q')`,
		"statistics": `select count(*) from absurd.queue_statistics()`,
	}
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	buffers := func(query string) int { // the least: plans are made, and now and then the catalog is read again
		least := pagesOf(t, conn, query)
		for range 4 {
			least = min(least, pagesOf(t, conn, query))
		}
		return least
	}
	few := map[string]int{}
	for name, query := range calls {
		few[name] = buffers(query)
	}
	past := newWorker(t, pool)
	history(t, past, 20_000, "complete")
	if _, err := past.q.RetireWorker(t.Context(), pool, past.id); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `vacuum analyze`)
	for name, query := range calls {
		if many := buffers(query); many > few[name]*2+60 {
			t.Errorf("%s: %d buffers with 20,000 completed tasks, %d without", name, many, few[name])
		}
	}
}
