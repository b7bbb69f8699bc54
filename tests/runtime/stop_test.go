package runtime

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// twoSteps is a workflow of two steps whose results are joined.
func twoSteps(first, second workflow.StepOut[string]) workflow.Binding {
	return twoStepsFlow.Bind(func(ctx workflow.Context, _ string) (string, error) {
		a, err := first.Do(ctx)
		if err != nil {
			return "", err
		}
		b, err := second.Do(ctx)
		return a + b, err
	})
}

var twoStepsFlow = workflow.NewFlow[string, string]("two-steps")

// TestGracefulStop: a worker that is told to stop lets its step end and records it, starts nothing more, and hands the run back
// so that another worker has it at once: the lease is an hour.
func TestGracefulStop(t *testing.T) {
	r := newRig(t)
	first, second := workflow.NewStepOut[string]("first"), workflow.NewStepOut[string]("second")
	running, release := make(chan struct{}), make(chan struct{})
	a := r.work(workflow.WorkerOptions{Lease: time.Hour, ShutdownTimeout: time.Hour}, twoSteps(first, second),
		first.Bind(func(context.Context) (string, error) {
			close(running)
			<-release
			return "A", nil
		}),
		second.Bind(func(context.Context) (string, error) { return "never", errors.New("a step was started after the stop") }))
	task := spawn(r, twoStepsFlow, "")
	receive(r, "the step", running)
	a.stop()
	// It claims no more: of two tasks it has one.
	other := spawn(r, twoStepsFlow, "")
	close(release)
	a.end()

	if diff := cmp.Diff([]string{"s v first"}, r.records(task.ID)); diff != "" {
		t.Errorf("what the step returned during the stop is not recorded: %s", diff)
	}
	if state, _ := r.state(task.ID); state != "pending" {
		t.Errorf("the run was not handed back: the task is %s", state)
	}
	if n := one[int](r, `select count(*) from absurd.workers`) + one[int](r, `select count(*) from absurd.claims`); n != 0 {
		t.Errorf("%d traces of the worker are left", n)
	}
	r.work(workflow.WorkerOptions{}, twoSteps(first, second),
		first.Bind(func(context.Context) (string, error) { return "B", nil }),
		second.Bind(func(context.Context) (string, error) { return "B", nil }))
	if got := result(r, task); got != "AB" {
		t.Errorf("result %q, want A's first step and B's second", got)
	}
	if got := result(r, other); got != "BB" {
		t.Errorf("result %q of a task that was spawned after the stop, want BB", got)
	}
	if n := one[int](r, `select sum(attempt - 1 + lost_leases) from absurd.tasks`); n != 0 {
		t.Error("a worker that stops has cost an attempt or a lease")
	}
}

// TestShutdownTimeout: a step that does not end in time gets its context cancelled, and runs again elsewhere.
func TestShutdownTimeout(t *testing.T) {
	r := newRig(t)
	first, second := workflow.NewStepOut[string]("first"), workflow.NewStepOut[string]("second")
	running, told := make(chan string, 1), make(chan error, 1)
	a := r.work(workflow.WorkerOptions{Lease: time.Hour, ShutdownTimeout: 50 * time.Millisecond}, twoSteps(first, second),
		first.Bind(func(ctx context.Context) (string, error) {
			running <- workflow.IdempotencyKey(ctx)
			<-ctx.Done()
			told <- context.Cause(ctx)
			return "", ctx.Err()
		}),
		second.Bind(func(context.Context) (string, error) { return "", nil }))
	task := spawn(r, twoStepsFlow, "")
	key := receive(r, "the step", running)
	a.end()
	if err := receive(r, "the end of the step's context", told); !errors.Is(err, workflow.ErrShutdown) {
		t.Errorf("the step's context ended with %v, want ErrShutdown", err)
	}
	if records := r.records(task.ID); len(records) != 0 {
		t.Errorf("a step that was cancelled by the shutdown is recorded: %q", records)
	}
	r.work(workflow.WorkerOptions{}, twoSteps(first, second),
		first.Bind(func(ctx context.Context) (string, error) {
			if again := workflow.IdempotencyKey(ctx); again != key {
				t.Errorf("run again, the step has the idempotency key %s, before it had %s", again, key)
			}
			return "B", nil
		}),
		second.Bind(func(context.Context) (string, error) { return "B", nil }))
	if got := result(r, task); got != "BB" {
		t.Errorf("result %q, want BB", got)
	}
}

// TestStopOfIdleWorker: there is nothing to wait for.
func TestStopOfIdleWorker(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("echo")
	w := r.work(workflow.WorkerOptions{}, flow.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	result(r, spawn(r, flow, "x"))
	w.end()
	r.nothingLeft()
}
