package runtime

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestParkedPassHoldsNoStepSlot: a step that was given up and returns while its task sleeps gives its slot back.
func TestParkedPassHoldsNoStepSlot(t *testing.T) {
	r := newRig(t)
	hold, returned := make(chan struct{}), make(chan struct{})
	hung := workflow.NewStepOnly("hung", workflow.Attempts(1), workflow.Timeout(10*time.Millisecond))
	next := workflow.NewStepOnly("next")
	first := workflow.NewFlow[int, string]("first")
	second := workflow.NewFlow[int, string]("second")
	r.work(workflow.WorkerOptions{Steps: 1},
		hung.Bind(func(context.Context) error { defer close(returned); <-hold; return errors.New("late") }),
		next.Bind(func(context.Context) error { return nil }),
		first.Bind(func(ctx workflow.Context, _ int) (string, error) {
			_ = hung.Do(ctx)
			return "", workflow.Sleep(ctx, time.Hour)
		}),
		second.Bind(func(ctx workflow.Context, _ int) (string, error) { return "done", next.Do(ctx) }))
	r.awaitState(spawn(r, first, 0).ID, "sleeping")
	close(hold)
	receive(r, "the hung step has returned", returned)
	if got := result(r, spawn(r, second, 0)); got != "done" {
		t.Errorf("result %q", got)
	}
}
