package workflow

import "context"

// Inline runs a closure as a step: a one-off that is not worth a function of its own. The name is as durable as that of
// a declared step; write it as a literal. What the closure captures must not be written by it.
func Inline[Out any](ctx Context, name string, f func(context.Context) (Out, error), opts ...StepOption) (Out, error) {
	if err := checkName("step", name); err != nil {
		var zero Out
		return zero, err
	}
	s := newStep[None, Out](name, opts)
	if err := s.spec.check(); err != nil {
		var zero Out
		return zero, err
	}
	b := s.bind(func(ctx context.Context, _ None) (Out, error) { return f(ctx) })
	return s.start(ctx, None{}, &b).Await(ctx)
}
