package engine

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// surface is a list of calls, one a line.
//
//go:embed testdata/surface.txt
var surface string

// enlarge makes all tables large that grow with work or with history.
func enlarge(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	storage := storageOf(t, pool)
	fill(t, pool, 8_000, 3_000, 3_000)
	for _, statement := range []string{
		`update absurd.tasks set state = 'f', failure = '{"message": "no"}' where task_id in (select task_id from absurd.tasks where state = 'c' limit 3000)`,
		`insert into absurd.ended select queue_no, state, ended_at, task_id from absurd.tasks where state = 'f' on conflict do nothing`,
		`insert into absurd.runs (queue_no, run_id, task_id, attempt, state, created_at)
			select queue_no, gen_random_uuid(), task_id, 1, 'f', now() from absurd.tasks where state in ('c', 'f')`,
		`insert into absurd.checkpoints (recorded_at, task_id, queue_no, attempt, checkpoint_name, state) select now(), task_id, queue_no, 1, 'many', '1' from absurd.tasks`,
		`insert into absurd.waits (queue_no, task_id, step_name, event_name, created_at) select queue_no, task_id, 'many', 'e' || row_number() over (), now()
			from absurd.tasks where state = 's'`,
		`update absurd.tasks set has_waits = true, has_records = true where state = 's'`,
		`insert into absurd.events (queue_no, event_name, emitted_at, payload) select queue_no, 'old' || g, now() - g * interval '1 second', '1'
			from absurd.queues, generate_series(1, 5000) g where queue_name = 'q'`,
		`insert into absurd.messages (queue_no, task_id, inbox_name, sent_at, payload) select queue_no, task_id, 'i', now(), '1' from absurd.tasks where state = 's'`,
		`insert into absurd.message_keys select queue_no, task_id, 'i', 'k' from absurd.tasks where state = 's'`,
		`insert into absurd.unique_keys (queue_no, task_name, unique_key, task_id) select queue_no, 't', task_id, task_id from absurd.tasks where state = 's'`,
		`insert into absurd.idempotency_keys (queue_no, scope, idempotency_key, task_id) select queue_no, 't', task_id, task_id from absurd.tasks where state = 's'`,
		`insert into absurd.runs_by_hand (queue_no, run_id, workflow_name, status, created_by, created_at)
			select queue_no, gen_random_uuid(), 'h', 'pending', 'me', now() from absurd.queues, generate_series(1, 5000) where queue_name = 'q'`,
		`insert into absurd.timers (queue_no, kind, due_at, task_id) select queue_no, 'd', now() + interval '1 day', task_id from absurd.tasks where state = 's'`,
		`update absurd.tasks set root_queue_no = queue_no, root_id = gen_random_uuid() where state = 'p'`,
	} {
		exec(t, pool, ownTables.ReplaceAllString(statement, storage+".$1"))
	}
}

// ownTables are the tables of which a partitioned queue has its own, in the schema of its storage.
var ownTables = regexp.MustCompile(`\babsurd\.(tasks|runs|checkpoints|waits)\b`)

func storageOf(tb testing.TB, pool *pgxpool.Pool) string {
	tb.Helper()
	return one[string](tb, pool, `select absurd.storage_schema(queue_no) from absurd.queues where queue_name = 'q'`)
}

// reads are those functions that read more than a thousand rows of a large table, and how many at most: some walk a stretch of history a call, and
// some count what is open.
var reads = map[string]int{
	"cleanup_tasks": 15_000, "cleanup_all_queues": 15_000, "cleanup_old_events": 50_000, "cleanup_queues": 65_000,
	"queue_statistics": 50_000, "drop_queue": math.MaxInt,
}

// No function reads a large table from end to end, nor a queue's part of it by an index, by the server's own count: with the plans that a
// connection has kept from when the tables were empty, and with new ones, whichever statistics these are made from.
func TestNoFunctionScansALargeTable(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			noFunctionScans(t, mode)
		})
	}
}

