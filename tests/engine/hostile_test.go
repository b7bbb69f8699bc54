package engine

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// Any text of 1 to 57 bytes names a queue, and none of them reaches another queue's rows.
func TestHostileQueueNames(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	ctx, q := t.Context(), db.New()
	names := []string{`a"b'c`, "Upper Case", "dots.and.more", "emoji 😀", "semi;colon--", strings.Repeat("x", 57), strings.Repeat("é", 28), "%I $1", `back\slash`, " ",
		"tasks", "q_sai", "q_pkey", "queues", "q'; drop schema absurd cascade; --", "null", "$$", "\t\n"}
	for i, name := range names {
		mode := []string{"unpartitioned", "partitioned"}[i%2]
		if err := q.CreateQueueWithStorage(ctx, pool, db.CreateQueueWithStorageParams{Queue: name, StorageMode: mode}); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if _, err := q.SpawnTasks(ctx, pool, db.SpawnTasksParams{Queue: name, Names: []string{"fenced"}, Params: []json.RawMessage{raw(`1`)}}); err != nil {
			t.Errorf("%q: spawn: %v", name, err)
		}
		id, err := q.RegisterWorker(ctx, pool, db.RegisterWorkerParams{Name: name, LeaseMs: lease})
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := q.JoinQueue(ctx, pool, db.JoinQueueParams{Worker: id, Queue: name, Names: []string{"fenced"}})
		if err != nil || len(numbers) != 1 {
			t.Fatalf("%q: join: %v, %v", name, numbers, err)
		}
		claimed, err := q.ClaimTasks(ctx, pool, db.ClaimTasksParams{Queue: name, Worker: id, MaxTasks: 10, NameNos: []int32{numbers[0].NameNo}})
		if err != nil || len(claimed) != 1 {
			t.Fatalf("%q: claim: %v, %v", name, claimed, err)
		}
		w := &worker{tb: t, pool: pool, q: q, id: id}
		arguments := w.arguments(pass{task: claimed[0], action: "complete", payload: `1`, records: []record{value(name, `1`)}})
		arguments.Queue = name
		if answers, err := w.try(pool, arguments); err != nil || !slices.Equal(answers, []string{"ok"}) {
			t.Errorf("%q: commit: %v, %v", name, answers, err)
		}
		if _, err := q.SpawnTask(ctx, pool, db.SpawnTaskParams{Queue: name, TaskName: name + "x", Params: raw(`{}`)}); err != nil {
			t.Errorf("%q: spawn_task: %v", name, err)
		}
		runs, err := q.ClaimTask(ctx, pool, db.ClaimTaskParams{Queue: name, WorkerID: name, ClaimTimeout: 30, Quantity: 5})
		if err != nil || len(runs) != 1 {
			t.Fatalf("%q: claim_task: %v, %v", name, runs, err)
		}
		if err := q.EmitEvent(ctx, pool, db.EmitEventParams{Queue: name, EventName: name + "x", Payload: raw(`1`)}); err != nil {
			t.Errorf("%q: emit: %v", name, err)
		}
		if err := q.CompleteRun(ctx, pool, db.CompleteRunParams{Queue: name, RunID: runs[0].RunID}); err != nil {
			t.Errorf("%q: complete_run: %v", name, err)
		}
		outcome, err := q.GetOutcome(ctx, pool, db.GetOutcomeParams{Queue: name, Task: claimed[0].TaskID})
		if err != nil || len(outcome) != 1 || outcome[0].State != "completed" {
			t.Errorf("%q: outcome %v, %v", name, outcome, err)
		}
	}
	listed, err := q.ListQueues(ctx, pool)
	if err != nil || len(listed) != len(names)+1 {
		t.Errorf("%d queues are listed, want %d (%v)", len(listed), len(names)+1, err)
	}
	for _, name := range names {
		if err := q.DropQueue(ctx, pool, name); err != nil {
			t.Errorf("%q: drop: %v", name, err)
		}
	}
	if left := column[string](t, pool, `select c.relname::text from pg_class c where c.relnamespace = 'absurd'::regnamespace and c.relname ~ '^[trcewi]_' and c.relname !~ '^[trcewi]_q$'
		and c.relkind in ('r', 'v', 'p')`); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	spawn(t, pool, "")
}

