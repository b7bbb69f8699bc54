package workflow

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// With returns the handle with options for the children that [Flow.Do] and [Flow.Go] make through it.
//
//	Invoice.With(workflow.WithPriority(-10)).Do(ctx, order)
//
// Keys are refused, because a child's record makes sure that there is one of it, and so are tenants and messages.
func (f Flow[In, Out]) With(opts ...SpawnOption) Flow[In, Out] {
	f.child = append(slices.Clone(f.child), opts...)
	return f
}

// Do runs the workflow as a child, a task of its own on its own queue, and waits for its result. The waiting holds no worker.
// The error is a [*ChildError] when the child has failed or was cancelled. When the parent is cancelled, so is the child (see
// [Abandon]).
func (f Flow[In, Out]) Do(ctx Context, in In) (Out, error) { return f.start(ctx, in).Await(ctx) }

// Go starts the workflow as a child and returns at once.
func (f Flow[In, Out]) Go(ctx Context, in In) *Future[Out] { return f.start(ctx, in) }

// With is as [Flow.With].
func (f FlowIn[In]) With(opts ...SpawnOption) FlowIn[In] { return FlowIn[In]{f.flow.With(opts...)} }

// Do is as [Flow.Do].
func (f FlowIn[In]) Do(ctx Context, in In) error {
	_, err := f.flow.start(ctx, in).Await(ctx)
	return err
}

// Go is as [Flow.Go].
func (f FlowIn[In]) Go(ctx Context, in In) *Future[None] { return f.flow.start(ctx, in) }

// With is as [Flow.With].
func (f FlowOut[Out]) With(opts ...SpawnOption) FlowOut[Out] {
	return FlowOut[Out]{f.flow.With(opts...)}
}

// Do is as [Flow.Do].
func (f FlowOut[Out]) Do(ctx Context) (Out, error) { return f.flow.start(ctx, None{}).Await(ctx) }

// Go is as [Flow.Go].
func (f FlowOut[Out]) Go(ctx Context) *Future[Out] { return f.flow.start(ctx, None{}) }

// With is as [Flow.With].
func (f FlowOnly) With(opts ...SpawnOption) FlowOnly { return FlowOnly{f.flow.With(opts...)} }

// Do is as [Flow.Do].
func (f FlowOnly) Do(ctx Context) error {
	_, err := f.flow.start(ctx, None{}).Await(ctx)
	return err
}

// Go is as [Flow.Go].
func (f FlowOnly) Go(ctx Context) *Future[None] { return f.flow.start(ctx, None{}) }

// Abandon has a child outlive its parent: the parent may end before it, and takes it along neither when it is cancelled nor when
// it loses a race. It says nothing for a task that is not a child.
func Abandon() SpawnOption { return func(s *spawning) { s.Abandon = true } }

// ChildError is what a child that has failed or was cancelled returns to its parent. It is recorded: replay returns the same
// error. One of a cancelled child wraps [ErrCancelled].
type ChildError struct {
	Workflow   string // the durable name
	Task       TaskID // of the child
	Checkpoint string // the name under which the failure is recorded
	Cancelled  bool   // it was cancelled, and has not failed
	Type       string // as in [TaskError]
	Message    string
}

func (e *ChildError) Error() string { return fmt.Sprintf("child %s: %s", e.Workflow, e.Message) }

// Unwrap returns [ErrCancelled] for a child that was cancelled.
func (e *ChildError) Unwrap() error {
	if e.Cancelled {
		return ErrCancelled
	}
	return nil
}

// childCall is what a worker needs to make a child. It is the Arg of the operation.
type childCall struct {
	queue string
	spawn store.Spawn
}

// childRecord is the state of a child's pending record.
type childRecord struct {
	Task  TaskID `json:"task"`
	Queue string `json:"queue"`
}

func (f Flow[In, Out]) start(ctx Context, in In) *Future[Out] {
	params, err := f.in.encode(in)
	if err != nil {
		return refused[Out](err)
	}
	spawn, err := f.spec.task(params, f.child)
	if err != nil {
		return refused[Out](err)
	}
	if o := &spawn.Options; o.IdempotencyKey != "" || o.UniqueKey != "" || o.Tenant != "" || len(o.Messages) > 0 {
		return refused[Out](fmt.Errorf("workflow: child %s was given a key, a tenant or a message: leave them out, its record makes sure that there is"+
			" one child, and it has its parent's tenant", f.spec.name))
	}
	call := &childCall{queue: f.spec.policy.queue, spawn: spawn}
	return start(ctx, f.out, replay.Call{
		Kind:        replay.Child,
		Durable:     "$child:" + f.spec.name,
		Fingerprint: fingerprint(params),
		Arg:         call,
		Caller:      caller,
		Detached:    call.spawn.Abandon,
	})
}

// planChild has the child made with the next commit, or waits for the one that an earlier pass has made.
func (p *pass) planChild(op *replay.Op, call *childCall, now time.Time) {
	p.wait(op)
	if op.Prior != nil {
		var made childRecord
		if json.Unmarshal(op.Prior.State, &made) == nil && made.Queue != call.queue {
			p.blocked = fmt.Sprintf("child %q is under way on queue %q, the code asks for it on queue %q (%s): let the workflow keep its queue until"+
				" its tasks are done, or give the changed one a new name", op.Name, made.Queue, call.queue, position(op.Caller))
		}
		return
	}
	made := childRecord{Task: newTaskID(now), Queue: call.queue}
	state, err := json.Marshal(made)
	if err != nil { // an id and a text
		panic("workflow: " + err.Error())
	}
	p.records = append(p.records, replay.Record{
		Name: op.Name, Kind: replay.Child, Outcome: replay.Pending, Fingerprint: op.Fingerprint, Time: now, State: state,
	})
	p.children = append(p.children, store.Child{
		Name: op.Name, ID: made.Task, Queue: call.queue, Workflow: call.spawn.Name, Params: call.spawn.Params, Options: call.spawn.Options,
		Abandon: call.spawn.Abandon,
	})
}

// planDetached has the children made that a workflow has abandoned and that were not made before it ended.
func (p *pass) planDetached(now time.Time) {
	for _, op := range p.replay.Wants() {
		if call, ok := op.Arg.(*childCall); ok && op.Detached {
			p.planChild(op, call, now)
		}
	}
}

// newTaskID makes a version 7 UUID of the given time.
func newTaskID(now time.Time) TaskID {
	var id TaskID
	rand.Read(id[:]) // never fails
	ms := now.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// childError rebuilds the error of a child's recorded failure.
func childError(op *replay.Op) error {
	var f struct {
		failure
		Task  TaskID      `json:"task"`
		State store.State `json:"state"`
	}
	if err := json.Unmarshal(op.State, &f); err != nil {
		f.Message = "the recorded failure cannot be read"
	}
	e := &ChildError{Checkpoint: op.Name, Task: f.Task, Cancelled: f.State == store.Cancelled, Type: f.Name, Message: f.Message}
	if call, ok := op.Arg.(*childCall); ok {
		e.Workflow = call.spawn.Name
	}
	return e
}
