package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// measured counts the pages that a connection's calls touch.
type measured struct {
	t       *testing.T
	conn    *pgx.Conn
	storage string // the schema of the queue's tasks
	pages   map[string]int
}

// call runs a query and notes the pages that it touched.
func (m *measured) call(name, query string, args ...any) {
	m.t.Helper()
	m.pages[name] = pagesOf(m.t, m.conn, query, args...)
}

// pagesOf runs a query and answers how many pages it touched.
func pagesOf(tb testing.TB, on querier, query string, args ...any) int {
	tb.Helper()
	var text []byte
	if err := on.QueryRow(tb.Context(), "explain (analyze, buffers, format json) "+query, args...).Scan(&text); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		tb.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}

// round takes ten tasks through everything that the engine does to a task.
func (m *measured) round(w *worker, n int) {
	t := m.t
	key := func(what string) string { return fmt.Sprint(what, " ", n) }
	m.call("spawn", `select * from absurd.spawn_tasks('q', array_fill('t'::text, '{10}'), array_fill('1'::jsonb, '{10}'), array_fill($1::jsonb, '{10}'))`,
		raw(`{"priority": -1}`))
	m.call("spawn with keys", `select * from absurd.spawn_tasks('q', array_fill('t'::text, '{2}'), array_fill('1'::jsonb, '{2}'), array_fill($1::jsonb, '{2}'))`,
		raw(fmt.Sprintf(`{"priority": 50, "idempotency_key": %q}`, key("key"))))
	var tasks []pgtype.UUID
	var tokens []int32
	commit := func(name, actions string) {
		t.Helper()
		m.call(name, `select * from absurd.commit_passes('q', $1, $2, $3, array_fill($4::text, '{10}'), array_fill('1'::jsonb, '{10}'), array_fill(clock_timestamp(), '{10}'),
			array[1,2], array[$5,$5], array['s','s'], array['v','v'], array[0,0], array[null,null]::timestamptz[], array['1','2']::jsonb[],
			case when $4 = 'sleep' then array[1,2] end, array['w','w'], array['e','e'], array[$5,$5], array[null,null]::timestamptz[], array[3], array['none'], $4 <> 'record')`,
			w.id, tasks, tokens, actions, key("name"))
	}
	claim := func(name string) {
		t.Helper()
		m.call(name, `select * from absurd.claim_tasks('q', $1, 10, $2, '{}')`, w.id, w.names)
		rows, err := m.conn.Query(t.Context(), `select task_id, token from `+m.storage+`.tasks where worker_id = $1 and state = 'r'`, w.id)
		if err != nil {
			t.Fatal(err)
		}
		tasks, tokens = nil, nil
		var task pgtype.UUID
		var token int32
		if _, err := pgx.ForEachRow(rows, []any{&task, &token}, func() error {
			tasks, tokens = append(tasks, task), append(tokens, token)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(tasks) != 10 {
			t.Fatalf("%s took %d tasks", name, len(tasks))
		}
	}
	claim("claim")
	commit("record", "record")
	m.call("load", `select * from absurd.load_records('q', $1)`, tasks)
	m.call("load named", `select * from absurd.load_named_records('q', $1, array_fill($2::text, '{10}'))`, tasks, key("name"))
	m.call("suspend", `select * from absurd.commit_passes('q', $1, $2, $3, array_fill('suspend'::text, '{10}'), array_fill(null::jsonb, '{10}'),
		array_fill(null::timestamptz, '{10}'), null, null, null, null, null, null, null,
		array[1,2,3,4,5,6,7,8,9,10], array_fill('w'::text, '{10}'), array_fill('e'::text, '{10}'), array_fill($4::text, '{10}'), array_fill(null::timestamptz, '{10}'), null, null)`,
		w.id, tasks, tokens, key("event"))
	m.call("emit", `select * from absurd.emit_events('q', array[$1::text], array['1'::jsonb])`, key("event"))
	claim("claim after emit")
	commit("retry", "retry")
	claim("claim after retry")
	m.call("sleep", `select * from absurd.commit_passes('q', $1, $2, $3, array_fill('suspend'::text, '{10}'), array_fill(null::jsonb, '{10}'),
		array_fill(clock_timestamp() + interval '1 hour', '{10}'), null, null, null, null, null, null, null, null, null, null, null, null, null, null)`, w.id, tasks, tokens)
	if _, err := m.conn.Exec(t.Context(), `with woken as (update `+m.storage+`.tasks set available_at = clock_timestamp() where task_id = any ($1) returning task_id, available_at)
		update absurd.timers m set due_at = k.available_at from woken k where m.task_id = k.task_id and m.kind = 'w'`, tasks); err != nil {
		t.Fatal(err)
	}
	claim("claim after timers")
	commit("complete", "complete")
	m.call("claim nothing", `select * from absurd.claim_tasks('q', $1, 10, '{0}', '{}')`, w.id)
	m.call("outcome", `select * from absurd.get_outcome('q', $1)`, tasks[0])
	m.call("watch", `select * from absurd.watch_task('q', $1)`, tasks[0])
	m.call("sweep", `select * from absurd.sweep(100)`)
}

// What a call costs must not depend on how much there is beside it, whichever statistics the plans were made from: those of empty tables, which a
// connection has kept, those of the tables as they are, or those that an analyze takes away which comes while they grow in one transaction, and
// sees none of it.
func TestHistoryCostsNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			historyCostsNothing(t, mode)
		})
	}
}