// A document that jsonb cannot hold is refused by every function that takes one, with the server's own code, and nothing is written. One
// of ten megabytes is stored.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	ctx, q := t.Context(), db.New()
	w := newWorker(t, pool)
	spawn(t, pool, "")
	held := w.claimOne()
	run := one[pgtype.UUID](t, pool, `select task_id from absurd.spawn_task('q', 'sdk', '{}')`)
	exec(t, pool, `select absurd.claim_task('q', 'sdk', 300)`)
	state := func() string {
		return one[string](t, pool, `select md5(coalesce((select string_agg(t::text, '|' order by t.task_id) from absurd.tasks t), '')
			|| coalesce((select string_agg(c::text, '|' order by c.seq) from absurd.checkpoints c), '') || coalesce((select string_agg(e::text, '|') from absurd.events e), '')
			|| (select count(*) from absurd.ready) || ' ' || (select count(*) from absurd.timers) || ' ' || (select count(*) from absurd.idempotency_keys))`)
	}
	calls := map[string]func(document json.RawMessage) error{
		"spawn_task": func(d json.RawMessage) error {
			_, err := q.SpawnTask(ctx, pool, db.SpawnTaskParams{Queue: "q", TaskName: "x", Params: d, Options: raw(`{}`)})
			return err
		},
		"spawn_task options": func(d json.RawMessage) error {
			_, err := q.SpawnTask(ctx, pool, db.SpawnTaskParams{Queue: "q", TaskName: "x", Params: raw(`1`), Options: slices.Concat(raw(`{"idempotency_key": "k", "headers": `), d, raw(`}`))})
			return err
		},
		"spawn_tasks": func(d json.RawMessage) error {
			_, err := q.SpawnTasks(ctx, pool, db.SpawnTasksParams{Queue: "q", Names: []string{"x", "x"}, Params: []json.RawMessage{raw(`1`), d}})
			return err
		},
		"spawn_tasks options": func(d json.RawMessage) error {
			_, err := q.SpawnTasks(ctx, pool, db.SpawnTasksParams{Queue: "q", Names: []string{"x", "x"}, Params: []json.RawMessage{raw(`1`), raw(`1`)},
				Options: []json.RawMessage{raw(`{"idempotency_key": "k"}`), slices.Concat(raw(`{"headers": `), d, raw(`}`))}})
			return err
		},
		"complete_run": func(d json.RawMessage) error {
			return q.CompleteRun(ctx, pool, db.CompleteRunParams{Queue: "q", RunID: run, State: d})
		},
		"fail_run": func(d json.RawMessage) error {
			return q.FailRun(ctx, pool, db.FailRunParams{Queue: "q", RunID: run, Reason: d})
		},
		"set_task_checkpoint_state": func(d json.RawMessage) error {
			return q.SetTaskCheckpointState(ctx, pool, db.SetTaskCheckpointStateParams{Queue: "q", TaskID: run, StepName: "a", State: d, OwnerRun: run})
		},
		"emit_event": func(d json.RawMessage) error {
			return q.EmitEvent(ctx, pool, db.EmitEventParams{Queue: "q", EventName: "hostile", Payload: d})
		},
		"emit_events": func(d json.RawMessage) error {
			_, err := q.EmitEvents(ctx, pool, db.EmitEventsParams{Queue: "q", Names: []string{"fine", "hostile"}, Payloads: []json.RawMessage{raw(`1`), d}})
			return err
		},
		"commit_passes record": func(d json.RawMessage) error {
			_, err := w.try(pool, w.arguments(pass{task: held, action: "complete", payload: `1`, records: []record{value("a", `1`), value("b", string(d))}}))
			return err
		},
		"commit_passes result": func(d json.RawMessage) error {
			_, err := w.try(pool, w.arguments(pass{task: held, action: "complete", payload: string(d), records: []record{value("a", `1`)}}))
			return err
		},
	}
	documents := map[string]struct{ text, code string }{
		"a NUL":          {`{"a": ["\u0000"]}`, "22P05"},
		"a NUL in a key": {`{"\u0000": 1}`, "22P05"},
		"half a pair":    {`"\ud800"`, "22P02"},
		"deep nesting":   {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "54001"},
		"no JSON":        {`{"a": `, "22P02"},
		"a raw NUL":      {"\"\x00\"", "22P02"},
		"bad UTF-8":      {"\"\xff\"", "22021"},
	}
	before := state()
	for name, call := range calls {
		for what, document := range documents {
			err := call(raw(document.text))
			var pg *pgconn.PgError
			codes := []string{document.code}
			if what == "a raw NUL" {
				codes = append(codes, "22021") // where the text itself is refused before its JSON is looked at
			}
			if !errors.As(err, &pg) || !slices.Contains(codes, pg.Code) {
				t.Errorf("%s with %s: %v, want SQLSTATE %s", name, what, err, document.code)
			}
		}
	}
	if state() != before {
		t.Error("something was written by calls that were refused")
	}
	large := raw(`"` + strings.Repeat("x", 10<<20) + `"`)
	for _, name := range []string{"spawn_task", "spawn_tasks", "emit_event", "set_task_checkpoint_state", "complete_run", "commit_passes record"} {
		if err := calls[name](large); err != nil {
			t.Errorf("%s with ten megabytes: %v", name, err)
		}
	}
	if size := one[int](t, pool, `select length(result #>> '{}') from absurd.tasks where task_id = $1`, run); size != 10<<20 {
		t.Errorf("the stored result has %d bytes", size)
	}
}
