package engine

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fill makes tasks as spawns, claims and completions would have left them, many at once: finished ones, sleeping ones, and ready ones of a
// name that no worker knows.
func fill(tb testing.TB, pool *pgxpool.Pool, finished, sleeping, unknown int) {
	tb.Helper()
	storage := storageOf(tb, pool)
	exec(tb, pool, `select absurd.add_task_names(queue_no, array['t', 'unknown']) from absurd.queues where queue_name = 'q'`)
	for _, statement := range []struct {
		sql   string
		count int
	}{
		{`insert into absurd.tasks (task_id, enqueue_at, first_started_at, started_at, available_at, ended_at, queue_no, name_no, token, state, result, params)
			select absurd.uuidv7_at(now() - g * interval '1 ms'), now(), now(), now(), now(), now(), n.queue_no, n.name_no, 1, 'c', '1', '{"n": 1}'
			from absurd.task_names n, generate_series($1::integer, 1, -1) g where n.task_name = 't'`, finished},
		{`with asleep as (
				insert into absurd.tasks (task_id, enqueue_at, first_started_at, started_at, available_at, queue_no, name_no, token, state, params)
				select absurd.uuidv7_at(now() - g * interval '1 ms'), now(), now(), now(), now() + interval '1 hour' + g * interval '1 s',
					n.queue_no, n.name_no, 1, 's', '{"n": 1}'
				from absurd.task_names n, generate_series($1::integer, 1, -1) g where n.task_name = 't'
				returning queue_no, available_at, task_id
			)
			insert into absurd.timers (queue_no, kind, due_at, task_id) select queue_no, 'w', available_at, task_id from asleep`, sleeping},
		{`with pending as (
				insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, params)
				select absurd.uuidv7_at(now() - g * interval '1 ms'), now(), now() - g * interval '1 ms', n.queue_no, n.name_no, '{"n": 1}'
				from absurd.task_names n, generate_series($1::integer, 1, -1) g where n.task_name = 'unknown'
				returning queue_no, name_no, available_at, task_id
			)
			insert into absurd.ready (queue_no, name_no, priority, available_at, task_id) select queue_no, name_no, 0, available_at, task_id from pending`, unknown},
	} {
		exec(tb, pool, ownTables.ReplaceAllString(statement.sql, storage+".$1"), statement.count)
	}
}

// What a claim touches must not grow with what is beside the work that it looks for: history, sleepers, and work that this worker does not
// know. An index over a hundred times as many rows is one level higher. An empty claim goes down two that grow, that of the sleepers' timers and
// that of ready work, and each task that it takes is found in one.
func TestClaimTouchesWhatItTakes(t *testing.T) {
	t.Parallel()
	const small = 1000
	finished, sleeping, unknown := 100_000, 10_000, 10_000
	if os.Getenv("ABSURD_SOAK") != "" {
		finished, sleeping, unknown = 1_000_000, 100_000, 100_000
	}
	pool := newEngine(t)
	names := []string{"t"}
	for n := range 9 {
		names = append(names, fmt.Sprint("t", n))
	}
	one, ten := newWorker(t, pool), newWorker(t, pool, names...)
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())

	// least is the cheapest of some calls: now and then a connection reads its catalog again, or rows are spread over one page more.
	least := func(w *worker, tasks int) int {
		pages := 0
		for range 8 {
			if tasks > 0 {
				spawn(t, pool, make([]string, tasks)...)
			}
			if n := pagesOf(t, conn, `select * from absurd.claim_tasks('q', $1, 10, $2, '{}')`, w.id, w.names); pages == 0 || n < pages {
				pages = n
			}
		}
		return pages
	}
	type pages struct{ empty, emptyOfTen, ofTasks int }
	measure := func() pages {
		return pages{empty: least(one, 0), emptyOfTen: least(ten, 0), ofTasks: least(one, 10)}
	}
	measure() // the connection keeps its plans from now on
	fill(t, pool, small, small, small)
	before := measure()
	fill(t, pool, finished-small, sleeping-small, unknown-small)
	after := measure()

	t.Logf("%+v beside %d tasks of each kind, %+v beside %d finished, %d sleeping and %d unknown ones", before, small, after, finished, sleeping, unknown)
	if most := before.empty * 120 / 100; after.empty > most {
		t.Errorf("an empty claim touches %d pages, want at most %d", after.empty, most)
	}
	if most := before.emptyOfTen * 120 / 100; after.emptyOfTen > most {
		t.Errorf("an empty claim for ten names touches %d pages, want at most %d", after.emptyOfTen, most)
	}
	if after.emptyOfTen > after.empty+2 {
		t.Errorf("an empty claim for ten names touches %d pages, and one for one name %d", after.emptyOfTen, after.empty)
	}
	if grown, most := (after.ofTasks-after.empty)-(before.ofTasks-before.empty), 10; grown > most {
		t.Errorf("a claim of ten tasks touches %d more pages than before, beyond what an empty claim does, want at most %d", grown, most)
	}
}

