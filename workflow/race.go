package workflow

import "github.com/absurdgen/absurdgen/workflow/internal/replay"

// Race runs the functions as branches beside each other and returns what the first one to end returns, and its number. Which
// one that was is recorded. The others get no further: the contexts of their steps are cancelled, and what those still return
// is dropped.
//
//	i, answer, err := workflow.Race(ctx,
//		func(ctx workflow.Context) (string, error) { return AskA.Do(ctx, q) },
//		func(ctx workflow.Context) (string, error) { return AskB.Do(ctx, q) },
//	)
//
// A branch that ends with an error has ended too; handle in the branch what should not decide the race.
func Race[Out any](ctx Context, branches ...func(Context) (Out, error)) (winner int, out Out, err error) {
	c := ctx.sealed()
	outs := make([]Out, len(branches))
	bodies := make([]func(*replay.Branch) error, len(branches))
	for i, f := range branches {
		bodies[i] = func(b *replay.Branch) error {
			v, err := f(&branchContext{branch: b, pass: c.pass, shielded: c.shielded})
			outs[i] = v
			return err
		}
	}
	winner, end, err := c.branch.Race(caller, bodies)
	if err != nil {
		return 0, out, misuse(err)
	}
	return winner, outs[winner], end.Err()
}
