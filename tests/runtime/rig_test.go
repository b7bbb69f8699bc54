package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// patience is how long a test waits for something that must come. It is no measure of speed.
const patience = 60 * time.Second

// rig is what most tests need: a database of their own with the default queue, and a client on it.
type rig struct {
	*testing.T
	pool   *pgxpool.Pool
	marked *pgxpool.Pool // of the runtime alone, in a markedRig
	dsn    string
	client *workflow.Client
	log    *slog.Logger
	ctx    context.Context // ends when the test's patience does
}

// newRig has the test run in parallel to others.
func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	return rigOn(t, pool, dsn, workflow.ClientOptions{})
}

func rigOn(t *testing.T, pool *pgxpool.Pool, dsn string, o workflow.ClientOptions) *rig {
	t.Helper()
	r := guestRig(t, pool, dsn, o)
	r.createQueue(workflow.DefaultQueue)
	return r
}

// guestRig is a rig whose login may not make queues.
func guestRig(t *testing.T, pool *pgxpool.Pool, dsn string, o workflow.ClientOptions) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	o.Logger = log
	r := &rig{T: t, pool: pool, dsn: dsn, client: workflow.NewClient(pool, o), log: log, ctx: ctx}
	t.Cleanup(r.client.Close)
	t.Cleanup(r.tellWhatIsLeft)
	return r
}

// tellWhatIsLeft logs, for a test that has failed, what the database then had to do.
func (r *rig) tellWhatIsLeft() {
	if !r.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for what, query := range map[string]string{
		"open tasks": everywhere(`select task_id, queue_no, state, worker_id, token, attempt, started_at, available_at, has_records, has_waits, children, parent_id,
			cancel_requested_at, lost_leases from absurd.tasks where state not in ('c', 'f', 'x') limit 20`),
		"ready":   `select * from absurd.ready limit 20`,
		"timers":  `select * from absurd.timers limit 20`,
		"claims":  `select * from absurd.claims limit 20`,
		"waits":   everywhere(`select * from absurd.waits limit 20`),
		"workers": `select now(), w.* from absurd.workers w`,
		"sessions": `select pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), xact_start, left(query, 100) from pg_stat_activity
			where datname = current_database() and state <> 'idle'`,
	} {
		rows, err := r.pool.Query(ctx, `select t::text from (`+query+`) t`)
		if err == nil {
			var found []string
			found, err = pgx.CollectRows(rows, pgx.RowTo[string])
			r.Logf("%s:\n%s", what, strings.Join(found, "\n"))
		}
		if err != nil {
			r.Logf("%s: %v", what, err)
		}
	}
}

// worker is a worker in this process.
type worker struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

// work starts a worker. It stops at the end of the test at the latest.
func (r *rig) work(o workflow.WorkerOptions, bindings ...workflow.Binding) *worker {
	r.Helper()
	registry := workflow.NewRegistry()
	if err := registry.Add(bindings...); err != nil {
		r.Fatal(err)
	}
	if o.Logger == nil {
		o.Logger = r.log
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = time.Second
	}
	w, err := workflow.NewWorker(r.client, registry, o)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	started := &worker{t: r.T, stop: cancel, done: make(chan error, 1)}
	go func() { started.done <- w.Run(ctx) }()
	r.Cleanup(started.end)
	return started
}

// end stops the worker and waits until it has returned. The second time it does nothing.
func (w *worker) end() {
	w.t.Helper()
	w.stop()
	select {
	case err := <-w.done:
		if err != nil {
			w.t.Errorf("Worker.Run: %v, want nil after a stop", err)
		}
		w.done <- nil
	case <-time.After(patience):
		w.t.Error("Worker.Run does not return")
	}
}

// spawn makes a task.
func spawn[In, Out any](r *rig, f workflow.Flow[In, Out], in In, opts ...workflow.SpawnOption) workflow.Task[Out] {
	r.Helper()
	task, err := f.Spawn(r.ctx, r.client, in, opts...)
	if err != nil {
		r.Fatal(err)
	}
	return task
}

// attach returns the task with the id, which must run the workflow.
func attach[In, Out any](r *rig, f workflow.Flow[In, Out], id workflow.TaskID) workflow.Task[Out] {
	r.Helper()
	task, err := f.Attach(r.ctx, r.client, id)
	if err != nil {
		r.Fatal(err)
	}
	return task
}

