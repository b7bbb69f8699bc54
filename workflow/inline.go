package workflow

import (
	"context"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Inline runs a closure as a step: a one-off that is not worth a function of its own. The name is as durable as that of
// a declared step; write it as a literal. What the closure captures must not be written by it.
func Inline[Out any](ctx Context, name string, f func(context.Context) (Out, error), opts ...StepOption) (Out, error) {
	spec := &stepSpec{name: name, policy: stepPolicy(opts)}
	if err := checkName("step", name); err != nil {
		var zero Out
		return zero, err
	}
	b := bindStep(spec, func(ctx context.Context, _ None) (Out, error) { return f(ctx) })
	call := &stepCall{name: name, inline: &b}
	return start[Out](ctx, "the result of step "+name, replay.Call{Kind: replay.Step, Durable: name, Arg: call, Caller: caller}).Await(ctx)
}
