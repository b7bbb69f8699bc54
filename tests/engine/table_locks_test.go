package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
)

// A call stands in the middle: it holds one table of a queue, and wants another. Whoever locks the whole queue at that moment lets it by, and
// gets its turn when the call is over.
func TestTableLocksLetCallsBy(t *testing.T) {
	t.Parallel()
	const held = `lock table absurd_q2.partitioned_waits in row exclusive mode`
	for name, c := range map[string]struct{ held, call, done string }{
		"ensure_partitions": {held,
			`select absurd.ensure_partitions('p')`,
			`select to_regclass('absurd.t_p_' || absurd.partition_week_tag(clock_timestamp() + interval '35 days')) is not null`},
		"repair_partitions": {held,
			`select absurd.repair_partitions('p')`,
			`select to_regclass('absurd.t_p_' || absurd.partition_week_tag(clock_timestamp() + interval '100 days')) is not null`},
		"set_queue_policy": {held,
			`select absurd.set_queue_policy('p', '{"default_partition": "disabled"}')`,
			`select to_regclass('absurd.t_p_d') is null`},
		"drop_queue": {held,
			`select absurd.drop_queue('p')`,
			`select to_regnamespace('absurd_q2') is null`},
		"drop_queue and the policies": {`select absurd.set_queue_policy('p', '{"cleanup_limit": 7}')`,
			`select absurd.drop_queue('p')`,
			`select to_regnamespace('absurd_q2') is null`},
		"drop_queue and an event": {`select from absurd.events where event_name = 'e' for share`,
			`select absurd.drop_queue('p')`,
			`select to_regnamespace('absurd_q2') is null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			exec(t, pool, `select absurd.create_queue('p', 'partitioned')`)
			exec(t, pool, `select absurd.set_queue_policy('p', '{"partition_lookahead": "35 days"}'); select absurd.emit_event('p', 'e')`)
			if name == "repair_partitions" {
				exec(t, pool, `insert into absurd_q2.partitioned_runs (queue_no, run_id, task_id, attempt, state, created_at)
					select -2, absurd.uuidv7_floor(clock_timestamp() + interval '100 days'), absurd.portable_uuidv7(), 1, 'f', clock_timestamp()`)
			}
			middle, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer middle.Release()
			exec(t, middle, `set deadlock_timeout = '1ms'; begin`)
			exec(t, middle, c.held)

			called := make(chan error, 1)
			go func() { _, err := pool.Exec(t.Context(), c.call); called <- err }()
			waitUntil(t, pool, `select exists (select from pg_stat_activity where datname = current_database() and query = $1 and state = 'active')`, c.call)
			for began := time.Now(); time.Since(began) < time.Second; {
				exec(t, middle, `savepoint before`)
				if _, err := middle.Exec(t.Context(), `select from absurd.claim_task('p', 'w')`); err != nil {
					t.Fatalf("the call in the middle: %v", err)
				}
				exec(t, middle, `rollback to before`)
			}
			exec(t, middle, `commit; reset deadlock_timeout`)
			if err := <-called; err != nil {
				t.Fatal(err)
			}
			if !one[bool](t, pool, c.done) {
				t.Error("it has done nothing")
			}
		})
	}
}

// Who never gets a queue's tables says so after some seconds; one that has locked something else waits for no table at all, so that nobody can
// wait for it in turn.
func TestTableLocksGiveUp(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.create_queue('p', 'partitioned')`)
	exec(t, pool, `select absurd.set_queue_policy('p', '{"partition_lookahead": "35 days"}')`)
	busy, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, busy, `select from absurd.claim_task('p', 'w')`)

	other, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(t.Context()) //nolint:errcheck // it has failed
	exec(t, other, `select absurd.spawn_task('q', 'work', '{}')`)
	called := make(chan error, 1)
	go func() { _, err := other.Exec(t.Context(), `select absurd.ensure_partitions('p')`); called <- err }()
	for {
		select {
		case err = <-called:
		default:
			if waits := one[int](t, pool, `select count(*)::int from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()`); waits > 0 {
				t.Fatal("it waits for a table, with a task locked")
			}
			continue
		}
		break
	}
	var raised *pgconn.PgError
	if !errors.As(err, &raised) || raised.Code != "55P03" || !strings.Contains(raised.Message, `queue "p": its tables could not be locked`) || raised.Hint == "" {
		t.Errorf("it ends with %v", err)
	}
	if err := busy.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.New().EnsurePartitions(t.Context(), pool, new("p")); err != nil {
		t.Error(err)
	}
}

