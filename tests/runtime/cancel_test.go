package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// saga reserves, charges and waits; when it is cancelled, it undoes both.
type saga struct {
	flow   workflow.Flow[int, string]
	effect func(string) error
}

var (
	sagaDo   = workflow.NewStepIn[string]("do", workflow.Backoff(time.Millisecond, time.Millisecond))
	sagaUndo = workflow.NewStepIn[string]("undo", workflow.Backoff(time.Millisecond, time.Millisecond))
)

func newSaga(effect func(string) error) *saga {
	return &saga{flow: workflow.NewFlow[int, string]("saga"), effect: effect}
}

func (s *saga) bindings() []workflow.Binding {
	do := func(_ context.Context, what string) error { return s.effect(what) }
	return []workflow.Binding{sagaDo.Bind(do), sagaUndo.Bind(do), s.flow.Bind(func(ctx workflow.Context, _ int) (out string, err error) {
		defer func() {
			if errors.Is(err, workflow.ErrCancelled) {
				for _, what := range []string{"undo charge", "undo hold"} {
					if failed := sagaUndo.Do(workflow.Cleanup(ctx), what); failed != nil {
						err = errors.Join(err, failed)
					}
				}
			}
		}()
		for _, what := range []string{"hold", "charge"} {
			if err := sagaDo.Do(ctx, what); err != nil {
				return "", err
			}
		}
		return "done", workflow.Sleep(ctx, time.Hour)
	})}
}

func TestCancelCleansUp(t *testing.T) {
	r := newRig(t)
	effects := make(chan string, 10)
	s := newSaga(func(what string) error { effects <- what; return nil })
	w := r.work(workflow.WorkerOptions{}, s.bindings()...)
	task := spawn(r, s.flow, 0)
	r.awaitState(task.ID, "sleeping")
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) {
		t.Errorf("result: %v, want ErrCancelled", err)
	}
	w.end()
	close(effects)
	if got, want := slices.Collect(values(effects)), []string{"hold", "charge", "undo charge", "undo hold"}; !slices.Equal(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
	if got, want := r.records(task.ID), []string{"s v do", "s v do#2", "z v $sleep", "k v $cancel", "s v undo", "s v undo#2"}; !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	r.nothingLeft()
}

func values[T any](ch <-chan T) func(func(T) bool) {
	return func(yield func(T) bool) {
		for v := range ch {
			if !yield(v) {
				return
			}
		}
	}
}

// A worker that dies in the middle of a clean-up leaves the rest to another one, which does not do again what is recorded.
func TestCrashInCleanup(t *testing.T) {
	r := newRig(t)
	var effects []string
	reached, crashed := make(chan struct{}), make(chan struct{})
	s := newSaga(func(what string) error {
		effects = append(effects, what)
		if what == "undo hold" && len(effects) == 4 {
			close(reached)
			<-crashed
			return errors.New("nobody hears this")
		}
		return nil
	})
	r.work(workflow.WorkerOptions{Lease: time.Hour, Parked: -1}, s.bindings()...)
	task := spawn(r, s.flow, 0)
	r.awaitState(task.ID, "sleeping")
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	receive(r, "the second undo", reached)
	r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 second'`)
	r.exec(`select * from absurd.sweep(100)`)
	defer close(crashed)
	r.work(workflow.WorkerOptions{}, s.bindings()...)
	if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) {
		t.Errorf("result: %v, want ErrCancelled", err)
	}
	if want := []string{"hold", "charge", "undo charge", "undo hold", "undo hold"}; !slices.Equal(effects, want) {
		t.Errorf("effects %q, want %q", effects, want)
	}
}

