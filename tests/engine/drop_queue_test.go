package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// abroad makes a sleeping task on queue "q" with a child on the given queue, which has started and sleeps too.
func abroad(t *testing.T, pool *pgxpool.Pool, w *worker, queue string) (parent, child pgtype.UUID) {
	t.Helper()
	parent = spawn(t, pool, "")[0]
	child = one[pgtype.UUID](t, pool, `select absurd.portable_uuidv7()`)
	arg := w.arguments(pass{task: w.claimOne(), action: "suspend",
		records: []record{{"child", "c", "n", fmt.Sprintf(`{"task": %q, "queue": %q}`, uuidText(child), queue)}}})
	arg.ChildUnits, arg.ChildNames, arg.ChildIds, arg.ChildQueues = []int32{1}, []string{"child"}, []pgtype.UUID{child}, []string{queue}
	arg.ChildWorkflows, arg.ChildParams, arg.ChildOptions = []string{"t"}, append(arg.ChildParams, raw("1")), append(arg.ChildOptions, nil)
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
		t.Fatalf("the child is not made: %q, %v", answers, err)
	}
	return parent, child
}

// Whoever waits for a task of a queue that is dropped hears of it, and what its tasks have made elsewhere ends with them.
func TestDroppedQueueTellsRelatives(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			exec(t, pool, `select absurd.create_queue('kids', $1)`, mode)
			w := newWorker(t, pool)
			parent, _ := abroad(t, pool, w, "kids")
			exec(t, pool, `select absurd.drop_queue('kids')`)
			if got := state(t, pool, parent); got != "pending" {
				t.Errorf("the parent is %s", got)
			}
			got := records(t, pool, parent)
			if len(got) != 1 || !strings.HasPrefix(got[0], "c f child ") || !strings.Contains(got[0], `queue \"kids\" was dropped`) {
				t.Errorf("records %q", got)
			}
			checkInvariants(t, pool)

			exec(t, pool, `select absurd.create_queue('kids', $1)`, mode)
			w.mustCommit(pass{task: w.claimOne(), action: "complete", payload: `1`})
			_, child := abroad(t, pool, w, "kids")
			exec(t, pool, `select absurd.drop_queue('q')`)
			if got := one[string](t, pool, `select state from absurd.get_outcome('kids', $1)`, child); got != "cancelled" {
				t.Errorf("the child of a dropped queue's task is %s", got)
			}
		})
	}
}