// A cleanup does not wait, with the tasks that it deletes locked, for somebody who changes its queue.
func TestCleanupWaitsForNoChangeOfItsQueue(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.terminate_task('q', task_id) from absurd.spawn_task('q', 'work', '{}')`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // nothing is to be kept
	exec(t, tx, `select absurd.set_queue_policy('q', '{"cleanup_limit": 5}')`)
	exec(t, pool, `set lock_timeout = '5s'; select absurd.cleanup_tasks('q', 0); reset lock_timeout`)
	if left := one[int](t, pool, `select count(*)::int from absurd.tasks`); left > 0 {
		t.Errorf("%d tasks are left", left)
	}
}

// A queue that is dropped and made again while others work on it makes calls fail, because it is gone, but no two of them wait for each other.
func TestQueueIsDroppedUnderLoad(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			create := fmt.Sprintf(`select absurd.create_queue('d', '%s')`, mode)
			exec(t, pool, create)
			deadlock := func(err error) bool {
				var raised *pgconn.PgError
				if !errors.As(err, &raised) || raised.Code != "40P01" {
					return false
				}
				t.Log(raised.Detail, raised.Where)
				return true
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					for i := n; ctx.Err() == nil; i++ {
						call := []string{
							`select absurd.spawn_task('d', 'work', '{}'), absurd.spawn_task('d', 'work', '{}', '{"idempotency_key": "k"}')`,
							`select absurd.claim_task('d', 'w', 1, 3)`,
							`select absurd.await_event('d', task_id, run_id, 's', 'e' || (1 + floor(random() * 5)), 1) from absurd.r_d where state = 'running' limit 1`,
							`select absurd.emit_events('d', '{e1,e2,e3,e4,e5}', '{1,1,1,1,1}')`,
							`select absurd.complete_run('d', run_id) from absurd.claim_task('d', 'w', 1, 1)`,
							`select absurd.cleanup_tasks('d', 0)`,
							`select absurd.sweep(100)`,
						}[i%7]
						if _, err := pool.Exec(ctx, call); deadlock(err) {
							t.Errorf("%s: %v", call, err)
							return
						}
					}
				})
			}
			done := 0
			for ctx.Err() == nil {
				for _, call := range []string{`select absurd.drop_queue('d')`, create} {
					if _, err := pool.Exec(t.Context(), call); deadlock(err) {
						t.Errorf("%s: %v", call, err)
					} else if err == nil {
						done++
					} else {
						t.Logf("%s: %v", call, err)
					}
				}
			}
			all.Wait()
			exec(t, pool, create)
			exec(t, pool, `select absurd.spawn_task('d', 'work', '{}')`)
			if done == 0 {
				t.Error("it was never dropped")
			}
		})
	}
}

// Partitioned queues are made and dropped side by side, while somebody lists the workflow runs of all queues: nobody's call is a deadlock's victim.
func TestPartitionedQueuesComeAndGo(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `do $$ begin execute format('alter database %I set deadlock_timeout = ''1ms''', current_database()); end $$`)
	pool.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	call := func(sql string) {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
			if raised, ok := errors.AsType[*pgconn.PgError](err); ok {
				t.Log(raised.Detail, raised.Where)
			}
			cancel()
		}
	}
	for n := range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				call(fmt.Sprintf(`select absurd.create_queue('come%d', 'partitioned')`, n))
				call(fmt.Sprintf(`select absurd.drop_queue('come%d')`, n))
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			call(`select * from absurd.workflow_runs`)
		}
	})
	all.Wait()
}
