package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// spanning are the functions that see rows of any queue, because they call a function with p_queue_no for each queue that they meet, or
// take all storage of a queue away.
var spanning = []string{"apply_rights", "cleanup_each", "close_queue", "count_workflow_tasks", "drop_detached_partition", "drop_queue", "emit_event", "queue_statistics", "repair_partitions", "retire_worker", "sweep"}

// A function that touches the tables of which a partitioned queue has its own must know which queue it works for, and must be
// written so that a door fits: see 0085_partitioned.sql.
func TestEveryFunctionFindsTheStorageOfItsQueue(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	names := column[string](t, pool, `select table_name from absurd.partitioned_tables() union select name from absurd.storage_views() union select name from absurd.storage_functions()`)
	touches := regexp.MustCompile(`\babsurd\.(` + strings.Join(names, "|") + `)\b`)
	bare := regexp.MustCompile(`(?i)\b(from|join|update)\s+(tasks|runs|checkpoints|waits)\b|(from|join|into|update|using) +absurd\.%`)
	rows, err := pool.Query(t.Context(), `
		select p.proname, p.prosrc, l.lanname, f.id is not null, coalesce(f.door, ''), p.prosrc ~ '/\* door \*/',
		       coalesce(p.proargnames && '{p_queue,p_queue_name}', false)
		from pg_proc p join pg_language l on l.oid = p.prolang left join absurd.storage_functions() f on f.id = p.oid
		where p.pronamespace = 'absurd'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	var name, source, language, door string
	var copied, doored, named bool
	count := 0
	if _, err := pgx.ForEachRow(rows, []any{&name, &source, &language, &copied, &door, &doored, &named}, func() error {
		span := slices.Contains(spanning, name)
		switch {
		case copied && named && !doored:
			t.Errorf("absurd.%s is called with a queue's name and has no door: write it in plpgsql, with v_queue_no integer := absurd.queue_number(p_queue), "+
				"and begin alone on its line", name)
		case copied && door != "" && !doored:
			t.Errorf("absurd.%s has no door: let begin stand alone on its line", name)
		case !copied && !span && touches.MatchString(source):
			t.Errorf("absurd.%s touches what partitioned queues have of their own, and nothing tells it which queue that is: give it an argument p_queue_no, "+
				"a variable v_queue_no that is looked up with absurd.queue_number, or have it call such a function", name)
		case span && copied:
			t.Errorf("absurd.%s is listed as spanning, but works for one queue", name)
		case bare.MatchString(source):
			t.Errorf("absurd.%s names a table without its schema, or in dynamic SQL", name)
		}
		if copied {
			count++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	exec(t, pool, `select absurd.create_queue('p', 'partitioned')`)
	copies := one[int](t, pool, `select count(*)::int from pg_proc p where p.pronamespace = (select absurd.storage_schema(queue_no) from absurd.queues where queue_name = 'p')::regnamespace`)
	if count < 50 || copies != count {
		t.Errorf("%d functions belong to the storage of a queue, and a partitioned queue has %d", count, copies)
	}
	left := column[string](t, pool, `select p.proname::text from pg_proc p
		where p.pronamespace = 'absurd_q2'::regnamespace and regexp_replace(p.prosrc, '/\* door \*/.*?/\* door \*/', '', 'g') ~ $1`,
		`\mabsurd\.(`+strings.Join(names, "|")+`)\M`)
	if len(left) > 0 {
		t.Errorf("copies that call functions of other storage: %v", left)
	}

	before := column[string](t, pool, `select p.oid::regprocedure || p.prosrc from pg_proc p where p.pronamespace::regnamespace::text like 'absurd%' order by p.oid`)
	exec(t, pool, `select absurd.renew_storage()`)
	after := column[string](t, pool, `select p.oid::regprocedure || p.prosrc from pg_proc p where p.pronamespace::regnamespace::text like 'absurd%' order by p.oid`)
	if !slices.Equal(before, after) {
		t.Error("renewing the storage once more changed functions")
	}
}

// A later migration may change the tables and the functions; the copies of a queue with data in place follow.
func TestStorageFollowsItsTemplate(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('p', 'partitioned'); select absurd.spawn_task('p', 'work', '{}')`)
	exec(t, pool, `
		alter table absurd.tasks add column colour text default 'red', add column weight integer not null default 3;
		create function absurd.paint(p_queue text, p_task uuid, p_colour text) returns text language plpgsql as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  update absurd.tasks t set colour = p_colour where t.queue_no = v_queue_no and t.task_id = p_task;
  return (select t.colour || t.weight from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = p_task);
end
$$;
		create or replace view absurd.reader_events as select e.queue_no, e.event_name, e.payload, e.emitted_at, e.tenant from absurd.events e;
		select absurd.renew_storage()`)
	if got := one[string](t, pool, `select absurd.paint('p', task_id, 'blue') from absurd.t_p`); got != "blue3" {
		t.Errorf("painted %s", got)
	}
	exec(t, pool, `select absurd.create_queue('p2', 'partitioned'); select absurd.spawn_task('p2', 'work', '{}')`)
	if got := one[string](t, pool, `select absurd.paint('p2', task_id, 'green') from absurd.t_p2`); got != "green3" {
		t.Errorf("painted %s on a later queue", got)
	}
}