// A claim on a queue with a limit counts what runs, and no more: not what sleeps or waits, and not what clients of claim_task have held and
// left, whatever their leases.
func TestClaimOnALimitedQueueReadsWhatRuns(t *testing.T) {
	t.Parallel()
	rows := 10_000
	if os.Getenv("ABSURD_SOAK") != "" {
		rows = 100_000
	}
	pool := newEngine(t)
	w := newWorker(t, pool)
	limit(t, pool, 10)
	spawn(t, pool, make([]string, 10)...)
	if held, others := len(w.claim(5)), one[int](t, pool, `select count(*)::int from absurd.claim_task('q', 'w', 300, 5)`); held != 5 || others != 5 {
		t.Fatalf("%d and %d runs began", held, others)
	}
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	measure := func() (fenced, other int) {
		for range 8 {
			a := pagesOf(t, conn, `select * from absurd.claim_tasks('q', $1, 10, $2, '{}')`, w.id, w.names)
			b := pagesOf(t, conn, `select * from absurd.claim_task('q', 'w')`)
			if fenced == 0 {
				fenced, other = a, b
			}
			fenced, other = min(fenced, a), min(other, b)
		}
		return fenced, other
	}
	fill(t, pool, 1000, 1000, 1000)
	measure() // the connection keeps its plans from now on
	fencedBefore, otherBefore := measure()
	exec(t, pool, `select absurd.set_queue_limit('q', null)`)
	exec(t, pool, `do $$
		declare v_run record;
		begin
			delete from absurd.ready;
			for n in 1 .. 1000 loop
				perform absurd.spawn_task('q', 't', '{}', '{"max_attempts": 2}');
				select * into v_run from absurd.claim_task('q', 'w', case when n % 2 = 0 then 300 else 0 end);
				if n % 4 = 0 then
					perform absurd.extend_claim('q', v_run.run_id, case when n % 8 = 0 then 400 else 200 end);
				end if;
				case n % 7
					when 0 then perform absurd.complete_run('q', v_run.run_id);
					when 1 then perform absurd.schedule_run('q', v_run.run_id, now() + interval '1 day');
					when 2 then perform absurd.await_event('q', v_run.task_id, v_run.run_id, 's', 'e');
					when 3 then perform absurd.fail_run('q', v_run.run_id, '{}', now() + interval '1 day');
					when 4 then perform absurd.cancel_task('q', v_run.task_id);
					when 5 then perform absurd.fail_run('q', v_run.run_id, '{}', now() + interval '1 day'); perform absurd.fail_run('q', last_attempt_run, '{}') from absurd.t_q where task_id = v_run.task_id;
					when 6 then perform absurd.terminate_task('q', v_run.task_id);
				end case;
			end loop;
		end $$`)
	limit(t, pool, 10)
	fill(t, pool, rows, rows, rows)
	exec(t, pool, `vacuum analyze`)
	fenced, other := measure()
	t.Logf("a claim of nothing touches %d pages, claim_task %d; beside little it was %d and %d", fenced, other, fencedBefore, otherBefore)
	const more = 3 * 10 // each run that is counted is looked up in indexes that may have grown by a level
	if fenced > fencedBefore+more || other > otherBefore+more {
		t.Errorf("a claim of nothing touches %d pages, and claim_task %d, want at most %d and %d", fenced, other, fencedBefore+more, otherBefore+more)
	}
	if left := one[int](t, pool, `select count(*)::int from absurd.timers where kind = 'l'`); left != 5 {
		t.Errorf("%d timers watch the leases of 5 runs", left)
	}
}
