package runtime

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// endless is a step that ends only with its context, and says why.
func endless(ended chan<- error) (workflow.StepOut[string], workflow.Binding, <-chan struct{}) {
	step, began := workflow.NewStepOut[string]("endless", workflow.Attempts(1)), make(chan struct{}, 9)
	return step, step.Bind(func(ctx context.Context) (string, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return "", context.Cause(ctx)
	}), began
}

// TestEventBeatsRunningStep: an event that comes while a step runs decides the race with it there and then, also when it was emitted
// before the pass looked for the first time, and the step's context ends.
func TestEventBeatsRunningStep(t *testing.T) {
	r := newRig(t)
	ended := make(chan error, 9)
	step, bound, began := endless(ended)
	flow := workflow.NewFlow[string, string]("racing")
	r.work(workflow.WorkerOptions{}, bound, flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		_, got, err := workflow.Race(ctx,
			func(ctx workflow.Context) (string, error) { return step.Do(ctx) },
			func(ctx workflow.Context) (string, error) {
				got, err := signal.Await(ctx, in, 0)
				return got.Value, err
			})
		return got, err
	}))
	for _, early := range []bool{true, false} {
		key := map[bool]string{true: "early", false: "late"}[early]
		task := spawn(r, flow, key)
		receive(r, "the step", began)
		if !early {
			r.eventually("the wait is stored", func() bool {
				return one[int](r, `select count(*) from absurd.waits where event_name = 'signal:late'`) == 1
			})
		}
		if err := signal.Emit(r.ctx, r.client, named{key, "won"}); err != nil {
			t.Fatal(err)
		}
		if got := result(r, task); got != "won" {
			t.Errorf("%s: result %q", key, got)
		}
		if cause := receive(r, "the end of the step", ended); !errors.Is(cause, context.Canceled) {
			t.Errorf("%s: the step ended with %v", key, cause)
		}
	}
	r.eventually("no wait is left", func() bool { return one[int](r, `select count(*) from absurd.waits`) == 0 })
}

// TestTimeoutBeatsRunningStep: the same for a wait whose time is up.
func TestTimeoutBeatsRunningStep(t *testing.T) {
	r := newRig(t)
	ended := make(chan error, 9)
	step, bound, _ := endless(ended)
	flow := workflow.NewFlow[string, int]("racing")
	r.work(workflow.WorkerOptions{}, bound, flow.Bind(func(ctx workflow.Context, in string) (int, error) {
		winner, _, err := workflow.Race(ctx,
			func(ctx workflow.Context) (string, error) { return step.Do(ctx) },
			func(ctx workflow.Context) (string, error) {
				_, err := signal.Await(ctx, in, 300*time.Millisecond)
				return "", err
			})
		if !errors.Is(err, workflow.ErrTimeout) {
			return 0, err
		}
		return winner, nil
	}))
	task := spawn(r, flow, "never")
	if got := result(r, task); got != 1 {
		t.Errorf("branch %d won", got)
	}
	receive(r, "the end of the step", ended)
	if diff := cmp.Diff([]string{"e t 2/$event:signal:never", "r v $race"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

// TestBranchGoesOnBesideRunningStep: what follows an event in one branch does not wait for the step of another one.
func TestBranchGoesOnBesideRunningStep(t *testing.T) {
	r := newRig(t)
	slow, next := workflow.NewStepOut[string]("slow"), workflow.NewStepOut[string]("next")
	began, release := make(chan struct{}), make(chan struct{})
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{},
		slow.Bind(func(context.Context) (string, error) {
			close(began)
			<-release
			return "slow", nil
		}),
		next.Bind(func(context.Context) (string, error) {
			close(release) // or the slow one never ends
			return "next", nil
		}),
		flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			beside := workflow.Go(ctx, func(ctx workflow.Context) (string, error) {
				if _, err := signal.Await(ctx, "on", 0); err != nil {
					return "", err
				}
				return next.Do(ctx)
			})
			a, err := slow.Do(ctx)
			if err != nil {
				return "", err
			}
			b, err := beside.Await(ctx)
			return a + " " + b, err
		}))
	task := spawn(r, flow, "")
	receive(r, "the step", began)
	if err := signal.Emit(r.ctx, r.client, named{"on", ""}); err != nil {
		t.Fatal(err)
	}
	if got := result(r, task); got != "slow next" {
		t.Errorf("result %q", got)
	}
	records := r.records(task.ID)
	slices.Sort(records) // the steps end at the same time
	if diff := cmp.Diff([]string{"e v 1/$event:signal:on", "s v 1/next", "s v slow"}, records); diff != "" {
		t.Error(diff)
	}
}

// TestMessageBeatsRunningStep: the same for a message, of which the next receive gets the one after.
func TestMessageBeatsRunningStep(t *testing.T) {
	r := newRig(t)
	ended := make(chan error, 9)
	step, bound, began := endless(ended)
	orders := workflow.NewInbox[string]("orders")
	flow := workflow.NewFlow[string, string]("racing")
	r.work(workflow.WorkerOptions{}, bound, flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		_, first, err := workflow.Race(ctx,
			func(ctx workflow.Context) (string, error) { return orders.Receive(ctx, 0) },
			func(ctx workflow.Context) (string, error) { return step.Do(ctx) })
		if err != nil {
			return "", err
		}
		second, err := orders.Receive(ctx, 0)
		return first + " " + second, err
	}))
	task := spawn(r, flow, "")
	receive(r, "the step", began)
	for _, text := range []string{"first", "second"} {
		if err := orders.Send(r.ctx, r.client, task.ID, text); err != nil {
			t.Fatal(err)
		}
	}
	if got := result(r, task); got != "first second" {
		t.Errorf("result %q", got)
	}
	receive(r, "the end of the step", ended)
}

// TestChildBeatsRunningStep: the same for a child.
func TestChildBeatsRunningStep(t *testing.T) {
	r := newRig(t)
	ended := make(chan error, 9)
	step, bound, _ := endless(ended)
	child, parent := workflow.NewFlow[string, string]("child"), workflow.NewFlow[string, string]("parent")
	r.work(workflow.WorkerOptions{}, bound,
		child.Bind(func(ctx workflow.Context, in string) (string, error) {
			return in + " won", workflow.Sleep(ctx, 300*time.Millisecond)
		}),
		parent.Bind(func(ctx workflow.Context, in string) (string, error) {
			_, got, err := workflow.Race(ctx,
				func(ctx workflow.Context) (string, error) { return child.Do(ctx, in) },
				func(ctx workflow.Context) (string, error) { return step.Do(ctx) })
			return got, err
		}))
	if got := result(r, spawn(r, parent, "child")); got != "child won" {
		t.Errorf("result %q", got)
	}
	receive(r, "the end of the step", ended)
}
