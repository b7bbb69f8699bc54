package workflow

import (
	"context"
	"iter"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

// WorkflowRunFilter says which workflow runs [Client.WorkflowRuns] lists. What is zero lets everything pass.
type WorkflowRunFilter struct {
	Queue                  string // the default is [DefaultQueue]
	Workflow               string
	States                 []TaskState // of the root task
	Tenant                 string
	Tags                   map[string]string // that have to be among those of the run
	CreatedFrom, CreatedTo time.Time         // the first is included, the second is not
	After                  string            // go on behind the run whose Cursor it is
}

// WorkflowRun is a root task with all the tasks that it has spawned, and these in turn.
type WorkflowRun struct {
	ID       TaskID // the root task's; of a run that was made by hand, its own
	Workflow string
	Queue    string
	State    TaskState
	Tenant   string
	Version  string // of the code that spawned it
	Tags     map[string]string
	Tasks    int     // in all
	Failure  Failure // why it has failed
	Input    []byte  // JSON
	Result   []byte  // JSON; nil: none

	Created time.Time
	Started time.Time // zero: not yet
	Ended   time.Time // zero: it has not

	Cursor string // see [WorkflowRunFilter]
}

// WorkflowRuns lists workflow runs, the newest first. See [Client.Tasks] for what all lists have in common.
func (c *Client) WorkflowRuns(ctx context.Context, f WorkflowRunFilter) iter.Seq2[WorkflowRun, error] {
	queue, limit := queueOr(f.Queue), int32(pageSize)
	arg := db.ListWorkflowRunsParams{
		Queue: queue, WorkflowName: optionalText(f.Workflow), Tenant: optionalText(f.Tenant), Tags: contained(f.Tags),
		CreatedFrom: optionalTime(f.CreatedFrom), CreatedTo: optionalTime(f.CreatedTo), MaxRows: &limit,
	}
	for _, s := range f.States {
		arg.Statuses = append(arg.Statuses, string(s))
	}
	load := listing(ctx, c, db.New().ListWorkflowRuns, func(after *string) db.ListWorkflowRunsParams { arg.After = after; return arg })
	return pages("workflow runs of queue "+queue, f.After, load, func(r db.ListedWorkflowRun) (WorkflowRun, string, bool) {
		return WorkflowRun{
			ID: r.RunID.Bytes, Workflow: value(r.WorkflowName), Queue: queue, State: TaskState(value(r.Status)), Tenant: value(r.Tenant),
			Version: value(r.Version), Tags: texts(r.Tags), Tasks: int(value(r.TaskCount)), Failure: failureOf(r.Error), Input: r.Input, Result: r.Result,
			Created: moment(r.CreatedAt), Started: moment(r.StartedAt), Ended: moment(r.CompletedAt), Cursor: r.Cursor,
		}, r.Cursor, r.RunID.Valid
	})
}
