package engine

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// worker drives the engine as a worker process does, on queue "q".
type worker struct {
	tb    testing.TB
	pool  *pgxpool.Pool
	q     *db.Queries
	id    int64
	names []int32
}

const lease = 3_600_000 // milliseconds; no test is that slow

// newWorker registers a worker for the given task names, or for "t".
func newWorker(tb testing.TB, pool *pgxpool.Pool, names ...string) *worker {
	tb.Helper()
	if len(names) == 0 {
		names = []string{"t"}
	}
	w := &worker{tb: tb, pool: pool, q: db.New()}
	var err error
	if w.id, err = w.q.RegisterWorker(tb.Context(), pool, db.RegisterWorkerParams{Name: tb.Name(), LeaseMs: lease}); err != nil {
		tb.Fatal(err)
	}
	numbers, err := w.q.JoinQueue(tb.Context(), pool, db.JoinQueueParams{Worker: w.id, Queue: "q", Names: names})
	if err != nil {
		tb.Fatal(err)
	}
	for _, number := range numbers {
		w.names = append(w.names, number.NameNo)
	}
	return w
}

// claim takes at most n runs.
func (w *worker) claim(n int) []db.ClaimedTask {
	w.tb.Helper()
	claimed, err := w.q.ClaimTasks(w.tb.Context(), w.pool, db.ClaimTasksParams{Queue: "q", Worker: w.id, MaxTasks: int32(n), NameNos: w.names})
	if err != nil {
		w.tb.Fatal(err)
	}
	return claimed
}

// claimOne takes the only run there is to take.
func (w *worker) claimOne() db.ClaimedTask {
	w.tb.Helper()
	claimed := w.claim(2)
	if len(claimed) != 1 {
		w.tb.Fatalf("claimed %d runs, want 1", len(claimed))
	}
	return claimed[0]
}

// spawn makes tasks named "t", one for each options document ("" for none), and returns their ids.
func spawn(tb testing.TB, pool *pgxpool.Pool, options ...string) []pgtype.UUID {
	tb.Helper()
	arg := db.SpawnTasksParams{Queue: "q"}
	for _, option := range options {
		arg.Names = append(arg.Names, "t")
		arg.Params = append(arg.Params, json.RawMessage(`{"n": 1}`))
		arg.Options = append(arg.Options, raw(option))
	}
	rows, err := db.New().SpawnTasks(tb.Context(), pool, arg)
	if err != nil {
		tb.Fatal(err)
	}
	ids := make([]pgtype.UUID, len(rows))
	for _, row := range rows {
		ids[row.Ord-1] = row.TaskID
	}
	return ids
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// pass is one unit of a commit.
type pass struct {
	task     db.ClaimedTask
	action   string
	payload  string
	due      time.Time // zero: null
	records  []record
	waits    []wait
	receives []wait // for messages; event is the inbox
	removed  []string
}

type record struct{ name, kind, outcome, state string }

type wait struct {
	name, event string
	timeout     time.Time // zero: none
}

// value is the record of a step that returned state.
func value(name, state string) record {
	return record{name: name, kind: "s", outcome: "v", state: state}
}

// moment makes a null of the zero time.
func moment(at time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: at, Valid: !at.IsZero()}
}