// A running step learns of the request at once. What it still returns counts: here it has done its work.
func TestCancelTellsRunningSteps(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[bool, int]("flow")
	started := make(chan struct{}, 1)
	seen := make(chan error, 2)
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, finish bool) (int, error) {
		n, err := workflow.Inline(ctx, "long", func(ctx context.Context) (int, error) {
			started <- struct{}{}
			<-ctx.Done()
			seen <- context.Cause(ctx)
			if finish {
				return 7, nil
			}
			return 0, ctx.Err()
		})
		if finish {
			return n, err
		}
		return n, fmt.Errorf("long: %w", err)
	}))
	for _, finish := range []bool{true, false} {
		task := spawn(r, flow, finish)
		receive(r, "the step", started)
		if err := task.Cancel(r.ctx); err != nil {
			t.Fatal(err)
		}
		if cause := receive(r, "the step's context ends", seen); !errors.Is(cause, workflow.ErrCancelled) {
			t.Errorf("the step was told %v", cause)
		}
		n, err := task.Result(r.ctx)
		if finish && (n != 7 || err != nil) {
			t.Errorf("the step's value: %d, %v, want 7", n, err)
		}
		if !finish && !errors.Is(err, workflow.ErrCancelled) {
			t.Errorf("result %v, want ErrCancelled", err)
		}
	}
}

func TestTerminateTellsRunningSteps(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlowOnly("flow")
	started, seen := make(chan struct{}, 1), make(chan error, 1)
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context) error {
		_, err := workflow.Inline(ctx, "long", func(ctx context.Context) (int, error) {
			started <- struct{}{}
			<-ctx.Done()
			seen <- context.Cause(ctx)
			return 0, ctx.Err()
		})
		return err
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	receive(r, "the step", started)
	if err := task.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	if cause := receive(r, "the step's context ends", seen); !errors.Is(cause, workflow.ErrCancelled) {
		t.Errorf("the step was told %v", cause)
	}
}

// A workflow that goes on as if nothing had happened is ended all the same, and runs no step any more.
func TestCancelOfADeafWorkflow(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlowOnly("flow")
	var ran atomic.Int32
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context) error {
		for {
			_ = workflow.Sleep(ctx, time.Hour)
			_, _ = workflow.Inline(ctx, "step", func(context.Context) (int, error) { ran.Add(1); return 0, nil })
		}
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	r.awaitState(task.ID, "sleeping")
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) || ran.Load() > 0 {
		t.Errorf("result %v after %d steps, want ErrCancelled after none", err, ran.Load())
	}
}

// What a workflow returns after a cancel decides how it ends.
func TestEndsAfterCancel(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow", workflow.Attempts(3))
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, end string) (string, error) {
		err := workflow.Sleep(ctx, time.Hour)
		switch end {
		case "completed":
			return "all the same", nil
		case "failed":
			return "", sagaDo.Do(workflow.Cleanup(ctx), "x")
		}
		return "", err
	}), sagaDo.Bind(func(context.Context, string) error { return workflow.Fail("cannot be undone") }))
	for _, end := range []string{"completed", "failed", "cancelled"} {
		task := spawn(r, flow, end)
		r.awaitState(task.ID, "sleeping")
		if err := task.Cancel(r.ctx); err != nil {
			t.Fatal(err)
		}
		_, _ = task.Result(r.ctx)
		if state, reason := r.state(task.ID); state != end {
			t.Errorf("%s (%s), want %s", state, reason, end)
		}
	}
}

