package engine

import (
	_ "embed"
	"fmt"
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
	fill(t, pool, 20_000, 5_000, 5_000)
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
			from absurd.queues, generate_series(1, 10000) g where queue_name = 'q'`,
		`insert into absurd.messages (queue_no, task_id, inbox_name, sent_at, payload) select queue_no, task_id, 'i', now(), '1' from absurd.tasks where state = 's'`,
		`insert into absurd.message_keys select queue_no, task_id, 'i', 'k' from absurd.tasks where state = 's'`,
		`insert into absurd.unique_keys (queue_no, task_name, unique_key, task_id) select queue_no, 't', task_id, task_id from absurd.tasks where state = 's'`,
		`insert into absurd.idempotency_keys (queue_no, scope, idempotency_key, task_id) select queue_no, 't', task_id, task_id from absurd.tasks where state = 's'`,
		`insert into absurd.runs_by_hand (queue_no, run_id, workflow_name, status, created_by, created_at)
			select queue_no, gen_random_uuid(), 'h', 'pending', 'me', now() from absurd.queues, generate_series(1, 10000) where queue_name = 'q'`,
		`insert into absurd.timers (queue_no, kind, due_at, task_id) select queue_no, 'd', now() + interval '1 day', task_id from absurd.tasks where state = 's'`,
		`update absurd.tasks set root_queue_no = queue_no, root_id = gen_random_uuid() where state = 'p'`,
		`analyze`,
	} {
		exec(t, pool, statement)
	}
}

// No function reads a large table from end to end, by the server's own count: with plans made for these tables as they are, and with plans
// that a connection has kept from when they were empty.
func TestNoFunctionScansALargeTable(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
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

	call := func(conn *pgx.Conn, large bool) map[string]bool {
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
			const scans = `select string_agg(relname || ' ' || seq_scan, ', ' order by relname) from pg_stat_xact_user_tables where seq_scan > 0 and relname in
				('tasks', 'runs', 'checkpoints', 'events', 'waits', 'messages', 'message_keys', 'ready', 'timers', 'ended', 'idempotency_keys', 'unique_keys', 'runs_by_hand')`
			before := one[*string](t, tx, scans)
			if _, err := tx.Exec(t.Context(), `select * from absurd.`+values.Replace(query), pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Errorf("%s: %v", query, err)
			} else if after := one[*string](t, tx, scans); large && ((before == nil) != (after == nil) || after != nil && *before != *after) {
				t.Errorf("%s scans: %s", query, *after)
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
		call(old, false)
	}
	enlarge(t, pool)
	called := call(old, true)
	call(connect(), true)

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
