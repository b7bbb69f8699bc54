package workflow

import (
	"context"
	"iter"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

// RunFilter says which runs [Client.Runs] lists.
type RunFilter struct {
	Queue  string      // the default is [DefaultQueue]
	Task   TaskID      // zero: all tasks of the queue
	States []TaskState // of the run; none: all
	After  string      // go on behind the run whose Cursor it is
}

// Run is one attempt at a task.
type Run struct {
	Task     TaskID
	Workflow string
	Attempt  int
	State    TaskState
	Worker   string  // that has it; empty: none
	Failure  Failure // why it has failed

	Created time.Time
	Started time.Time // zero: not yet
	Ended   time.Time // completed or failed; zero: neither

	Cursor string // see [RunFilter]
}

// Runs lists the runs of a task, the first attempt first, or those of all tasks of a queue, the newest task first. See [Client.Tasks] for
// what all lists have in common.
func (c *Client) Runs(ctx context.Context, f RunFilter) iter.Seq2[Run, error] {
	queue, limit := queueOr(f.Queue), int32(pageSize)
	arg := db.ListRunsParams{Queue: queue, Task: optionalID(f.Task), MaxRows: &limit}
	for _, s := range f.States {
		arg.States = append(arg.States, string(s))
	}
	load := listing(ctx, c, db.New().ListRuns, func(after *string) db.ListRunsParams { arg.After = after; return arg })
	return pages("runs of queue "+queue, f.After, load, func(r db.ListedRun) (Run, string, bool) {
		run := Run{
			Task: r.TaskID.Bytes, Workflow: value(r.TaskName), Attempt: int(value(r.Attempt)), State: TaskState(value(r.State)), Worker: value(r.ClaimedBy),
			Failure: failureOf(r.FailureReason), Created: moment(r.CreatedAt), Started: moment(r.StartedAt), Ended: moment(r.CompletedAt), Cursor: r.Cursor,
		}
		if run.Ended.IsZero() {
			run.Ended = moment(r.FailedAt)
		}
		return run, r.Cursor, r.RunID.Valid
	})
}

// Checkpoint is a recorded outcome of a task: what a replay is served from.
type Checkpoint struct {
	Name       string // such as "orders.charge" or "1/orders.pack:sku-7"
	Kind       string // step, sleep, event, child, message, race, changed or cancel
	Outcome    string // value, failure, timeout, or pending for what is under way
	Superseded bool   // recorded after a failure that a retry has removed: served if it is asked for again
	Attempt    int    // of the task
	Recorded   time.Time
	State      []byte // JSON: the value, or the failure
}

// Checkpoints lists what is recorded of a task, in the order of recording. An unknown task has nothing.
func (c *Client) Checkpoints(ctx context.Context, queue string, task TaskID) iter.Seq2[Checkpoint, error] {
	limit := int32(pageSize)
	arg := db.ListCheckpointsParams{Queue: queueOr(queue), Task: optionalID(task), MaxRows: &limit}
	load := listing(ctx, c, db.New().ListCheckpoints, func(after *string) db.ListCheckpointsParams { arg.After = after; return arg })
	return pages("checkpoints of task "+task.String(), "", load, func(r db.ListedCheckpoint) (Checkpoint, string, bool) {
		return Checkpoint{
			Name: r.CheckpointName, Kind: r.Kind, Outcome: r.Outcome, Superseded: r.Superseded, Attempt: int(r.Attempt), Recorded: r.RecordedAt.UTC(),
			State: r.State,
		}, r.Cursor, true
	})
}

// WaitFilter says which open waits [Client.Waits] lists. What is zero lets everything pass.
type WaitFilter struct {
	Queue  string // the default is [DefaultQueue]
	Task   TaskID
	Kind   string // event, child or message
	For    string // the event with its key ("order.approved:o-1"), the inbox, or the child's id
	Tenant string
	After  string // go on behind the wait whose Cursor it is
}

// Wait is an open wait: what a sleeping task waits for.
type Wait struct {
	Task       TaskID
	Workflow   string
	Checkpoint string // the name under which the outcome will be recorded
	Kind       string // event, child or message
	For        string // as in [WaitFilter]
	Tenant     string
	Opened     time.Time
	Timeout    time.Time // zero: none
	Cursor     string    // see [WaitFilter]
}

// Waits lists open waits by task. See [Client.Tasks] for what all lists have in common.
func (c *Client) Waits(ctx context.Context, f WaitFilter) iter.Seq2[Wait, error] {
	queue, limit := queueOr(f.Queue), int32(pageSize)
	arg := db.ListWaitsParams{
		Queue: queue, Kind: optionalText(f.Kind), Event: optionalText(f.For), Task: optionalID(f.Task), Tenant: optionalText(f.Tenant), MaxRows: &limit,
	}
	load := listing(ctx, c, db.New().ListWaits, func(after *string) db.ListWaitsParams { arg.After = after; return arg })
	return pages("waits of queue "+queue, f.After, load, func(r db.ListedWait) (Wait, string, bool) {
		return Wait{
			Task: r.TaskID.Bytes, Workflow: value(r.TaskName), Checkpoint: value(r.StepName), Kind: value(r.Kind), For: value(r.EventName),
			Tenant: value(r.Tenant), Opened: moment(r.CreatedAt), Timeout: moment(r.TimeoutAt), Cursor: r.Cursor,
		}, r.Cursor, r.TaskID.Valid
	})
}

// EventFilter says which events [Client.Events] lists. What is zero lets everything pass.
type EventFilter struct {
	Queue                  string // the default is [DefaultQueue]
	Prefix                 string // how the stored name, "name:key", begins
	Tenant                 string
	EmittedFrom, EmittedTo time.Time // the first is included, the second is not
	After                  string    // go on behind the event whose Cursor it is
}

// EmittedEvent is an event that is known to a queue.
type EmittedEvent struct {
	Name    string // with its key: "order.approved:o-1"
	Tenant  string
	Emitted time.Time
	Payload []byte // JSON
	Cursor  string // see [EventFilter]
}

// Events lists the events that were emitted on a queue, the latest first. See [Client.Tasks] for what all lists have in common.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[EmittedEvent, error] {
	queue, limit := queueOr(f.Queue), int32(pageSize)
	arg := db.ListEventsParams{
		Queue: queue, Prefix: optionalText(f.Prefix), Tenant: optionalText(f.Tenant), EmittedFrom: optionalTime(f.EmittedFrom),
		EmittedTo: optionalTime(f.EmittedTo), MaxRows: &limit,
	}
	load := listing(ctx, c, db.New().ListEvents, func(after *string) db.ListEventsParams { arg.After = after; return arg })
	return pages("events of queue "+queue, f.After, load, func(r db.ListedEvent) (EmittedEvent, string, bool) {
		return EmittedEvent{
			Name: value(r.EventName), Tenant: value(r.Tenant), Emitted: moment(r.EmittedAt), Payload: r.Payload, Cursor: r.Cursor,
		}, r.Cursor, r.EventName != nil
	})
}