func noFunctionScans(t *testing.T, mode string) {
	pool := newEngine(t)
	exec(t, pool, fmt.Sprintf(`select absurd.drop_queue('q'); select absurd.create_queue('q', '%s')`, mode))
	stopAutovacuum(t, pool)
	w := newWorker(t, pool)
	connect := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) }) //nolint:errcheck // the server ends with the test
		return conn
	}
	old := connect()

	call := func(conn *pgx.Conn, most int, statistics string) map[string]bool {
		parent, children := family(t, pool, w, 1)
		asleep := w.suspended(wait{"w", "e", hour()})
		failed := spawn(t, pool, "")[0]
		w.mustCommit(pass{task: w.claimOne(), action: "fail", payload: `{"records": ["a"]}`, records: []record{{"a", "s", "f", `1`}}})
		claimed := spawn(t, pool, `{"priority": -100}`)[0]
		exec(t, pool, `select * from absurd.claim_task('q', 'other', 60, 1)`)
		values := strings.NewReplacer(
			":parent", literal(parent), ":child", literal(children[0].TaskID), ":token", fmt.Sprint(children[0].Token), ":asleep", literal(asleep),
			":failed", literal(failed), ":claimed", literal(claimed), ":worker", fmt.Sprint(w.id), ":names", fmt.Sprintf("array[%d]", w.names[0]))
		called := map[string]bool{}
		for line := range strings.Lines(surface) {
			query := strings.TrimSpace(line)
			if query == "" || strings.HasPrefix(query, "--") {
				continue
			}
			name, _, _ := strings.Cut(query, "(")
			called[name] = true
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			const rows = `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int from pg_stat_xact_user_tables where schemaname like 'absurd%'
				and relname ~ '^([trcw]_q_.*|tasks|runs|checkpoints|events|waits|messages|message_keys|ready|timers|ended|idempotency_keys|unique_keys|runs_by_hand)$'`
			before := one[int](t, tx, rows)
			if _, err := tx.Exec(t.Context(), `select * from absurd.`+values.Replace(query), pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Errorf("%s: %v", query, err)
			} else if read := one[int](t, tx, rows) - before; read > max(most, reads[name]) {
				t.Errorf("with plans from statistics of %s: %s reads %d rows, of %s", statistics, query, read, one[string](t, tx,
					`select string_agg(format('%s %s + %s', relname, seq_tup_read, idx_tup_fetch), ', ' order by 1) from pg_stat_xact_user_tables
					where schemaname like 'absurd%' and seq_tup_read + idx_tup_fetch > 100`))
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// The next round begins with nothing that is ready.
		exec(t, pool, `select absurd.terminate_task('q', unnest($1::uuid[]))`, []pgtype.UUID{parent, asleep, claimed})
		return called
	}
	for range 6 { // from then on it keeps its plans
		call(old, math.MaxInt, "empty tables")
	}
	enlarge(t, pool)
	var called map[string]bool
	for _, s := range statistics {
		exec(t, pool, s.make)
		called = call(old, 1000, s.of)
		call(connect(), 1000, s.of)
	}

	missing := column[string](t, pool, `select function_name from absurd.rights() where kinds <> '' and not absurd.is_pure(function_name)
		and function_name not in ('my_tenants', 'my_task', 'count_workflow_tasks', 'is_housekeeping', 'list_queues', 'create_queue', 'ensure_queue_tables', 'set_queue_policy', 'get_queue_policy',
			'ensure_partitions', 'repair_partitions', 'list_detach_candidates', 'drop_detached_partition', 'schedule_detach_jobs', 'enable_cron', 'disable_cron')`)
	for _, name := range missing {
		if !called[name] {
			t.Errorf("%s is not called: add it to the list", name)
		}
	}
}

func literal(id pgtype.UUID) string { return "'" + uuidText(id) + "'::uuid" }
