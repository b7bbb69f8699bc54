package workflow

import (
	"context"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow/codec"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Step is the handle of a side-effecting function. A workflow runs the function through it; the outcome is recorded once,
// and a replay is served from the record. Handles are declared by name and bound to their functions in a [Registry].
//
//	var Charge = workflow.NewStep[Order, Receipt]("orders.charge", workflow.Attempts(5))
//
// The function runs at least once: after a crash between its end and the record it runs again, under the same
// [IdempotencyKey].
type Step[In, Out any] struct {
	spec *stepSpec
	in   payload[In]
	out  payload[Out]
	kept fidelity // of Out
}

type stepSpec struct {
	name   string
	policy policy
	key    func(any) string // nil: unkeyed
}

// check says which of the step's options contradict each other.
func (s *stepSpec) check() error {
	if p := &s.policy; p.timeout > 0 && p.heartbeat >= p.timeout {
		return fmt.Errorf("workflow: step %s: its HeartbeatTimeout of %v never ends an attempt, because its Timeout of %v does so before: make it shorter, or leave one of them out",
			s.name, p.heartbeat, p.timeout)
	}
	return nil
}

// stepCall is what a worker needs to run a step. It is the Arg of the operation.
type stepCall struct {
	name   string
	input  []byte
	inline *Binding // of a one-off step; nil: the registered one
}

// NewStep declares a step with an input and an output.
func NewStep[In, Out any](name string, opts ...StepOption) Step[In, Out] {
	return newStep[In, Out](name, opts)
}

// KeyedBy gives each use of the step a key of its own, taken from the input: its record is found by the key instead of by the
// order of uses. A step in a loop, or over the items of a list that may change its order, should have one.
func (s Step[In, Out]) KeyedBy(key func(In) string) Step[In, Out] {
	s.spec = s.spec.keyed(func(in any) string { return key(in.(In)) })
	return s
}

// Codecs gives the step generated codecs for its input and its output.
func (s Step[In, Out]) Codecs(in codec.Codec[In], out codec.Codec[Out]) Step[In, Out] {
	s.in, s.out = s.in.with(in), s.out.with(out)
	return s
}

// Name returns the durable name.
func (s Step[In, Out]) Name() string { return s.spec.name }

// Do runs the step and waits for its outcome. The error is a [*StepError] when the last attempt has failed.
func (s Step[In, Out]) Do(ctx Context, in In) (Out, error) {
	return s.call(ctx, in).Await(ctx)
}

// Go starts the step and returns at once.
func (s Step[In, Out]) Go(ctx Context, in In) *Future[Out] { return s.call(ctx, in) }

// Bind names the function that the step runs. With nil, which fakes of tests are where they were not set, the step fails when it is
// called.
func (s Step[In, Out]) Bind(f func(context.Context, In) (Out, error)) Binding {
	return s.bind(f)
}

// None is the input or output that a shape without one has on the inside.
type None struct{}

// StepIn is a [Step] without an output.
type StepIn[In any] struct{ step Step[In, None] }

// NewStepIn declares a step with an input and no output.
func NewStepIn[In any](name string, opts ...StepOption) StepIn[In] {
	return StepIn[In]{newStep[In, None](name, opts)}
}

// KeyedBy is as [Step.KeyedBy].
func (s StepIn[In]) KeyedBy(key func(In) string) StepIn[In] {
	return StepIn[In]{s.step.KeyedBy(key)}
}

// Codecs gives the step a generated codec for its input.
func (s StepIn[In]) Codecs(in codec.Codec[In]) StepIn[In] {
	s.step.in = s.step.in.with(in)
	return s
}

// Name returns the durable name.
func (s StepIn[In]) Name() string { return s.step.Name() }

// Do runs the step and waits for its end.
func (s StepIn[In]) Do(ctx Context, in In) error {
	_, err := s.step.call(ctx, in).Await(ctx)
	return err
}

// Go starts the step and returns at once.
func (s StepIn[In]) Go(ctx Context, in In) *Future[None] { return s.step.call(ctx, in) }

// Bind names the function that the step runs.
func (s StepIn[In]) Bind(f func(context.Context, In) error) Binding {
	if f == nil {
		return s.step.bind(nil)
	}
	return s.step.bind(func(ctx context.Context, in In) (None, error) { return None{}, f(ctx, in) })
}

// StepOut is a [Step] without an input.
type StepOut[Out any] struct{ step Step[None, Out] }

// NewStepOut declares a step with an output and no input.
func NewStepOut[Out any](name string, opts ...StepOption) StepOut[Out] {
	return StepOut[Out]{newStep[None, Out](name, opts)}
}

// Codecs gives the step a generated codec for its output.
func (s StepOut[Out]) Codecs(out codec.Codec[Out]) StepOut[Out] {
	s.step.out = s.step.out.with(out)
	return s
}

// Name returns the durable name.
func (s StepOut[Out]) Name() string { return s.step.Name() }

// Do runs the step and waits for its outcome.
func (s StepOut[Out]) Do(ctx Context) (Out, error) {
	return s.step.call(ctx, None{}).Await(ctx)
}

// Go starts the step and returns at once.
func (s StepOut[Out]) Go(ctx Context) *Future[Out] {
	return s.step.call(ctx, None{})
}

// Bind names the function that the step runs.
func (s StepOut[Out]) Bind(f func(context.Context) (Out, error)) Binding {
	if f == nil {
		return s.step.bind(nil)
	}
	return s.step.bind(func(ctx context.Context, _ None) (Out, error) { return f(ctx) })
}

// StepOnly is a [Step] with neither input nor output.
type StepOnly struct{ step Step[None, None] }

// NewStepOnly declares a step with neither input nor output.
func NewStepOnly(name string, opts ...StepOption) StepOnly {
	return StepOnly{newStep[None, None](name, opts)}
}

// Name returns the durable name.
func (s StepOnly) Name() string { return s.step.Name() }

// Do runs the step and waits for its end.
func (s StepOnly) Do(ctx Context) error {
	_, err := s.step.call(ctx, None{}).Await(ctx)
	return err
}

// Go starts the step and returns at once.
func (s StepOnly) Go(ctx Context) *Future[None] { return s.step.call(ctx, None{}) }

// Bind names the function that the step runs.
func (s StepOnly) Bind(f func(context.Context) error) Binding {
	if f == nil {
		return s.step.bind(nil)
	}
	return s.step.bind(func(ctx context.Context, _ None) (None, error) { return None{}, f(ctx) })
}

func (s *stepSpec) keyed(key func(any) string) *stepSpec {
	keyed := *s
	keyed.key = key
	return &keyed
}

func newStep[In, Out any](name string, opts []StepOption) Step[In, Out] {
	return Step[In, Out]{
		spec: &stepSpec{name: name, policy: stepPolicy(opts)},
		in:   payload[In]{what: "the input of step " + name},
		out:  payload[Out]{what: "the result of step " + name},
		kept: fidelityOf[Out](),
	}
}

// call asks for the step.
func (s Step[In, Out]) call(ctx Context, in In) *Future[Out] { return s.start(ctx, in, nil) }

func (s Step[In, Out]) start(ctx Context, in In, inline *Binding) *Future[Out] {
	data, err := s.in.encode(in)
	if err != nil {
		return refused[Out](err)
	}
	c := replay.Call{
		Kind:        replay.Step,
		Durable:     s.spec.name,
		Fingerprint: fingerprint(data),
		Arg:         &stepCall{name: s.spec.name, input: data, inline: inline},
		Caller:      caller,
	}
	if s.spec.key != nil {
		c.Key = s.spec.key(in)
	}
	_, registered := ctx.sealed().pass.registry.steps[s.spec.name]
	c.Locate = !registered && inline == nil
	return start(ctx, s.out, c)
}

// bind closes over the codecs: the worker sees bytes.
func (s Step[In, Out]) bind(f func(context.Context, In) (Out, error)) Binding {
	if f == nil {
		f = func(context.Context, In) (out Out, err error) {
			return out, Permanent(fmt.Errorf("workflow: step %s was called, and is bound to no function: set its fake", s.spec.name))
		}
	}
	return Binding{step: s.spec, runStep: func(ctx context.Context, input []byte) ([]byte, error) {
		return s.run(input, func(in In) (Out, error) { return f(ctx, in) })
	}}
}

func (s Step[In, Out]) run(input []byte, f func(In) (Out, error)) ([]byte, error) {
	in, err := s.in.decode(input)
	if err != nil {
		return nil, Permanent(err)
	}
	out, err := f(in)
	if err != nil {
		return nil, err
	}
	data, err := s.out.encode(out)
	if err != nil {
		return nil, Permanent(fmt.Errorf("%w (the step has run; its result cannot be recorded)", err))
	}
	return s.kept.asStored(data), nil
}