// A week without rows is detached beside work, and no call waits for it; nor does one fail while weeks are attached beside a default
// partition, which locks it.
func TestPartitionsComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('p', 'partitioned')`)
	exec(t, pool, `select absurd.set_queue_policy('p', '{"default_partition": "disabled", "detach_mode": "empty", "detach_min_age": "30 days"}')`)
	exec(t, pool, `select absurd.add_week('p', queue_no, '2019-12-30') from absurd.queues where queue_name = 'p'`)

	stop := make(chan struct{})
	var group sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	calls := 0
	for n := range 4 {
		group.Go(func() {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Release()
			if _, err := conn.Exec(t.Context(), `set lock_timeout = '1min'`); err != nil { // a call that waits for so long fails
				t.Error(err)
				return
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				_, err := conn.Exec(t.Context(), `select absurd.spawn_task('p', 'work', '{}'); select absurd.complete_run('p', run_id) from absurd.claim_task('p', 'w', 30, 2)`,
					pgx.QueryExecModeSimpleProtocol)
				if err != nil {
					t.Errorf("session %d: %v", n, err)
					return
				}
				mu.Lock()
				slowest, calls = max(slowest, time.Since(began)), calls+1
				mu.Unlock()
			}
		})
	}
	for range 3 {
		candidates := column[string](t, pool, `select partition_table from absurd.list_detach_candidates('p')`)
		if len(candidates) != 4 {
			t.Fatalf("candidates: %v", candidates)
		}
		for _, partition := range candidates {
			table := map[string]string{"t": "tasks", "r": "runs", "c": "checkpoints", "w": "waits"}[partition[:1]]
			detach(t, pool, fmt.Sprintf(`alter table absurd_q2.partitioned_%s detach partition absurd.%s concurrently`, table, partition))
			if !one[bool](t, pool, `select absurd.drop_detached_partition($1)`, partition) {
				t.Errorf("%s was not dropped", partition)
			}
		}
		exec(t, pool, `select absurd.add_week('p', queue_no, '2019-12-30') from absurd.queues where queue_name = 'p'`)
	}
	exec(t, pool, `select absurd.set_queue_policy('p', '{"default_partition": "enabled"}')`)
	for n := range 5 {
		exec(t, pool, fmt.Sprintf(`select absurd.set_queue_policy('p', '{"partition_lookahead": "%d days"}')`, 35+7*n))
		exec(t, pool, `select absurd.ensure_partitions('p')`)
	}
	close(stop)
	group.Wait()
	if calls == 0 {
		t.Error("no call was made")
	}
	t.Logf("%d calls, the slowest took %s", calls, slowest)
}

// detach runs a statement that cannot stand in a transaction.
func detach(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Workers with leases of their own work on a partitioned queue as on others, also one that loses its lease.
func TestFencedFunctionsOnAPartitionedQueue(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.drop_queue('q'); select absurd.create_queue('q', 'partitioned')`)
	tasks := spawn(t, pool, "", `{"idempotency_key": "k", "fingerprint": 1}`, `{"priority": -1}`)
	again := spawn(t, pool, `{"idempotency_key": "k", "fingerprint": 1}`)
	if again[0] != tasks[1] {
		t.Errorf("the key answered with %v, not %v", again[0], tasks[1])
	}
	w := newWorker(t, pool)
	claimed := w.claim(10)
	if len(claimed) != 3 || claimed[0].TaskID != tasks[2] {
		t.Fatalf("claimed %v", claimed)
	}
	w.mustCommit(
		pass{task: claimed[0], action: "complete", payload: `1`, records: []record{value("a", `1`), value("b", `2`)}},
		pass{task: claimed[1], action: "suspend", records: []record{value("a", `1`)}, waits: []wait{{"w", "event", time.Time{}}}})
	records, err := w.q.LoadRecords(t.Context(), pool, db.LoadRecordsParams{Queue: "q", Tasks: tasks})
	if err != nil || len(records) != 3 {
		t.Fatalf("records %v, %v", records, err)
	}
	exec(t, pool, `select absurd.emit_event('q', 'event', '7')`)
	if woken := w.claimOne(); woken.TaskID != claimed[1].TaskID || !woken.HasRecords {
		t.Errorf("woken %v", woken)
	}
	exec(t, pool, `update absurd.workers set lease_expires_at = now() - interval '1 second'`)
	exec(t, pool, `select absurd.sweep(100)`)
	heir := newWorker(t, pool)
	if inherited := heir.claim(10); len(inherited) != 2 || inherited[0].LostLeases != 1 || inherited[0].Token < 2 {
		t.Errorf("inherited %v", inherited)
	}
}
