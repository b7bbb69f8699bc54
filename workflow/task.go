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

// settle is how long a task that was just spawned here is left alone. It is mostly being claimed, and to mark it as watched is
// a commit, in the way of the claim; and a worker of this process tells by itself when it has ended.
const settle = 3 * time.Millisecond

// Result waits until the task ends and returns its result. It returns a [*TaskError] when the task failed, [ErrCancelled]
// when it was cancelled, [ErrNotFound] when it does not exist, and the context's error when that ends first. It waits out
// a database that cannot be reached.
func (t Task[Out]) Result(ctx context.Context) (Out, error) {
	var zero Out
	if t.client == nil {
		return zero, errNoClient
	}
	ended, leave := t.client.listener.task(t.ID)
	defer leave()
	for wait := time.Until(t.spawned.Add(settle)); ; wait = jitter(t.client.poll()) {
		if wait > 0 {
			poll := time.NewTimer(wait)
			select {
			case <-ended:
			case <-poll.C:
			case <-ctx.Done():
			case <-t.client.listener.ctx.Done():
				return zero, errors.New("workflow: the client was closed")
			}
			poll.Stop()
		}
		o, err := t.client.on(ctx).Watch(ctx, t.queue, t.ID)
		switch {
		case err != nil && ctx.Err() != nil:
			return zero, ctx.Err()
		case err != nil && !outage(err):
			return zero, fmt.Errorf("workflow: task %s: %w", t.ID, err)
		case err != nil:
			t.client.options.Logger.Warn("workflow: result not asked for, trying again", "task", t.ID.String(), "error", err)
		case o == nil:
			return zero, t.notFound()
		case o.State == store.Completed:
			return t.out.decode(o.Result)
		case o.State == store.Failed:
			return zero, taskError(t.ID, o.Failure)
		case o.State == store.Cancelled:
			return zero, fmt.Errorf("%w: %s", ErrCancelled, t.ID)
		}
	}
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
