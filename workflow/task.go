package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Task is a task whose result has the type Out.
type Task[Out any] struct {
	ID      TaskID
	Created bool // false when Spawn found a task with the same idempotency key

	queue   string
	out     payload[Out]
	client  *Client
	spawned time.Time // by this client; zero: it was there before, or was found by its key
}

// Result waits until the task ends and returns its result. It returns a [*TaskError] when the task failed, [ErrCancelled]
// when it was cancelled, [ErrNotFound] when it does not exist, and the context's error when that ends first. It waits out
// a database that cannot be reached.
func (t Task[Out]) Result(ctx context.Context) (Out, error) {
	var zero Out
	if t.client == nil {
		return zero, errNoClient
	}
	o, err := t.client.awaitEnd(ctx, t.queue, t.ID, t.spawned)
	switch {
	case err != nil:
		return zero, err
	case o == nil:
		return zero, t.notFound()
	case o.State == store.Completed:
		return t.out.decode(o.Result)
	case o.State == store.Failed:
		return zero, taskError(t.ID, o.Failure)
	}
	return zero, fmt.Errorf("%w: %s", ErrCancelled, t.ID)
}

// TaskState says where a task stands.
type TaskState string

// The states of a task. The last three are final.
const (
	TaskPending   TaskState = "pending"   // it may start, or go on, and no worker has taken it yet
	TaskRunning   TaskState = "running"   // a worker has it
	TaskSleeping  TaskState = "sleeping"  // it waits for a time, an event, a message or a child
	TaskBlocked   TaskState = "blocked"   // the code and the records disagree; it is tried again later
	TaskCompleted TaskState = "completed" // it has its result
	TaskFailed    TaskState = "failed"
	TaskCancelled TaskState = "cancelled"
)

// Final reports whether a task in this state has ended.
func (s TaskState) Final() bool { return s == TaskCompleted || s == TaskFailed || s == TaskCancelled }

// State returns where the task stands. It returns [ErrNotFound] when it does not exist.
func (t Task[Out]) State(ctx context.Context) (TaskState, error) {
	o, err := t.outcome(ctx)
	if err != nil {
		return "", err
	}
	return TaskState(o.State), nil
}

// outcome asks where the task stands.
func (t Task[Out]) outcome(ctx context.Context) (o *store.Outcome, err error) {
	if t.client == nil {
		return nil, errNoClient
	}
	err = again(ctx, func() (err error) {
		o, err = t.client.on(ctx).Look(ctx, t.queue, t.ID)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("workflow: task %s: %w", t.ID, hint(err))
	case o == nil:
		return nil, t.notFound()
	}
	return o, nil
}

func (t Task[Out]) notFound() error {
	return fmt.Errorf("%w: %s on queue %q", ErrNotFound, t.ID, t.queue)
}

var errNoClient = errors.New("workflow: a task spawned in a transaction has no client: use Attach after the commit")

// Retry gives a task that has failed, or was cancelled, another attempt. Only the failures of steps and children that the workflow's error
// wraps are removed: these are run again, what has succeeded is not. A cancelled workflow goes on where it was; what it did to clean up
// stays done, and the children that were cancelled with it stay ended: it gets a [ChildError] for each.
func (t Task[Out]) Retry(ctx context.Context) error {
	if t.client == nil {
		return errNoClient
	}
	var known bool
	err := again(ctx, func() (err error) {
		known, err = t.client.on(ctx).Retry(ctx, t.queue, t.ID)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("workflow: task %s was not tried again: %w", t.ID, hint(err))
	case !known:
		return t.notFound()
	}
	return nil
}

func taskError(id TaskID, stored []byte) error {
	var f failure
	if err := json.Unmarshal(stored, &f); err != nil || f.Message == "" {
		f.Message = "the reason cannot be read"
	}
	return &TaskError{Task: id, Type: f.Name, Message: f.Message}
}
