package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

var soon = workflow.Backoff(time.Millisecond, time.Millisecond)

// counted is a step that counts its runs and fails for good in the first so many of them.
type counted struct {
	step workflow.Step[string, string]
	runs atomic.Int64
}

func newCounted(name string) *counted {
	return &counted{step: workflow.NewStep[string, string](name, soon)}
}

func (c *counted) failing(times int64) workflow.Binding {
	return c.step.Bind(func(context.Context, string) (string, error) {
		if n := c.runs.Add(1); n <= times {
			return "", workflow.Fail("run %d", n)
		}
		return c.step.Name(), nil
	})
}

// TestRetryRemovesWrappedFailures: another attempt at a workflow does again what the returned error tells of, and nothing else.
func TestRetryRemovesWrappedFailures(t *testing.T) {
	r := newRig(t)
	fine, tolerated, left, right := newCounted("fine"), newCounted("tolerated"), newCounted("left"), newCounted("right")
	flow := workflow.NewFlow[string, string]("order", workflow.Attempts(2), soon)
	r.work(workflow.WorkerOptions{}, fine.failing(0), tolerated.failing(1), left.failing(1), right.failing(1),
		flow.Bind(func(ctx workflow.Context, in string) (string, error) {
			if _, err := fine.step.Do(ctx, in); err != nil {
				return "", err
			}
			_, known := tolerated.step.Do(ctx, in)
			futures := []*workflow.Future[string]{left.step.Go(ctx, in), right.step.Go(ctx, in)}
			_, first := futures[0].Await(ctx)
			_, second := futures[1].Await(ctx)
			if first != nil || second != nil {
				return "", fmt.Errorf("this attempt: %w", errors.Join(first, second))
			}
			return known.Error(), nil
		}))
	task := spawn(r, flow, "")
	if got := result(r, task); got != "step tolerated: run 1" {
		t.Errorf("in the second attempt the tolerated failure is %q", got)
	}
	for step, want := range map[*counted]int64{fine: 1, tolerated: 1, left: 2, right: 2} {
		if n := step.runs.Load(); n != want {
			t.Errorf("step %s ran %d times, want %d", step.step.Name(), n, want)
		}
	}
	if n := one[int](r, `select attempt from absurd.tasks`); n != 2 {
		t.Errorf("the task completed in attempt %d", n)
	}
}

// TestErrorWithoutRecordFailsAtOnce: what no record stands behind comes out of every replay in the same way.
func TestErrorWithoutRecordFailsAtOnce(t *testing.T) {
	r := newRig(t)
	step := newCounted("pay")
	flow := workflow.NewFlow[string, string]("order", workflow.Attempts(5), soon)
	var bodies atomic.Int64
	r.work(workflow.WorkerOptions{}, step.failing(9), flow.Bind(func(ctx workflow.Context, how string) (string, error) {
		bodies.Add(1)
		_, err := step.step.Do(ctx, how)
		if how == "permanent" {
			return "", workflow.Permanent(err)
		}
		return "", errors.New("something else")
	}))
	for _, how := range []string{"permanent", "else"} {
		before := bodies.Load()
		task := spawn(r, flow, how)
		failed(r, task)
		if n := bodies.Load() - before; n != 1 {
			t.Errorf("%s: the body ran %d times, want once", how, n)
		}
	}
}

// TestAttemptsEnd: after the last attempt the task has failed, and says which records a retry would remove.
func TestAttemptsEnd(t *testing.T) {
	r := newRig(t)
	step := newCounted("pay")
	flow := workflow.NewFlow[string, string]("order", workflow.Attempts(3), soon)
	r.work(workflow.WorkerOptions{}, step.failing(9), flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		return step.step.Do(ctx, in)
	}))
	task := spawn(r, flow, "")
	if failure := failed(r, task); failure.Message != "step pay: run 3" {
		t.Errorf("the task failed with %q, want the failure of the last attempt", failure.Message)
	}
	if diff := cmp.Diff([]string{"pay"}, one[[]string](r, `select array(select jsonb_array_elements_text(failure -> 'records')) from absurd.tasks`)); diff != "" {
		t.Error(diff)
	}
}