// A clean-up that takes too long, and a task that no worker knows, end when the time is over.
func TestCancelDeadline(t *testing.T) {
	r := newRig(t)
	flow, unknown := workflow.NewFlowOnly("flow"), workflow.NewFlowOnly("unknown")
	w := r.work(workflow.WorkerOptions{}, unknown.Bind(func(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Hour) }),
		flow.Bind(func(ctx workflow.Context) error {
			_ = workflow.Sleep(ctx, time.Hour)
			return workflow.Sleep(workflow.Cleanup(ctx), time.Hour)
		}))
	var tasks []workflow.Task[workflow.None]
	for _, f := range []workflow.FlowOnly{flow, unknown} {
		task, err := f.Spawn(r.ctx, r.client)
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
		r.awaitState(task.ID, "sleeping")
	}
	w.end()
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context) error {
		_ = workflow.Sleep(ctx, time.Hour)
		return workflow.Sleep(workflow.Cleanup(ctx), time.Hour)
	}))
	for _, task := range tasks {
		if err := task.Cancel(r.ctx, workflow.CleanupTime(300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range tasks {
		if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) {
			t.Errorf("result: %v, want ErrCancelled", err)
		}
	}
}

func TestCancelOfWhatIsNotThere(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[int, int]("flow")
	task := spawn(r, flow, 1, workflow.WithStartAt(time.Now().Add(time.Hour)))
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Result(r.ctx); !errors.Is(err, workflow.ErrCancelled) {
		t.Errorf("a task that has never started: %v, want ErrCancelled", err)
	}
	r.exec(`select absurd.cleanup_tasks('default', 0)`)
	for what, err := range map[string]error{"cancel": task.Cancel(r.ctx), "terminate": task.Terminate(r.ctx)} {
		if !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("%s of an unknown task: %v, want ErrNotFound", what, err)
		}
	}
}

// tree makes a task with children and grandchildren that all sleep, over two queues.
func (r *rig) tree(undone *atomic.Int32) workflow.Task[int] {
	even, odd := workflow.NewFlow[int, int]("even"), workflow.NewFlow[int, int]("odd", workflow.Queue("children"))
	body := func(next workflow.Flow[int, int]) func(workflow.Context, int) (int, error) {
		return func(ctx workflow.Context, depth int) (_ int, err error) {
			defer func() {
				if errors.Is(err, workflow.ErrCancelled) {
					_, _ = workflow.Inline(workflow.Cleanup(ctx), "undo", func(context.Context) (int32, error) { return undone.Add(1), nil })
				}
			}()
			if depth == 0 {
				return 0, workflow.Sleep(ctx, time.Hour)
			}
			_, err = workflow.Map(ctx, []int{depth - 1, depth - 1}, next)
			return 0, err
		}
	}
	r.work(workflow.WorkerOptions{}, even.Bind(body(odd)), odd.Bind(body(even)))
	task := spawn(r, even, 3)
	r.eventually("15 tasks sleep", func() bool {
		return one[int](r, `select count(*) from absurd.tasks where state = 's'`) == 15
	})
	return task
}

func TestCancelAsksDescendants(t *testing.T) {
	r := newFamily(t)
	var undone atomic.Int32
	task := r.tree(&undone)
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.eventually("all have ended", func() bool {
		return one[int](r, `select count(*) from absurd.tasks where state = 'x'`) == 15
	})
	if n := undone.Load(); n != 15 {
		t.Errorf("%d of 15 have cleaned up", n)
	}
}

func TestTerminateEndsDescendantsAtOnce(t *testing.T) {
	r := newFamily(t)
	var undone atomic.Int32
	task := r.tree(&undone)
	if err := task.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	if n := one[int](r, `select count(*) from absurd.tasks where state = 'x'`); n != 15 || undone.Load() > 0 {
		t.Errorf("%d of 15 are cancelled, %d have cleaned up", n, undone.Load())
	}
}

// A task that cleans up and is terminated then hears of it: the step that undoes something is told to end.
func TestTerminateDuringCleanup(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[int, int]("flow")
	undoing, told := make(chan struct{}, 1), make(chan struct{}, 1)
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, _ int) (int, error) {
		err := workflow.Sleep(ctx, time.Hour)
		_, failed := workflow.Inline(workflow.Cleanup(ctx), "undo", func(ctx context.Context) (int, error) {
			undoing <- struct{}{}
			<-ctx.Done()
			told <- struct{}{}
			return 0, ctx.Err()
		})
		return 0, errors.Join(err, failed)
	}))
	task := spawn(r, flow, 0)
	r.awaitState(task.ID, "sleeping")
	if err := task.Cancel(r.ctx); err != nil {
		t.Fatal(err)
	}
	receive(r, "the clean-up", undoing)
	if err := task.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	receive(r, "the end of the clean-up", told)
}
