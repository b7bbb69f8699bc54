package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// A hundred generations of one task, each with a step and a child, leave no more history than one.
func TestContinueAsNew(t *testing.T) {
	r := newFamily(t)
	type state struct{ Round, Sum int }
	flow := workflow.NewFlow[state, int]("loop")
	w := r.work(workflow.WorkerOptions{}, bindDouble(), flow.Bind(func(ctx workflow.Context, s state) (int, error) {
		n, err := workflow.Inline(ctx, "count", func(ctx context.Context) (int, error) {
			info, _ := workflow.InfoOf(ctx)
			return info.Generation, nil
		})
		if err != nil {
			return 0, err
		}
		twice, err := double.Do(ctx, n)
		if err != nil {
			return 0, err
		}
		if s = (state{s.Round + 1, s.Sum + twice}); s.Round < 100 {
			return 0, flow.Continue(s)
		}
		return s.Sum, nil
	}))
	task := spawn(r, flow, state{}, workflow.WithIdempotencyKey("loop"))
	if got := result(r, task); got != 9900 {
		t.Errorf("sum %d, want 9900", got)
	}
	w.end()
	if n := len(r.records(task.ID)); n != 2 {
		t.Errorf("%d records, want those of the last generation: 2", n)
	}
	if again := spawn(r, flow, state{}, workflow.WithIdempotencyKey("loop")); again.ID != task.ID {
		t.Error("the idempotency key was lost")
	}
	r.nothingLeft()
}

// A child that continues is still the child of its parent, and its attempts count anew.
func TestContinuedChild(t *testing.T) {
	r := newRig(t)
	parent, child := workflow.NewFlow[int, int]("parent"), workflow.NewFlow[int, int]("child", workflow.Attempts(2))
	fails := map[int]bool{1: true, 2: true}
	w := r.work(workflow.WorkerOptions{},
		child.Bind(func(ctx workflow.Context, n int) (int, error) {
			_, err := workflow.Inline(ctx, "step", func(context.Context) (int, error) {
				if fails[n] {
					fails[n] = false
					return 0, errors.New("once")
				}
				return 0, nil
			}, workflow.Attempts(1))
			if err != nil {
				return 0, err
			}
			if n < 3 {
				return 0, child.Continue(n + 1)
			}
			return n, nil
		}),
		parent.Bind(func(ctx workflow.Context, n int) (int, error) { return child.Do(ctx, n) }))
	task := spawn(r, parent, 1)
	if got := result(r, task); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	w.end()
	if n := one[int](r, `select count(*) from absurd.runs`); n != 0 {
		t.Errorf("%d accounts of earlier attempts are left", n)
	}
	r.nothingLeft()
}

func TestContinueAsAnother(t *testing.T) {
	r := newFamily(t)
	flow := workflow.NewFlow[int, int]("flow")
	r.work(workflow.WorkerOptions{}, bindDouble(), flow.Bind(func(workflow.Context, int) (int, error) { return 0, double.Continue(1) }))
	if f := failed(r, spawn(r, flow, 1)); !strings.Contains(f.Message, "flow cannot continue as double") {
		t.Errorf("failure %q", f.Message)
	}
}