func historyCostsNothing(t *testing.T, mode string) {
	pool := newEngine(t)
	exec(t, pool, fmt.Sprintf(`select absurd.drop_queue('q'); select absurd.create_queue('q', '%s')`, mode))
	w := newWorker(t, pool)
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	stopAutovacuum(t, pool)
	m := &measured{t: t, conn: conn, storage: storageOf(t, pool)}
	round := 0
	// Changes of other databases' schemas make a connection read its own catalog again now and then, which counts as well: so the
	// cheapest of some rounds, after five of which a plan is kept.
	measure := func() map[string]int {
		least := map[string]int{}
		for range 7 {
			m.pages = map[string]int{}
			m.round(w, round)
			round++
			for name, pages := range m.pages {
				if n, ok := least[name]; !ok || pages < n {
					least[name] = pages
				}
			}
		}
		return least
	}
	before := measure()

	const finished, sleeping = 20_000, 4_000
	history(t, w, finished, "complete")
	history(t, w, sleeping, "suspend")
	spawn(t, pool, slices.Repeat([]string{`{"priority": 100}`}, 1000)...) // a backlog, after what the rounds spawn
	for _, statistics := range statistics {
		exec(t, pool, statistics.make)
		for name, pages := range measure() {
			// A tree that is a level or two higher, and pages that hold other tasks' rows too.
			if most := 3*before[name] + 60; pages > most {
				t.Errorf("with statistics of %s: %s touches %d pages beside %d finished and %d sleeping tasks, and %d without them",
					statistics.of, name, pages, finished, sleeping, before[name])
			}
		}
	}
}

// statistics are what plans may be made from, and how they come about: tables analyzed while they grow in one transaction look empty, but for their pages.
var statistics = []struct{ of, make string }{
	{"empty tables", ``},
	{"the tables as they are", `analyze`},
	{"tables that grow", `update pg_class set reltuples = 0 where oid in (select oid ` + ordinaryTables + `); delete from pg_statistic`},
}

const ordinaryTables = `from pg_class where relkind = 'r' and relnamespace = 'absurd'::regnamespace`

// stopAutovacuum keeps statistics as they are.
func stopAutovacuum(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	exec(t, pool, `do $$ declare r record; begin
		for r in select oid::regclass as name `+ordinaryTables+` loop execute format('alter table %s set (autovacuum_enabled = off)', r.name); end loop;
	end $$`)
}

