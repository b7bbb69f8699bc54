package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// family makes a sleeping task with n children of the same queue, which the worker holds.
func family(t *testing.T, pool *pgxpool.Pool, w *worker, n int) (parent pgtype.UUID, children []db.ClaimedTask) {
	t.Helper()
	parent = spawn(t, pool, "")[0]
	p := pass{task: w.claimOne(), action: "suspend"}
	var ids []pgtype.UUID
	for i := range n {
		id := one[pgtype.UUID](t, pool, `select absurd.portable_uuidv7()`)
		ids = append(ids, id)
		p.records = append(p.records, record{fmt.Sprint("child ", i), "c", "n", fmt.Sprintf(`{"task": %q, "queue": "q"}`, uuidText(id))})
	}
	arg := w.arguments(p)
	for i, id := range ids {
		arg.ChildUnits = append(arg.ChildUnits, 1)
		arg.ChildNames = append(arg.ChildNames, p.records[i].name)
		arg.ChildIds = append(arg.ChildIds, id)
		arg.ChildQueues = append(arg.ChildQueues, "q")
		arg.ChildWorkflows = append(arg.ChildWorkflows, "t")
		arg.ChildParams = append(arg.ChildParams, raw("1"))
		arg.ChildOptions = append(arg.ChildOptions, nil)
	}
	if answers, err := w.try(pool, arg); err != nil || !slices.Equal(answers, []string{"ok"}) {
		t.Fatalf("children are not made: %q, %v", answers, err)
	}
	children = w.claim(n)
	if len(children) != n {
		t.Fatalf("claimed %d of %d children", len(children), n)
	}
	return parent, children
}

func state(t *testing.T, pool *pgxpool.Pool, task pgtype.UUID) string {
	t.Helper()
	return outcome(t, pool, task).State
}

// However a child ends, its parent has the outcome and is awake.
func TestEveryEndOfAChildWakesItsParent(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	for name, end := range map[string]func(db.ClaimedTask) (want string){
		"complete": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "complete", payload: `7`})
			return "v 7"
		},
		"fail": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "fail", payload: `{"name": "E", "message": "m"}`})
			return "f E failed m"
		},
		"cancel_task": func(c db.ClaimedTask) string {
			exec(t, pool, `select absurd.cancel_task('q', $1)`, c.TaskID)
			return "f  cancelled the task was cancelled"
		},
		"terminate_task": func(c db.ClaimedTask) string {
			exec(t, pool, `select absurd.terminate_task('q', $1)`, c.TaskID)
			return "f  cancelled the task was cancelled"
		},
		"complete_run": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "release"})
			exec(t, pool, `select absurd.complete_run('q', r.run_id, '8') from absurd.claim_task('q', 'w') r`)
			return "v 8"
		},
		"fail_run": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "release"})
			exec(t, pool, `update absurd.tasks set max_attempts = 1 where task_id = $1`, c.TaskID)
			exec(t, pool, `select absurd.fail_run('q', r.run_id, '"text"') from absurd.claim_task('q', 'w') r`)
			return "f  failed the task failed without a message"
		},
		"lease": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "release"})
			exec(t, pool, `update absurd.tasks set max_attempts = 1 where task_id = $1`, c.TaskID)
			exec(t, pool, `select absurd.claim_task('q', 'w', 1)`)
			exec(t, pool, `update absurd.tasks set claim_expires_at = now() - interval '1 second' where task_id = $1`, c.TaskID)
			exec(t, pool, `update absurd.timers set due_at = now() - interval '1 second' where kind = 'l'`)
			sweep(t, pool, 10)
			return "f $ClaimTimeout failed worker w did not finish the run within its claim"
		},
		"policy": func(c db.ClaimedTask) string {
			exec(t, pool, `update absurd.tasks set cancellation = '{"max_duration": 1}', first_started_at = now() - interval '1 hour' where task_id = $1`, c.TaskID)
			exec(t, pool, `insert into absurd.timers values ((select queue_no from absurd.queues), 'd', now() - interval '1 second', $1)`, c.TaskID)
			sweep(t, pool, 10)
			return "f  cancelled the task was cancelled"
		},
		"poison": func(c db.ClaimedTask) string {
			w.mustCommit(pass{task: c, action: "release"})
			exec(t, pool, `update absurd.tasks set lost_leases = 9 where task_id = $1`, c.TaskID)
			dying := newWorker(t, pool)
			dying.claimOne()
			exec(t, pool, `update absurd.workers set lease_expires_at = clock_timestamp() where worker_id = $1`, dying.id)
			sweep(t, pool, 10)
			return "f $LostLease failed 10 workers in a row lost their lease while they ran this task"
		},
	} {
		parent, children := family(t, pool, w, 1)
		want := end(children[0])
		got := one[string](t, pool, `select outcome::text || ' ' || case outcome when 'v' then state::text
			else concat_ws(' ', coalesce(state ->> 'name', ''), state ->> 'state', state ->> 'message') end
			from absurd.checkpoints where task_id = $1 and kind = 'c'`, parent)
		if got != want {
			t.Errorf("%s: recorded %q, want %q", name, got, want)
		}
		if s := state(t, pool, parent); s != "pending" {
			t.Errorf("%s: the parent is %s, want pending", name, s)
		}
		checkInvariants(t, pool)
		exec(t, pool, `select absurd.terminate_task('q', $1)`, parent)
	}
}