// arguments makes the parallel arrays of a commit.
func (w *worker) arguments(passes ...pass) db.CommitPassesParams {
	arg := db.CommitPassesParams{Queue: "q", Worker: w.id}
	for i, p := range passes {
		unit := int32(i + 1)
		arg.Tasks = append(arg.Tasks, p.task.TaskID)
		arg.Tokens = append(arg.Tokens, p.task.Token)
		arg.Actions = append(arg.Actions, p.action)
		arg.Payloads = append(arg.Payloads, raw(p.payload))
		arg.Due = append(arg.Due, moment(p.due))
		for _, r := range p.records {
			arg.RecordUnits = append(arg.RecordUnits, unit)
			arg.RecordNames = append(arg.RecordNames, r.name)
			arg.RecordKinds = append(arg.RecordKinds, r.kind)
			arg.RecordOutcomes = append(arg.RecordOutcomes, r.outcome)
			arg.RecordFingerprints = append(arg.RecordFingerprints, 7)
			arg.RecordTimes = append(arg.RecordTimes, pgtype.Timestamptz{})
			arg.RecordStates = append(arg.RecordStates, raw(r.state))
		}
		for n, x := range slices.Concat(p.waits, p.receives) {
			kind := "e"
			if n >= len(p.waits) {
				kind = "m"
			}
			arg.WaitUnits = append(arg.WaitUnits, unit)
			arg.WaitNames = append(arg.WaitNames, x.name)
			arg.WaitKinds = append(arg.WaitKinds, kind)
			arg.WaitEvents = append(arg.WaitEvents, x.event)
			arg.WaitTimeouts = append(arg.WaitTimeouts, moment(x.timeout))
		}
		for _, name := range p.removed {
			arg.RemovedUnits = append(arg.RemovedUnits, unit)
			arg.RemovedNames = append(arg.RemovedNames, name)
		}
	}
	return arg
}

// try commits on the given pool, connection or transaction and returns the answers by unit.
func (w *worker) try(on db.DBTX, arg db.CommitPassesParams) ([]string, error) {
	rows, err := w.q.CommitPasses(w.tb.Context(), on, arg)
	answers := make([]string, len(rows))
	for _, row := range rows {
		answers[row.Unit-1] = row.Answer
	}
	return answers, err
}

// commit commits and returns the answers by unit.
func (w *worker) commit(passes ...pass) []string {
	w.tb.Helper()
	answers, err := w.try(w.pool, w.arguments(passes...))
	if err != nil {
		w.tb.Fatal(err)
	}
	return answers
}

// mustCommit commits and requires every unit to be ok.
func (w *worker) mustCommit(passes ...pass) {
	w.tb.Helper()
	for unit, answer := range w.commit(passes...) {
		if answer != "ok" {
			w.tb.Fatalf("unit %d: %s", unit+1, answer)
		}
	}
}

// emit emits one event and says whether it was the first of its name.
func emit(tb testing.TB, on db.DBTX, name, payload string) bool {
	tb.Helper()
	rows, err := db.New().EmitEvents(tb.Context(), on, db.EmitEventsParams{Queue: "q", Names: []string{name}, Payloads: []json.RawMessage{raw(payload)}})
	if err != nil {
		tb.Fatal(err)
	}
	return rows[0].First
}

// outcome reads a task, which must exist.
func outcome(tb testing.TB, pool *pgxpool.Pool, task pgtype.UUID) db.Outcome {
	tb.Helper()
	rows, err := db.New().GetOutcome(tb.Context(), pool, db.GetOutcomeParams{Queue: "q", Task: task})
	if err != nil || len(rows) != 1 {
		tb.Fatalf("outcome of task: %d rows, %v", len(rows), err)
	}
	return rows[0]
}

// records returns the records of a task as "kind outcome name state".
func records(tb testing.TB, pool *pgxpool.Pool, task pgtype.UUID) []string {
	tb.Helper()
	rows, err := db.New().LoadRecords(tb.Context(), pool, db.LoadRecordsParams{Queue: "q", Tasks: []pgtype.UUID{task}})
	if err != nil {
		tb.Fatal(err)
	}
	texts := []string{}
	for _, r := range rows {
		texts = append(texts, r.Kind+" "+r.Outcome+" "+r.CheckpointName+" "+string(r.State))
	}
	return texts
}

