package workflow

import (
	"context"

	"github.com/absurdgen/absurdgen/workflow/codec"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Flow is the handle of a workflow: a function that runs as a task, survives crashes and deploys, and is replayed from the
// records of its steps, waits and sleeps. Handles are declared by name and bound to their functions in a [Registry].
//
//	task, err := Fulfil.Spawn(ctx, client, order)
//	bins, err := task.Result(ctx)
type Flow[In, Out any] struct {
	spec  *flowSpec
	in    payload[In]
	out   payload[Out]
	child []SpawnOption // of children
}

type flowSpec struct {
	name   string
	policy policy
}

// NewFlow declares a workflow with an input and an output.
func NewFlow[In, Out any](name string, opts ...FlowOption) Flow[In, Out] {
	return newFlow[In, Out](name, opts)
}

// Codecs gives the workflow generated codecs for its input and its output.
func (f Flow[In, Out]) Codecs(in codec.Codec[In], out codec.Codec[Out]) Flow[In, Out] {
	f.in, f.out = f.in.with(in), f.out.with(out)
	return f
}

// Name returns the durable name.
func (f Flow[In, Out]) Name() string { return f.spec.name }

// Queue returns the queue on which the workflow's tasks live.
func (f Flow[In, Out]) Queue() string { return f.spec.policy.queue }

// Bind names the workflow function. [Registry.Add] refuses nil.
func (f Flow[In, Out]) Bind(body func(Context, In) (Out, error)) Binding { return f.bind(body) }

// Spawn makes a task that runs the workflow. With a [Client] it is committed when Spawn returns; with [Tx] it commits with
// the caller's transaction, and a rollback leaves nothing. The queue must be there. It returns [ErrKeyReused] and [ErrNotUnique] for keys (see
// [WithIdempotencyKey], [WithUnique]), [ErrInvalidOption] for an option out of its range, and an error for an input that cannot be encoded
// or is larger than [MaxPayload]. A task whose workflow no worker knows waits until one does: see [Client.Blocked].
func (f Flow[In, Out]) Spawn(ctx context.Context, s Spawner, in In, opts ...SpawnOption) (Task[Out], error) {
	return f.spawn(ctx, s, in, opts)
}

// SpawnMany makes a task for each input in one statement, all of them or none, and returns them in the order of the inputs.
// The options are those of every task. For many tasks this is far cheaper than one [Flow.Spawn] each; 1,000 at a time is plenty.
func (f Flow[In, Out]) SpawnMany(ctx context.Context, s Spawner, inputs []In, opts ...SpawnOption) ([]Task[Out], error) {
	return f.spawnMany(ctx, s, inputs, opts)
}

// Attach returns the task with the given id. It returns [ErrNotFound] for an id that the workflow's queue does not know, and
// [ErrOtherWorkflow] for a task that runs another workflow: its result would have another type.
func (f Flow[In, Out]) Attach(ctx context.Context, c *Client, id TaskID) (Task[Out], error) {
	return f.attach(ctx, c, id)
}

// FlowIn is a [Flow] without an output.
type FlowIn[In any] struct{ flow Flow[In, None] }

// NewFlowIn declares a workflow with an input and no output.
func NewFlowIn[In any](name string, opts ...FlowOption) FlowIn[In] {
	return FlowIn[In]{newFlow[In, None](name, opts)}
}

// Codecs gives the workflow a generated codec for its input.
func (f FlowIn[In]) Codecs(in codec.Codec[In]) FlowIn[In] {
	f.flow.in = f.flow.in.with(in)
	return f
}

// Name returns the durable name.
func (f FlowIn[In]) Name() string { return f.flow.Name() }

// Queue returns the queue on which the workflow's tasks live.
func (f FlowIn[In]) Queue() string { return f.flow.Queue() }

// Bind names the workflow function.
func (f FlowIn[In]) Bind(body func(Context, In) error) Binding {
	if body == nil {
		return f.flow.bind(nil)
	}
	return f.flow.bind(func(ctx Context, in In) (None, error) { return None{}, body(ctx, in) })
}

// Spawn is as [Flow.Spawn].
func (f FlowIn[In]) Spawn(ctx context.Context, s Spawner, in In, opts ...SpawnOption) (Task[None], error) {
	return f.flow.spawn(ctx, s, in, opts)
}

// SpawnMany is as [Flow.SpawnMany].
func (f FlowIn[In]) SpawnMany(ctx context.Context, s Spawner, inputs []In, opts ...SpawnOption) ([]Task[None], error) {
	return f.flow.spawnMany(ctx, s, inputs, opts)
}

// Attach is as [Flow.Attach].
func (f FlowIn[In]) Attach(ctx context.Context, c *Client, id TaskID) (Task[None], error) {
	return f.flow.attach(ctx, c, id)
}

// FlowOut is a [Flow] without an input.
type FlowOut[Out any] struct{ flow Flow[None, Out] }

// NewFlowOut declares a workflow with an output and no input.
func NewFlowOut[Out any](name string, opts ...FlowOption) FlowOut[Out] {
	return FlowOut[Out]{newFlow[None, Out](name, opts)}
}

// Codecs gives the workflow a generated codec for its output.
func (f FlowOut[Out]) Codecs(out codec.Codec[Out]) FlowOut[Out] {
	f.flow.out = f.flow.out.with(out)
	return f
}

// Name returns the durable name.
func (f FlowOut[Out]) Name() string { return f.flow.Name() }

// Queue returns the queue on which the workflow's tasks live.
func (f FlowOut[Out]) Queue() string { return f.flow.Queue() }

// Bind names the workflow function.
func (f FlowOut[Out]) Bind(body func(Context) (Out, error)) Binding {
	if body == nil {
		return f.flow.bind(nil)
	}
	return f.flow.bind(func(ctx Context, _ None) (Out, error) { return body(ctx) })
}

// Spawn is as [Flow.Spawn].
func (f FlowOut[Out]) Spawn(ctx context.Context, s Spawner, opts ...SpawnOption) (Task[Out], error) {
	return f.flow.spawn(ctx, s, None{}, opts)
}

// Attach is as [Flow.Attach].
func (f FlowOut[Out]) Attach(ctx context.Context, c *Client, id TaskID) (Task[Out], error) {
	return f.flow.attach(ctx, c, id)
}

// FlowOnly is a [Flow] with neither input nor output.
type FlowOnly struct{ flow Flow[None, None] }

// NewFlowOnly declares a workflow with neither input nor output.
func NewFlowOnly(name string, opts ...FlowOption) FlowOnly {
	return FlowOnly{newFlow[None, None](name, opts)}
}

// Name returns the durable name.
func (f FlowOnly) Name() string { return f.flow.Name() }

// Queue returns the queue on which the workflow's tasks live.
func (f FlowOnly) Queue() string { return f.flow.Queue() }

// Bind names the workflow function.
func (f FlowOnly) Bind(body func(Context) error) Binding {
	if body == nil {
		return f.flow.bind(nil)
	}
	return f.flow.bind(func(ctx Context, _ None) (None, error) { return None{}, body(ctx) })
}

// Spawn is as [Flow.Spawn].
func (f FlowOnly) Spawn(ctx context.Context, s Spawner, opts ...SpawnOption) (Task[None], error) {
	return f.flow.spawn(ctx, s, None{}, opts)
}

// Attach is as [Flow.Attach].
func (f FlowOnly) Attach(ctx context.Context, c *Client, id TaskID) (Task[None], error) {
	return f.flow.attach(ctx, c, id)
}

func newFlow[In, Out any](name string, opts []FlowOption) Flow[In, Out] {
	return Flow[In, Out]{
		spec: &flowSpec{name: name, policy: flowPolicy(opts)},
		in:   payload[In]{what: "the input of workflow " + name},
		out:  payload[Out]{what: "the result of workflow " + name},
	}
}

// bind closes over the codecs: the worker sees bytes.
func (f Flow[In, Out]) bind(body func(Context, In) (Out, error)) Binding {
	if body == nil {
		return Binding{flow: f.spec} // Registry.Add refuses it
	}
	return Binding{flow: f.spec, runFlow: func(b *replay.Branch, info *passInfo, input []byte) ([]byte, error) {
		in, err := f.in.decode(input)
		if err != nil {
			return nil, &inputError{err}
		}
		out, err := body(&branchContext{branch: b, pass: info}, in)
		if err != nil {
			return nil, err
		}
		return f.out.encode(out)
	}}
}

// inputError says that the stored input does not fit the code. The task is blocked, not failed: a deploy that got a type
// wrong must not destroy work.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }
