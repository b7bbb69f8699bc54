package runtime

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestMap: results come in the order of the items, whatever the order in which they end, and no more than so many run at once.
func TestMap(t *testing.T) {
	const items, window = 20, 4
	r := newRig(t)
	step := workflow.NewStep[int, int]("square")
	probe := workflow.NewStep[int, int]("probe")
	flow := workflow.NewFlow[[]int, []int]("squares")
	var running, most atomic.Int64
	release := make(chan struct{}) // the first items go on
	later := make(chan struct{})   // an item after the first has ended
	r.work(workflow.WorkerOptions{},
		probe.Bind(func(_ context.Context, n int) (int, error) {
			if n == 3 {
				close(release)
			}
			return n, nil
		}),
		step.Bind(func(ctx context.Context, n int) (int, error) {
			now := running.Add(1)
			defer running.Add(-1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			<-release
			if n == 0 {
				<-later
			}
			if n == 1 {
				close(later)
			}
			return n * n, nil
		}),
		flow.Bind(func(ctx workflow.Context, items []int) ([]int, error) {
			// Beside the map, three steps one after the other: when the last one runs, all items that may run have been started.
			probes := workflow.Go(ctx, func(ctx workflow.Context) (n int, err error) {
				for n < 3 && err == nil {
					n, err = probe.Do(ctx, n+1)
				}
				return n, err
			})
			squares, err := workflow.Map(ctx, items, step, workflow.Concurrency(window))
			if err != nil {
				return nil, err
			}
			_, err = probes.Await(ctx)
			return squares, err
		}))
	var in, want []int
	for n := range items {
		in, want = append(in, n), append(want, n*n)
	}
	if diff := cmp.Diff(want, result(r, spawn(r, flow, in))); diff != "" {
		t.Error(diff)
	}
	if n := most.Load(); n != window {
		t.Errorf("%d items were worked on at once, want %d", n, window)
	}
}

// TestMapFailure: all items are worked on, and the error is that of the first item that failed.
func TestMapFailure(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[int, int]("check")
	flow := workflow.NewFlow[int, []int]("checks")
	var runs atomic.Int64
	r.work(workflow.WorkerOptions{},
		step.Bind(func(_ context.Context, n int) (int, error) {
			runs.Add(1)
			if n == 2 || n == 5 {
				return 0, workflow.Fail("%d", n)
			}
			return n, nil
		}),
		flow.Bind(func(ctx workflow.Context, _ int) ([]int, error) {
			return workflow.Map(ctx, []int{5, 1, 2, 3, 4, 6}, step, workflow.Concurrency(2))
		}))
	if failure := failed(r, spawn(r, flow, 0)); failure.Message != "step check: 5" {
		t.Errorf("the task failed with %q, want the first item's failure", failure.Message)
	}
	if runs.Load() != 6 {
		t.Errorf("%d of 6 items were worked on", runs.Load())
	}
}

// TestUnobservedFailure: a failure that nobody has waited for fails the workflow.
func TestUnobservedFailure(t *testing.T) {
	step := newCounted("pay")
	for name, body := range map[string]func(ctx workflow.Context) error{
		"workflow: nobody awaited the future of a failed step: step pay: run": func(ctx workflow.Context) error {
			step.step.Go(ctx, "")
			return nil
		},
		"workflow: nobody awaited the future of a failed branch: step pay: run": func(ctx workflow.Context) error {
			workflow.Go(ctx, func(ctx workflow.Context) (string, error) { return step.step.Do(ctx, "") })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			flow := workflow.NewFlow[int, string]("careless")
			r.work(workflow.WorkerOptions{}, step.failing(1<<30), flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
				return "fine", body(ctx)
			}))
			if failure := failed(r, spawn(r, flow, 0)); !strings.HasPrefix(failure.Message, name) {
				t.Errorf("the task failed with %q", failure.Message)
			}
		})
	}
}

