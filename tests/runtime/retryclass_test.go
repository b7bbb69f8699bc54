package runtime

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestRetryClasses: the outermost mark of an error says whether and when a step is tried again.
func TestRetryClasses(t *testing.T) {
	plain := errors.New("busy")
	for name, c := range map[string]struct {
		err      error
		attempts int  // made in all, of 2
		waits    bool // the second one comes after the backoff of an hour
	}{
		"none":                        {plain, 1, true},
		"permanent":                   {workflow.Permanent(plain), 1, false},
		"permanent, wrapped":          {fmt.Errorf("api: %w", workflow.Fail("no")), 1, false},
		"permanent among others":      {errors.Join(plain, workflow.Permanent(plain)), 1, false},
		"at a time":                   {workflow.RetryAt(plain, time.Now().Add(50*time.Millisecond)), 2, false},
		"at a time that has passed":   {workflow.RetryAt(plain, time.Now().Add(-time.Hour)), 2, false},
		"after a while":               {fmt.Errorf("api: %w", workflow.RetryAfter(plain, 20*time.Millisecond)), 2, false},
		"retry of a permanent one":    {workflow.Retry(workflow.Permanent(plain)), 1, true},
		"permanent of one to retry":   {workflow.Permanent(workflow.RetryAfter(plain, time.Millisecond)), 1, false},
		"after more than can be told": {workflow.RetryAfter(plain, 1<<62), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			step, flow, bound := oneStep("api", workflow.Attempts(2), workflow.Backoff(time.Hour, time.Hour))
			attempts := 0
			r.work(workflow.WorkerOptions{}, bound, step.Bind(func(context.Context, string) (string, error) {
				attempts++
				return "", c.err
			}))
			task := spawn(r, flow, "")
			if c.waits {
				r.awaitState(task.ID, "sleeping")
			} else if failure := failed(r, task); failure.Type != "workflow.StepError" {
				t.Errorf("the task failed with %+v", failure)
			}
			if attempts != c.attempts {
				t.Errorf("%d attempts, want %d", attempts, c.attempts)
			}
		})
	}
}

// TestPermanentStepError: a workflow is told, and decides by itself whether its own attempts are worth while.
func TestPermanentStepError(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[string, string]("pay", quick, workflow.Attempts(1))
	flow := workflow.NewFlow[string, string]("order", quick, workflow.Attempts(3))
	calls := map[string]int{}
	r.work(workflow.WorkerOptions{},
		step.Bind(func(_ context.Context, in string) (string, error) {
			if calls[in]++; in == "permanent" {
				return "", workflow.Fail("card is blocked")
			}
			return "", errors.New("bank is closed")
		}),
		flow.Bind(func(ctx workflow.Context, in string) (string, error) {
			out, err := step.Do(ctx, in)
			if failure, ok := errors.AsType[*workflow.StepError](err); ok && failure.Permanent {
				return "", workflow.Permanent(err)
			}
			return out, err
		}))
	failed(r, spawn(r, flow, "permanent"))
	failed(r, spawn(r, flow, "passing"))
	if calls["permanent"] != 1 || calls["passing"] != 3 {
		t.Errorf("the step was called %v, want 1 and 3 times", calls)
	}
}