// history makes n tasks that have ended, or that sleep with a wait, each with a record.
func history(t *testing.T, w *worker, n int, action string) {
	t.Helper()
	const batch = 1000
	for range n / batch {
		arg := db.SpawnTasksParams{Queue: "q"}
		for range batch {
			arg.Names, arg.Params = append(arg.Names, "t"), append(arg.Params, raw(`1`))
		}
		if _, err := w.q.SpawnTasks(t.Context(), w.pool, arg); err != nil {
			t.Fatal(err)
		}
		var passes []pass
		for i, task := range w.claim(batch) {
			p := pass{task: task, action: action, payload: `1`, due: hour().Add(time.Duration(i) * time.Second), records: []record{value("a", `1`)}}
			if action == "suspend" {
				p.waits = []wait{{"w", "common", time.Time{}}}
			}
			passes = append(passes, p)
		}
		w.mustCommit(passes...)
	}
}

// TestUpdatesAreHeapOnly: claims and completions change no indexed column, so all of them stay on their page and out of the indexes, once the
// page is cleared of what nobody sees. While a transaction that has written is open, in any database of the server, pages are cleared of less;
// an analyze in the background has the same effect. So this test has a server of its own, and nothing runs in the background.
func TestUpdatesAreHeapOnly(t *testing.T) {
	t.Parallel()
	pool, _ := pgtest.Private(t)
	exec(t, pool, `alter system set autovacuum = off`)
	exec(t, pool, `select pg_reload_conf()`)
	waitUntil(t, pool, `select current_setting('autovacuum')::boolean = $1`, false)
	exec(t, pool, `select absurd.create_queue('q')`)
	history(t, newWorker(t, pool), 5000, "complete")
	waitUntil(t, pool, `select n_tup_upd >= $1 from pg_stat_user_tables where relname = 'tasks'`, 10000)
	if heapOnly := one[int](t, pool, `select n_tup_hot_upd from pg_stat_user_tables where relname = 'tasks'`); heapOnly < 9900 {
		t.Errorf("%d of 10000 updates were heap-only", heapOnly)
	}
}

// TestEventsAreFoundByName: a session that made its plans when the table was analyzed with a single event in it finds an event by its name when
// there are thousands, and nobody has analyzed the table since.
func TestEventsAreFoundByName(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	task := w.suspended(wait{"a", "awaited", time.Time{}})
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec(t, pool, `alter table absurd.events set (autovacuum_enabled = off)`)
	exec(t, pool, `analyze absurd.events`)
	exec(t, conn, `set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off`) // as the functions do that call what looks at a wait
	calls := map[string]string{
		"emit":           `select * from absurd.emit_events('q', array[$1], array['1'::jsonb])`,
		"look at a wait": `select * from absurd.meet_events((select queue_no from absurd.queues), array['` + uuidText(task) + `'::uuid], array[$1], array[''], array[$1], now())`,
	}
	measure := func(round string) map[string]int {
		pages := map[string]int{}
		for what, query := range calls {
			for n := range 8 { // after five a plan is kept. The cheapest: the first reads the catalog, and now and then another one does
				if touched := pagesOf(t, conn, query, fmt.Sprint(what, round, n)); n == 0 || touched < pages[what] {
					pages[what] = touched
				}
			}
		}
		return pages
	}
	before := measure("before")
	exec(t, pool, `select count(*) from absurd.emit_events('q', array(select 'event ' || g from generate_series(1, 5000) g), array_fill('1'::jsonb, '{5000}'))`)
	for what, pages := range measure("after") {
		if pages > before[what]+20 { // two more levels of an index, in each of its look-ups
			t.Errorf("%s touches %d pages among 5,000 events, and %d before there are any", what, pages, before[what])
		}
	}
}