// checkInvariants checks the invariants of the narrow tables against the tasks, and fails the test where one is broken.
func checkInvariants(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	for what, query := range map[string]string{
		"pending tasks without exactly one ready row of the same key": `
			select count(*) from absurd.tasks t where t.state = 'p' and 1 <> (select count(*) from absurd.ready r
			where r.queue_no = t.queue_no and r.name_no = t.name_no and r.priority = t.priority and r.available_at = t.available_at and r.task_id = t.task_id)`,
		"ready rows without a pending task": `
			select count(*) from absurd.ready r where not exists (select from absurd.tasks t where t.queue_no = r.queue_no and t.task_id = r.task_id and t.state = 'p')`,
		"sleeping tasks without their timer": `
			select count(*) from absurd.tasks t where t.state in ('s', 'b') and not exists (select from absurd.timers m
			where m.queue_no = t.queue_no and m.kind = 'w' and m.due_at = t.available_at and m.task_id = t.task_id)
			and not (t.available_at = 'infinity' and exists (select from absurd.waits w where w.queue_no = t.queue_no and w.task_id = t.task_id))`,
		"sleeping tasks that lists show twice": `
			select count(*) from absurd.waits w join absurd.timers m using (queue_no, task_id) where m.kind = 'w' and m.due_at = 'infinity'`,
		"wake timers without their sleeping task": `
			select count(*) from absurd.timers m where m.kind = 'w' and not exists (select from absurd.tasks t
			where t.queue_no = m.queue_no and t.task_id = m.task_id and t.state in ('s', 'b') and t.available_at = m.due_at)`,
		"sleeping without end and without a wait": `
			select count(*) from absurd.tasks t where t.state = 's' and t.available_at = 'infinity' and t.children is distinct from 'w'
			and not exists (select from absurd.waits w where w.queue_no = t.queue_no and w.task_id = t.task_id)`,
		"sleeping tasks that have not heard of a child's end, and that nobody tells": `
			select count(*) from absurd.tasks p join absurd.checkpoints c using (queue_no, task_id) join absurd.tasks k on k.task_id = (c.state ->> 'task')::uuid
			where p.state = 's' and c.kind = 'c' and c.outcome in ('n', 'N') and k.state in ('c', 'f', 'x')
			and not exists (select from absurd.timers m where m.queue_no = k.queue_no and m.kind = 'e' and m.task_id = k.task_id)`,
		"waits of final tasks": `
			select count(*) from absurd.waits w join absurd.tasks t using (queue_no, task_id) where t.state in ('c', 'f', 'x')`,
		"waits that no flag announces": `
			select count(*) from absurd.waits w join absurd.tasks t using (queue_no, task_id) where not t.has_waits`,
		"records of open tasks that no flag announces": `
			select count(*) from absurd.checkpoints c join absurd.tasks t using (queue_no, task_id) where not t.has_records and t.token = 0`,
		"failed and cancelled tasks that ended does not have, or has wrongly": `
			select count(*) from absurd.tasks t full join absurd.ended e using (queue_no, task_id)
			where (t.state in ('f', 'x')) is distinct from (e.task_id is not null) or e.state <> t.state or e.ended_at <> t.ended_at`,
		"runs held by nobody": `
			select count(*) from absurd.tasks t where t.state = 'r' and t.worker_id is null and t.claimed_by is null`,
		"runs held without a claim": `
			select count(*) from absurd.tasks t where t.state = 'r' and t.worker_id is not null and not exists (select from absurd.claims c
			where c.worker_id = t.worker_id and c.queue_no = t.queue_no and t.task_id = any (c.task_ids))`,
		"sleeping waits whose event was emitted and which nobody looks at again": `
			select count(*) from absurd.waits w join absurd.tasks t using (queue_no, task_id)
			join absurd.events e on e.queue_no = w.queue_no and e.tenant = w.tenant and e.event_name = w.event_name and e.payload is not null
			where t.state = 's' and (w.registered or not exists (select from absurd.timers m where m.queue_no = w.queue_no and m.kind = 'e' and m.task_id = w.task_id))`,
		"messages that a sleeping task waits for": `
			select count(*) from absurd.messages m join absurd.waits w using (queue_no, task_id) join absurd.tasks t using (queue_no, task_id)
			where w.kind = 'm' and w.event_name = m.inbox_name and t.state = 's' and t.available_at > clock_timestamp()`,
		"messages of tasks that are gone": `
			select count(*) from (select queue_no, task_id from absurd.messages union all select queue_no, task_id from absurd.message_keys) m
			where not exists (select from absurd.tasks t where t.queue_no = m.queue_no and t.task_id = m.task_id)`,
	} {
		if n := one[int](tb, pool, query); n > 0 {
			tb.Errorf("%d %s", n, what)
		}
	}
}

// hour is far enough in the future for every test.
func hour() time.Time { return time.Now().Add(time.Hour) }
