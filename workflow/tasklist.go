package workflow

import (
	"context"
	"iter"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

// TaskFilter says which tasks [Client.Tasks] lists. What is zero lets everything pass.
type TaskFilter struct {
	Queue    string // the default is [DefaultQueue]
	Workflow string // the durable name
	States   []TaskState
	Tenant   string

	// Tags and Attributes have to be among those of the task.
	Tags, Attributes map[string]string

	// Error is a part of the failure, in upper or lower case.
	Error string

	// SpawnedFrom and SpawnedTo bound when the task was spawned; the first is included, the second is not.
	SpawnedFrom, SpawnedTo time.Time

	// After goes on behind the task whose Cursor it is, in a list with the same filter.
	After string
}

// TaskSummary is what a list tells of a task.
type TaskSummary struct {
	ID       TaskID
	Workflow string // the durable name
	Queue    string
	State    TaskState
	Attempt  int // 1 for the first
	Priority int
	Tenant   string

	Parent TaskID // zero: it is no child
	Root   TaskID // of the workflow run; the task's own id where it has no parent

	IdempotencyKey   string
	Version          string // of the code that spawned it
	Tags, Attributes map[string]string

	Failure Failure // why it has failed, or is blocked
	Worker  string  // that has it; empty: none

	Spawned time.Time
	Started time.Time // first; zero: never
	Due     time.Time // when it may start or wakes at the latest; zero: only something else can wake it
	Ended   time.Time // zero: it has not

	Cursor string // see [TaskFilter]
}

// Tasks lists the tasks of a queue, as they are read, a page at a time; breaking off reads no more. An error ends the list.
//
//	for task, err := range client.Tasks(ctx, workflow.TaskFilter{Queue: "orders", States: []workflow.TaskState{workflow.TaskFailed}}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(task.ID, task.Failure.Message)
//	}
//
// Failed or cancelled tasks alone come by their ends, the latest first; pending ones as they will be claimed; sleeping and blocked ones as
// they will wake; other lists the newest first. Lists of one of these states read what they show and no history; other filters look at one
// task after the other. [Flow.Attach] gives a typed handle of a listed task.
func (c *Client) Tasks(ctx context.Context, f TaskFilter) iter.Seq2[TaskSummary, error] {
	queue := queueOr(f.Queue)
	arg := db.ListTasksParams{
		Queue: queue, TaskName: optionalText(f.Workflow), Tenant: optionalText(f.Tenant), Tags: contained(f.Tags), Attributes: contained(f.Attributes),
		Error: optionalText(f.Error), SpawnedFrom: optionalTime(f.SpawnedFrom), SpawnedTo: optionalTime(f.SpawnedTo),
	}
	for _, s := range f.States {
		arg.States = append(arg.States, string(s))
	}
	limit := int32(pageSize)
	arg.MaxRows = &limit
	load := func(after *string) ([]db.ListedTask, error) {
		arg.After = after
		return c.on(ctx).ListTasks(ctx, arg)
	}
	return pages("tasks of queue "+queue, f.After, load, func(r db.ListedTask) (TaskSummary, string, bool) {
		return TaskSummary{
			ID: r.TaskID.Bytes, Workflow: value(r.TaskName), Queue: queue, State: TaskState(value(r.State)), Attempt: int(value(r.Attempt)),
			Priority: int(value(r.Priority)), Tenant: value(r.Tenant), Parent: r.ParentID.Bytes, Root: r.RootID.Bytes,
			IdempotencyKey: value(r.IdempotencyKey), Version: value(r.Version), Tags: texts(r.Tags), Attributes: texts(r.Attributes),
			Failure: failureOf(r.Failure), Worker: value(r.Holder), Spawned: moment(r.EnqueueAt), Started: moment(r.FirstStartedAt),
			Due: moment(r.AvailableAt), Ended: moment(r.EndedAt), Cursor: r.Cursor,
		}, r.Cursor, r.TaskID.Valid
	})
}
