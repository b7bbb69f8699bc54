package engine

import (
	"maps"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// bulk is what fills a queue: tasks that have ended, tasks that sleep, and tasks that are ready under a name which no worker knows.
type bulk struct{ finished, sleeping, unknown int }

// load writes a bulk past the functions, which would take minutes.
func (b bulk) load(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	exec(t, pool, `insert into absurd.task_names (queue_no, task_name) select queue_no, n from absurd.queues, unnest('{t,none,unknown}'::text[]) n where queue_name = 'q'`)
	into := func(state, times, name string, count int, then string) {
		t.Helper()
		exec(t, pool, `with made as (insert into absurd.tasks (task_id, enqueue_at, available_at, ended_at, queue_no, name_no, state, max_attempts, params)
			select absurd.uuidv7_at(now() - interval '1 day' + i * interval '1 ms'), now() - interval '1 day', `+times+`, n.queue_no, n.name_no, '`+state+`', 5, '{"n": 1}'
			from absurd.task_names n, generate_series(1, $1::int) i where n.task_name = '`+name+`' returning *) `+then, count)
	}
	into("c", "now(), now()", "t", b.finished, "select count(*) from made")
	into("s", "now() + interval '1 day', null::timestamptz", "t", b.sleeping, "insert into absurd.timers (queue_no, kind, due_at, task_id) select queue_no, 'w', available_at, task_id from made")
	into("p", "now(), null::timestamptz", "unknown", b.unknown, "insert into absurd.ready (queue_no, name_no, priority, available_at, task_id) select queue_no, name_no, 0, available_at, task_id from made")
	for _, table := range []string{"tasks", "timers", "ready"} {
		exec(t, pool, "vacuum analyze absurd."+table)
	}
}

// claims measures the pages that an empty claim and a claim of ten tasks touch, the least of some, and the sequential scans of large tables.
func (b bulk) claims(t *testing.T) (pages map[string]int, scans int) {
	t.Helper()
	pool := newEngine(t)
	b.load(t, pool)
	known, none := newWorker(t, pool, "t"), newWorker(t, pool, "none")
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	m := &measured{t: t, conn: conn, pages: map[string]int{}}
	least := map[string]int{}
	exec(t, conn, "begin")
	for range 10 { // a plan is kept after five
		m.call("an empty claim", `select * from absurd.claim_tasks('q', $1, 10, $2, '{}')`, none.id, none.names)
		exec(t, conn, `select * from absurd.spawn_tasks('q', array_fill('t'::text, '{10}'), array_fill('1'::jsonb, '{10}'), null)`)
		m.call("a claim of ten", `select * from absurd.claim_tasks('q', $1, 10, $2, '{}')`, known.id, known.names)
		for name, pages := range m.pages {
			if before, ok := least[name]; !ok || pages < before {
				least[name] = pages
			}
		}
	}
	scans = one[int](t, conn, `select coalesce(sum(seq_scan), 0)::int from pg_stat_xact_user_tables where schemaname = 'absurd' and relname in ('tasks', 'ready', 'timers', 'waits', 'checkpoints')`)
	exec(t, conn, "rollback")
	return maps.Clone(least), scans
}

// What a claim reads does not depend on what the queue holds beside the tasks that it takes.
func TestClaimReadsWhatItTakes(t *testing.T) {
	t.Parallel()
	large := bulk{finished: 100_000, sleeping: 10_000, unknown: 10_000}
	if os.Getenv("ABSURD_SOAK") != "" {
		large = bulk{finished: 1_000_000, sleeping: 100_000, unknown: 100_000}
	}
	few, _ := bulk{finished: 1000, sleeping: 100, unknown: 100}.claims(t)
	many, scans := large.claims(t)
	t.Logf("pages: %v beside 1,000 finished tasks, %v beside %+v", few, many, large)
	// The trees of large indexes are a level higher: a page more for each of the four kinds of timers, and for the ready index.
	const levels = 5
	if most := few["an empty claim"]*12/10 + levels; many["an empty claim"] > most {
		t.Errorf("an empty claim touches %d pages, want at most %d", many["an empty claim"], most)
	}
	if most := few["a claim of ten"] + 10 + levels; many["a claim of ten"] > most {
		t.Errorf("a claim of ten tasks touches %d pages, want at most %d", many["a claim of ten"], most)
	}
	if scans > 0 {
		t.Errorf("%d sequential scans of large tables", scans)
	}
}