// TestSwallowing: a body that ignores every error, recovers from everything and works on in deferred functions cannot have an
// effect while its run sleeps.
func TestSwallowing(t *testing.T) {
	r := newRig(t)
	effect := newCounted("effect")
	flow := workflow.NewFlow[int, string]("careless")
	var ended passes
	r.work(workflow.WorkerOptions{Hooks: ended.hooks()}, effect.failing(0), flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
		act := func() { _, _ = effect.step.Do(ctx, "") }
		branch := workflow.Func[int, int](func(ctx workflow.Context, _ int) (int, error) {
			defer func() { _ = recover(); _, _ = effect.step.Do(ctx, "") }()
			_ = workflow.Sleep(ctx, time.Hour)
			_, _ = effect.step.Do(ctx, "")
			return 0, nil
		})
		future := branch.Go(ctx, 0)
		defer act()
		defer func() { _ = recover(); act() }()
		for range 3 {
			_, _ = signal.Await(ctx, "never", 0)
			act()
			_, _ = future.Await(ctx)
			act()
		}
		return "done", nil
	}))
	task := spawn(r, flow, 0)
	r.eventually("the pass has ended", func() bool { return ended.suspended.Load() == 1 })
	if state, _ := r.state(task.ID); state != "sleeping" {
		t.Errorf("the task is %s", state)
	}
	if n := effect.runs.Load(); n != 0 {
		t.Errorf("a workflow that waits has had %d effects", n)
	}
	if diff := cmp.Diff([]string{"z v 1/$sleep"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

// TestForeignContext: a durable call with another branch's context, or from a goroutine of the workflow's own while the workflow
// waits, is refused, and the workflow fails although it swallows the refusal.
func TestForeignContext(t *testing.T) {
	parked, refused := make(chan struct{}), make(chan struct{})
	gate := workflow.NewStepOnly("gate")
	for name, call := range map[string]func(ctx workflow.Context, effect workflow.Step[string, string]) error{
		"goroutine": func(ctx workflow.Context, effect workflow.Step[string, string]) error {
			go func() {
				<-parked
				_, _ = effect.Do(ctx, "")
				close(refused)
			}()
			return gate.Do(ctx)
		},
		"other branch": func(outer workflow.Context, effect workflow.Step[string, string]) error {
			_, err := workflow.Go(outer, func(workflow.Context) (string, error) { return effect.Do(outer, "") }).Await(outer)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			effect := newCounted("effect")
			flow := workflow.NewFlow[int, string]("wrong")
			r.work(workflow.WorkerOptions{}, effect.failing(0),
				gate.Bind(func(context.Context) error {
					close(parked)
					<-refused
					return nil
				}),
				flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
					_ = call(ctx, effect.step)
					return "fine", nil
				}))
			failure := failed(r, spawn(r, flow, 0))
			if !strings.Contains(failure.Message, "use the context that the branch's function was given") {
				t.Errorf("the task failed with %q", failure.Message)
			}
			if n := effect.runs.Load(); n != 0 {
				t.Errorf("the step ran %d times", n)
			}
		})
	}
}

// TestReplayIsDeterministic: time, random numbers and ids are the same in every pass.
func TestReplayIsDeterministic(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[int, string]("chance")
	seen := make(chan string, 9)
	r.work(workflow.WorkerOptions{Parked: -1}, flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
		drawn := fmt.Sprint(workflow.Now(ctx), workflow.Rand(ctx).Int64(), workflow.Rand(ctx).Int64(), workflow.NewID(ctx), workflow.NewID(ctx))
		seen <- drawn
		_, err := signal.Await(ctx, "go", 0)
		return drawn, err
	}))
	task := spawn(r, flow, 0)
	r.awaitState(task.ID, "sleeping")
	r.emit("go", "")
	last := result(r, task)
	if first := receive(r, "what the first pass drew", seen); first != last {
		t.Errorf("the first pass drew %s, the last one %s", first, last)
	}
	if values := strings.Fields(last); values[len(values)-1] == values[len(values)-2] || values[len(values)-3] == values[len(values)-4] {
		t.Errorf("two draws gave the same: %s", last)
	}
}
