package runtime

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// secondTry is a workflow with a step whose first attempt fails, beside one that holds on to the run in a worker process.
var (
	secondTryFlaky = workflow.NewStepOut[int]("second-try.flaky", workflow.Attempts(3), workflow.Backoff(5*time.Second, 5*time.Second))
	secondTryHeld  = workflow.NewStepOut[int]("second-try.held")
	secondTry      = workflow.NewFlow[string, []int]("second-try")
)

func secondTryBindings(world effects, process string, hold bool) []workflow.Binding {
	return []workflow.Binding{
		secondTryFlaky.Bind(func(ctx context.Context) (int, error) {
			info, _ := workflow.InfoOf(ctx)
			_, err := world.happen(ctx, process, fmt.Sprint("attempt ", info.Attempt))
			if info.Attempt == 1 {
				err = errors.Join(err, errors.New("the first attempt fails"))
			}
			return info.Attempt, err
		}),
		secondTryHeld.Bind(func(ctx context.Context) (int, error) {
			if hold {
				<-ctx.Done()
			}
			info, _ := workflow.InfoOf(ctx)
			return info.Attempt, nil
		}),
		secondTry.Bind(func(ctx workflow.Context, _ string) ([]int, error) {
			return workflow.All(ctx, secondTryFlaky.Go(ctx), secondTryHeld.Go(ctx))
		}),
	}
}

// TestAttemptsContinueAfterKill kills a worker process between two attempts at a step: the attempt that was made counts.
func TestAttemptsContinueAfterKill(t *testing.T) {
	r := newRig(t)
	world := r.newEffects()
	a := r.startProcess(processOptions{Lease: time.Second})
	task := spawn(r, secondTry, "")
	r.eventually("the failed attempt is recorded", func() bool {
		return one[int](r, `select count(*) from absurd.checkpoints where outcome = 'n'`) == 1
	})
	a.kill()
	r.work(workflow.WorkerOptions{Name: "b"}, secondTryBindings(world, "b", false)...)
	if diff := cmp.Diff([]int{2, 1}, result(r, task)); diff != "" {
		t.Errorf("attempts of the flaky step and of the one that was killed: %s", diff)
	}
	if a, b := r.noted(a.name, "attempt 1"), r.noted("b", "attempt 2"); a != 1 || b != 1 {
		t.Errorf("%d first attempts in the killed process and %d second ones after it, want one each", a, b)
	}
}