// A parent whose row somebody else has locked holds up neither the flush that ends its child nor a termination of its own
// ancestor, and hears of it later.
func TestLockedRelativesHearLater(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	parent, children := family(t, pool, w, 3)

	tx := begin(t, pool)
	exec(t, tx, `select from absurd.tasks where task_id = any ($1) for update`, []pgtype.UUID{parent, children[2].TaskID})
	w.mustCommit(pass{task: children[0], action: "complete", payload: `1`})
	exec(t, pool, `select absurd.cancel_task('q', $1)`, children[1].TaskID)
	if s := state(t, pool, parent); s != "sleeping" {
		t.Errorf("the locked parent is %s", s)
	}
	if n := one[int](t, pool, `select absurd.cleanup_tasks('q', 0)`); n != 0 {
		t.Errorf("%d children were cleaned up before their parent had heard of them", n)
	}
	checkInvariants(t, pool)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, pool)
	if got := one[string](t, pool, `select string_agg(outcome::text, '' order by checkpoint_name) from absurd.checkpoints where task_id = $1`, parent); got != "vfn" {
		t.Errorf("outcomes %s, want vfn", got)
	}
	if s := state(t, pool, parent); s != "pending" {
		t.Errorf("the parent is %s, want pending", s)
	}

	tx = begin(t, pool)
	exec(t, tx, `select from absurd.tasks where task_id = $1 for update`, children[2].TaskID)
	exec(t, pool, `select absurd.terminate_task('q', $1)`, parent)
	if s := state(t, pool, children[2].TaskID); s != "running" {
		t.Errorf("the locked child is %s", s)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, pool)
	if s := state(t, pool, children[2].TaskID); s != "cancelled" {
		t.Errorf("the child is %s, want cancelled", s)
	}
	checkInvariants(t, pool)
}

// settle has everything looked at again that was left for later.
func settle(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	exec(t, pool, `update absurd.timers set due_at = now() - interval '1 second' where kind = 'e'`)
	sweep(t, pool, 100)
}

// An unwanted child that cannot be locked is asked to end later.
func TestUnwantedChildIsAskedLater(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	_, children := family(t, pool, w, 2)
	w.mustCommit(pass{task: children[0], action: "complete"})
	again := w.claimOne()
	tx := begin(t, pool)
	exec(t, tx, `select from absurd.tasks where task_id = $1 for update`, children[1].TaskID)
	arg := w.arguments(pass{task: again, action: "record"})
	arg.UnwantedUnits, arg.UnwantedNames = []int32{1}, []string{"child 1"}
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
		t.Fatalf("%q, %v", answers, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, pool)
	if asked := one[bool](t, pool, `select cancel_requested_at is not null from absurd.tasks where task_id = $1`, children[1].TaskID); !asked {
		t.Error("the child was not asked to end")
	}
}

// A batch may hold a parent and its child: the one goes to sleep, the other wakes it.
func TestParentAndChildInOneFlush(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	_, children := family(t, pool, w, 2)
	w.mustCommit(pass{task: children[0], action: "complete"})
	again := w.claimOne()
	w.mustCommit(pass{task: again, action: "suspend"}, pass{task: children[1], action: "complete"})
	if s := state(t, pool, again.TaskID); s != "pending" {
		t.Errorf("the parent is %s, want pending", s)
	}
	checkInvariants(t, pool)
}

func TestRequestCancelRefusesWhatIsNotValid(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	ms := int64(-1)
	_, err := db.New().RequestCancel(t.Context(), pool, db.RequestCancelParams{Queue: "q", Task: spawn(t, pool, "")[0], CleanupMs: &ms})
	if sqlState(err) != "AB005" {
		t.Errorf("%v, want AB005", err)
	}
	_, err = db.New().SpawnTasks(t.Context(), pool, db.SpawnTasksParams{
		Queue: "q", Names: []string{"t"}, Params: []json.RawMessage{raw("1")}, Options: []json.RawMessage{nil}, Versions: []string{fmt.Sprint(make([]byte, 200))},
	})
	if sqlState(err) != "AB005" {
		t.Errorf("a version of hundreds of bytes: %v, want AB005", err)
	}
}

// begin begins a transaction that is rolled back at the end of the test.
func begin(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}