// result waits for the result of a task that must complete.
func result[Out any](r *rig, task workflow.Task[Out]) Out {
	r.Helper()
	out, err := task.Result(r.ctx)
	if err != nil {
		r.Fatalf("the task has not completed: %v", err)
	}
	return out
}

// failed waits for the end of a task that must fail.
func failed[Out any](r *rig, task workflow.Task[Out]) *workflow.TaskError {
	r.Helper()
	out, err := task.Result(r.ctx)
	failure, ok := errors.AsType[*workflow.TaskError](err)
	if !ok {
		r.Fatalf("result %v, %v, want a failed task", out, err)
	}
	return failure
}

// state returns the state of a task in words, and why it has failed or is blocked.
func (r *rig) state(id workflow.TaskID) (state, reason string) {
	r.Helper()
	rows, err := db.New().GetOutcome(r.ctx, r.pool, db.GetOutcomeParams{Queue: workflow.DefaultQueue, Task: uuid(id)})
	if err != nil || len(rows) != 1 {
		r.Fatalf("outcome of task %s: %d rows, %v", id, len(rows), err)
	}
	var failure struct{ Message string }
	if rows[0].Failure != nil {
		if err := json.Unmarshal(rows[0].Failure, &failure); err != nil {
			r.Fatal(err)
		}
	}
	return rows[0].State, failure.Message
}

// awaitState waits until the task is in the state, and returns the reason.
func (r *rig) awaitState(id workflow.TaskID, want string) (reason string) {
	r.Helper()
	r.eventually("task is "+want, func() bool {
		var state string
		state, reason = r.state(id)
		return state == want
	})
	return reason
}

// records returns the records of a task in the order of recording, as "kind outcome name".
func (r *rig) records(id workflow.TaskID) []string {
	r.Helper()
	rows, err := db.New().LoadRecords(r.ctx, r.pool, db.LoadRecordsParams{Queue: workflow.DefaultQueue, Tasks: []pgtype.UUID{uuid(id)}})
	if err != nil {
		r.Fatal(err)
	}
	texts := []string{}
	for _, row := range rows {
		texts = append(texts, row.Kind+" "+row.Outcome+" "+row.CheckpointName)
	}
	return texts
}

func uuid(id workflow.TaskID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// one returns the only value of a query.
func one[T any](r *rig, sql string, args ...any) T {
	r.Helper()
	var v T
	if err := r.pool.QueryRow(r.ctx, everywhere(sql), args...).Scan(&v); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (r *rig) exec(sql string, args ...any) {
	r.Helper()
	if _, err := r.pool.Exec(r.ctx, sql, args...); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
}

// eventually waits until the condition holds.
func (r *rig) eventually(what string, holds func() bool) {
	r.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-r.ctx.Done():
			r.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

// receive waits for a value.
func receive[T any](r *rig, what string, from <-chan T) T {
	r.Helper()
	select {
	case v := <-from:
		return v
	case <-r.ctx.Done():
		r.Fatalf("after %v nothing has come: %s", patience, what)
		panic("not reached")
	}
}

// nothingLeft checks that the database holds finished tasks and nothing else: no run that is held, due or waiting. Workers must
// have stopped, or have been swept.
func (r *rig) nothingLeft() {
	r.Helper()
	for what, query := range map[string]string{
		"tasks that have not ended":          `select count(*) from absurd.tasks where state not in ('c', 'f', 'x')`,
		"tasks that a worker holds":          `select count(*) from absurd.tasks where state = 'r'`,
		"ready rows":                         `select count(*) from absurd.ready`,
		"waits":                              `select count(*) from absurd.waits`,
		"timers that would wake a task":      `select count(*) from absurd.timers where kind in ('w', 'e')`,
		"claims":                             `select count(*) from absurd.claims`,
		"workers":                            `select count(*) from absurd.workers`,
		"records of steps still in progress": `select count(*) from absurd.checkpoints where outcome = 'n'`,
	} {
		if n := one[int](r, query); n > 0 {
			r.Errorf("%d %s are left", n, what)
		}
	}
}
