package workflow

import (
	"context"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Step is the handle of a side-effecting function. A workflow runs the function through it; the outcome is recorded once,
// and a replay is served from the record. Handles are declared by name and bound to their functions in a [Registry].
//
//	var Charge = workflow.NewStep[Order, Receipt]("orders.charge", workflow.Attempts(5))
//
// The function runs at least once: after a crash between its end and the record it runs again, under the same
// [IdempotencyKey].
type Step[In, Out any] struct{ spec *stepSpec }

type stepSpec struct {
	name   string
	policy policy
	key    func(any) string // nil: unkeyed
}

// stepCall is what a worker needs to run a step. It is the Arg of the operation.
type stepCall struct {
	name   string
	input  []byte
	inline *Binding // of a one-off step; nil: the registered one
}

// NewStep declares a step with an input and an output.
func NewStep[In, Out any](name string, opts ...StepOption) Step[In, Out] {
	return Step[In, Out]{&stepSpec{name: name, policy: stepPolicy(opts)}}
}

// KeyedBy gives each use of the step a key of its own, taken from the input: its record is found by the key instead of by the
// order of uses. A step in a loop, or over the items of a list that may change its order, should have one.
func (s Step[In, Out]) KeyedBy(key func(In) string) Step[In, Out] {
	return Step[In, Out]{s.spec.keyed(func(in any) string { return key(in.(In)) })}
}

// Name returns the durable name.
func (s Step[In, Out]) Name() string { return s.spec.name }

// Do runs the step and waits for its outcome. The error is a [*StepError] when the last attempt has failed.
func (s Step[In, Out]) Do(ctx Context, in In) (Out, error) {
	return callStep[In, Out](ctx, s.spec, in).Await(ctx)
}

// Go starts the step and returns at once.
func (s Step[In, Out]) Go(ctx Context, in In) *Future[Out] { return callStep[In, Out](ctx, s.spec, in) }

// Bind names the function that the step runs.
func (s Step[In, Out]) Bind(f func(context.Context, In) (Out, error)) Binding {
	return bindStep(s.spec, f)
}

// None is the input or output that a shape without one has on the inside.
type None struct{}

// StepIn is a [Step] without an output.
type StepIn[In any] struct{ spec *stepSpec }

// NewStepIn declares a step with an input and no output.
func NewStepIn[In any](name string, opts ...StepOption) StepIn[In] {
	return StepIn[In]{&stepSpec{name: name, policy: stepPolicy(opts)}}
}

// KeyedBy is as [Step.KeyedBy].
func (s StepIn[In]) KeyedBy(key func(In) string) StepIn[In] {
	return StepIn[In]{s.spec.keyed(func(in any) string { return key(in.(In)) })}
}

// Name returns the durable name.
func (s StepIn[In]) Name() string { return s.spec.name }

// Do runs the step and waits for its end.
func (s StepIn[In]) Do(ctx Context, in In) error {
	_, err := callStep[In, None](ctx, s.spec, in).Await(ctx)
	return err
}

// Go starts the step and returns at once.
func (s StepIn[In]) Go(ctx Context, in In) *Future[None] { return callStep[In, None](ctx, s.spec, in) }

// Bind names the function that the step runs.
func (s StepIn[In]) Bind(f func(context.Context, In) error) Binding {
	return bindStep(s.spec, func(ctx context.Context, in In) (None, error) { return None{}, f(ctx, in) })
}

// StepOut is a [Step] without an input.
type StepOut[Out any] struct{ spec *stepSpec }

// NewStepOut declares a step with an output and no input.
func NewStepOut[Out any](name string, opts ...StepOption) StepOut[Out] {
	return StepOut[Out]{&stepSpec{name: name, policy: stepPolicy(opts)}}
}

// Name returns the durable name.
func (s StepOut[Out]) Name() string { return s.spec.name }

// Do runs the step and waits for its outcome.
func (s StepOut[Out]) Do(ctx Context) (Out, error) {
	return callStep[None, Out](ctx, s.spec, None{}).Await(ctx)
}

// Go starts the step and returns at once.
func (s StepOut[Out]) Go(ctx Context) *Future[Out] {
	return callStep[None, Out](ctx, s.spec, None{})
}

// Bind names the function that the step runs.
func (s StepOut[Out]) Bind(f func(context.Context) (Out, error)) Binding {
	return bindStep(s.spec, func(ctx context.Context, _ None) (Out, error) { return f(ctx) })
}

// StepOnly is a [Step] with neither input nor output.
type StepOnly struct{ spec *stepSpec }

// NewStepOnly declares a step with neither input nor output.
func NewStepOnly(name string, opts ...StepOption) StepOnly {
	return StepOnly{&stepSpec{name: name, policy: stepPolicy(opts)}}
}

// Name returns the durable name.
func (s StepOnly) Name() string { return s.spec.name }

// Do runs the step and waits for its end.
func (s StepOnly) Do(ctx Context) error {
	_, err := callStep[None, None](ctx, s.spec, None{}).Await(ctx)
	return err
}

// Go starts the step and returns at once.
func (s StepOnly) Go(ctx Context) *Future[None] { return callStep[None, None](ctx, s.spec, None{}) }

// Bind names the function that the step runs.
func (s StepOnly) Bind(f func(context.Context) error) Binding {
	return bindStep(s.spec, func(ctx context.Context, _ None) (None, error) { return None{}, f(ctx) })
}

func (s *stepSpec) keyed(key func(any) string) *stepSpec {
	keyed := *s
	keyed.key = key
	return &keyed
}

// callStep asks for the step.
func callStep[In, Out any](ctx Context, s *stepSpec, in In) *Future[Out] {
	what := "the input of step " + s.name
	call := &stepCall{name: s.name}
	c := replay.Call{Kind: replay.Step, Durable: s.name, Arg: call, Caller: caller}
	if _, none := any(in).(None); !none {
		data, err := encode(what, in)
		if err != nil {
			return refused[Out](err)
		}
		call.input = data
		c.Fingerprint = fingerprint(data)
	}
	if s.key != nil {
		c.Key = s.key(in)
	}
	return start[Out](ctx, "the result of step "+s.name, c)
}

// bindStep closes over the codecs: the worker sees bytes.
func bindStep[In, Out any](s *stepSpec, f func(context.Context, In) (Out, error)) Binding {
	return Binding{step: s, runStep: func(ctx context.Context, input []byte) ([]byte, error) {
		in, err := decode[In]("the input of step "+s.name, input)
		if err != nil {
			return nil, Permanent(err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		data, err := encode("the result of step "+s.name, out)
		if err != nil {
			return nil, Permanent(fmt.Errorf("%w (the step has run; its result cannot be recorded)", err))
		}
		return data, nil
	}}
}