// A child that could not be told when its parent went, because somebody had locked it, ends a little later.
func TestLockedChildOfADroppedQueueEnds(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('kids')`)
	w := newWorker(t, pool)
	_, child := abroad(t, pool, w, "kids")
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, tx, `select from absurd.tasks where task_id = $1 for update`, child)
	exec(t, pool, `select absurd.drop_queue('q')`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, pool, `select exists (select from absurd.sweep(100)) or (select bool_and(state = 'x') from absurd.tasks)`)
}

// A child whose parent has begun anew, and so knows nothing of it any more, is asked to end although it was locked when that happened.
func TestForgottenChildEnds(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	parent, children := family(t, pool, w, 1)
	exec(t, pool, `update absurd.tasks set state = 'p', available_at = clock_timestamp() where task_id = $1`, parent)
	exec(t, pool, `delete from absurd.timers where task_id = $1`, parent)
	exec(t, pool, `insert into absurd.ready (queue_no, name_no, priority, available_at, task_id)
		select queue_no, name_no, priority, available_at, task_id from absurd.tasks where task_id = $1`, parent)
	held := w.claimOne()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, tx, `select from absurd.tasks where task_id = $1 for update`, children[0].TaskID)
	arg := w.arguments(pass{task: held, action: "record"})
	arg.UnwantedUnits, arg.UnwantedNames = []int32{1}, []string{"child 0"}
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
		t.Fatal(answers, err)
	}
	w.mustCommit(pass{task: held, action: "continue", payload: `2`})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, pool, `select exists (select from absurd.sweep(100)) or exists (select from absurd.tasks where cancel_requested_at is not null)`)
	if answers := w.commit(pass{task: children[0], action: "record", records: []record{value("b", `1`)}}); answers[0] != "requested" {
		t.Errorf("the child's next commit: %s", answers[0])
	}
}

// With a partition of tasks goes all that other tables hold of them, and who waits for one of them hears that it is gone.
func TestDroppedPartitionLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	exec(t, pool, `select absurd.create_queue('kids', 'partitioned')`)
	parent, child := abroad(t, pool, w, "kids")
	exec(t, pool, `select * from absurd.spawn_tasks('kids', '{t,t,t}', '{1,2,3}', array['{"unique_key": "u"}', '{"idempotency_key": "i"}', '{"delay_ms": 60000}']::jsonb[])`)
	exec(t, pool, `select * from absurd.send_messages('kids', array[$1::uuid], '{inbox}', '{key}', '{1}')`, child)
	exec(t, pool, `select absurd.terminate_task('kids', (select task_id from absurd.t_kids where idempotency_key = 'i'))`)
	partition := one[string](t, pool, `select 't_kids_' || absurd.partition_week_tag($1)`, time.Now())
	exec(t, pool, fmt.Sprintf(`alter table %s detach partition absurd.%q`, one[string](t, pool,
		`select absurd.partitioned_table(queue_no, 'tasks') from absurd.queues where queue_name = 'kids'`), partition))
	if !one[bool](t, pool, `select absurd.drop_detached_partition($1)`, partition) {
		t.Fatal("the partition was not dropped")
	}
	kidsAreGone(t, pool, parent)
}

// kidsAreGone checks that nothing is left of tasks of a partitioned queue, and that the parent of one of them goes on, and knows.
func kidsAreGone(t *testing.T, pool *pgxpool.Pool, parent pgtype.UUID) {
	t.Helper()
	for _, table := range []string{"messages", "message_keys", "unique_keys", "idempotency_keys", "ready", "timers", "ended", "notices"} {
		if n := one[int](t, pool, `select count(*) from absurd.`+table+` where queue_no < 0`); n > 0 {
			t.Errorf("%s holds %d rows of tasks that are gone", table, n)
		}
	}
	if got := records(t, pool, parent); len(got) != 1 || !strings.HasPrefix(got[0], "c f child ") || !strings.Contains(got[0], "the task is gone") {
		t.Errorf("records of the parent %q", got)
	}
	if got := state(t, pool, parent); got != "pending" {
		t.Errorf("the parent is %s", got)
	}
}

// A partition of tasks that somebody has dropped by hand is nobody's error: the rest of the queue works on, cleanup takes what is in the way of
// claims, and repair_partitions all that is left, and tells who waits for a task that is gone.
func TestPartitionDroppedByHand(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	exec(t, pool, `select absurd.create_queue('kids', 'partitioned')`)
	parent, child := abroad(t, pool, w, "kids")
	exec(t, pool, `select absurd.spawn_tasks('kids', '{t,t,t}', '{1,2,3}', array['{"unique_key": "u"}', '{"idempotency_key": "i"}', '{"delay_ms": 60000}']::jsonb[])`)
	exec(t, pool, `select absurd.send_messages('kids', array[$1::uuid], '{inbox}', '{key}', '{1}')`, child)
	held := one[pgtype.UUID](t, pool, `select run_id from absurd.claim_task('kids', 'w')`)
	exec(t, pool, fmt.Sprintf(`drop table absurd.%q`, one[string](t, pool, `select 't_kids_' || absurd.partition_week_tag($1)`, time.Now())))

	if _, err := pool.Exec(t.Context(), `select absurd.complete_run('kids', $1)`, held); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("the end of a task that is gone: %v", err)
	}
	exec(t, pool, `select absurd.spawn_task('kids', 't', '4'), absurd.emit_event('kids', 'e'), absurd.sweep(100), absurd.cleanup_all_queues()`)
	exec(t, pool, `select * from absurd.queue_statistics(); select * from absurd.list_tasks('kids')`)
	if n := one[int](t, pool, `select count(*)::int from absurd.ready where queue_no < 0`); n != 1 {
		t.Errorf("%d tasks are ready after a cleanup, want the new one", n)
	}
	exec(t, pool, `select absurd.complete_run('kids', run_id) from absurd.claim_task('kids', 'w')`)
	if n := one[int](t, pool, `select count(*)::int from absurd.t_kids where state = 'completed'`); n != 1 {
		t.Errorf("%d tasks are completed, want the new one", n)
	}

	exec(t, pool, `select * from absurd.repair_partitions()`)
	kidsAreGone(t, pool, parent)
}

// Workflow runs of all queues are in one view, wherever their tasks stand, and each once.
func TestWorkflowRunsOfAllQueues(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	count := func(want string) {
		t.Helper()
		if got := one[string](t, pool, `select coalesce(string_agg(queue || ' ' || by_hand || ' ' || task_count, ', ' order by queue, by_hand), '') from absurd.workflow_runs`); got != want {
			t.Errorf("workflow runs %q, want %q", got, want)
		}
	}
	exec(t, pool, `select absurd.create_queue('weeks', 'partitioned')`)
	exec(t, pool, `select absurd.create_queue('more', 'partitioned')`)
	for _, queue := range []string{"q", "weeks"} {
		exec(t, pool, `select * from absurd.spawn_tasks($1, '{t}', '{1}', null)`, queue)
		exec(t, pool, `select * from absurd.spawn_tasks($1, '{t}', '{1}', array[jsonb_build_object('workflow_run', absurd.create_workflow_run($1, 'hand'))])`, queue)
	}
	count("q false 1, q true 1, weeks false 1, weeks true 1")
	if n := one[int](t, pool, `select pending::integer from absurd.queue_statistics() where queue_name = 'weeks'`); n != 2 {
		t.Errorf("the statistics of all queues count %d pending tasks of the partitioned one, want 2", n)
	}
	exec(t, pool, `select absurd.drop_queue('more')`)
	count("q false 1, q true 1, weeks false 1, weeks true 1")
	exec(t, pool, `select absurd.drop_queue('weeks')`)
	count("q false 1, q true 1")
}

// A partitioned queue is made while another one is dropped: it waits for the end of that, and neither is in the other's way.
func TestPartitionedQueueIsMadeBesideADrop(t *testing.T) {
	t.Parallel()
	for when, begin := range map[string]string{
		"the queue is left out of the view": `select absurd.join_workflow_runs(queue_no) from absurd.queues where queue_name = 'old'`,
		"the queue is dropped":              `select absurd.drop_queue('old')`,
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			exec(t, pool, `select absurd.create_queue('old', 'partitioned')`)
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context()) //nolint:errcheck // it has ended
			exec(t, tx, begin)
			made := make(chan error, 1)
			go func() {
				_, err := pool.Exec(t.Context(), `select absurd.create_queue('new', 'partitioned')`)
				made <- err
			}()
			waitForLocks(t, pool, 1)
			exec(t, tx, `select absurd.drop_queue('old')`)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-made; err != nil {
				t.Fatal(err)
			}
			exec(t, pool, `select * from absurd.spawn_tasks('new', '{t}', '{1}', null)`)
			if got := column[string](t, pool, `select queue from absurd.workflow_runs`); len(got) != 1 || got[0] != "new" {
				t.Errorf("workflow runs of queues %q", got)
			}
		})
	}
}

// The tasks of a workflow run are counted wherever they stand, whichever the storage of its root; one that was made by hand stays as long as
// there is one of them.
func TestWorkflowRunsCountTasksOfAllStorage(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('weeks', 'partitioned')`)
	w := newWorker(t, pool)
	root, _ := abroad(t, pool, w, "weeks")
	const count = `select task_count from absurd.get_workflow_run($1, $2)`
	if got := one[int](t, pool, count, "q", root); got != 2 {
		t.Errorf("%d tasks with a child in a partitioned queue, want 2", got)
	}
	hand := one[pgtype.UUID](t, pool, `select absurd.create_workflow_run('weeks', 'hand')`)
	exec(t, pool, `update absurd.tasks set root_queue_no = -2, root_id = $1, state = 'x', ended_at = clock_timestamp() where task_id = $2`, hand, root)
	if got := one[int](t, pool, count, "weeks", hand); got != 1 {
		t.Errorf("%d tasks with one in the shared storage, want 1", got)
	}
	exec(t, pool, `select absurd.update_workflow_run_status('weeks', $1, 'completed')`, hand)
	if got := one[int](t, pool, `select absurd.cleanup_workflow_runs('weeks', 0)`); got != 0 {
		t.Error("a workflow run with a task of another storage is cleaned up")
	}
	exec(t, pool, `delete from absurd.tasks where task_id = $1`, root)
	if got := one[int](t, pool, `select absurd.cleanup_workflow_runs('weeks', 0)`); got != 1 {
		t.Error("a workflow run without tasks is not cleaned up")
	}
}
