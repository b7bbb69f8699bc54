package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestSleepEndsBesideStep: a sleep ends in time while another branch's step runs.
func TestSleepEndsBesideStep(t *testing.T) {
	r := newRig(t)
	slow := workflow.NewStepOnly("slow")
	flow := workflow.NewFlow[int, int]("deadline")
	r.work(workflow.WorkerOptions{},
		slow.Bind(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
		flow.Bind(func(ctx workflow.Context, _ int) (int, error) {
			winner, _, err := workflow.Race(ctx,
				func(ctx workflow.Context) (int, error) { return 0, slow.Do(ctx) },
				func(ctx workflow.Context) (int, error) { return 0, workflow.Sleep(ctx, time.Second) })
			return winner, err
		}))
	if winner := result(r, spawn(r, flow, 0)); winner != 1 {
		t.Errorf("branch %d has won", winner)
	}
}
