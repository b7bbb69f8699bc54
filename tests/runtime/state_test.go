package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

var (
	progress = workflow.NewState[int]("progress")
	phase    = workflow.NewState[string]("phase")
)

func TestState(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		flow := workflow.NewFlow[string, string]("flow")
		step := workflow.NewStepOnly("step")
		task := spawn(r, flow, "")
		if n, err := progress.Get(r.ctx, r.client, task.ID); !errors.Is(err, workflow.ErrNotSet) || n != 0 {
			t.Errorf("before the start: %d, %v", n, err)
		}
		running, release := make(chan struct{}), make(chan struct{})
		r.work(o, step.Bind(func(context.Context) error {
			close(running)
			<-release
			return nil
		}), flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			set := func(n int, p, attribute string) error {
				return errors.Join(progress.Set(ctx, n), phase.Set(ctx, p), workflow.SetAttributes(ctx, map[string]string{"at": attribute, "gone": ""}))
			}
			if err := errors.Join(workflow.SetAttributes(ctx, map[string]string{"gone": "x", "kept": "y"}), set(1, "begun", "1"), set(10, "begun", "10")); err != nil {
				return "", err
			}
			if err := step.Do(ctx); err != nil {
				return "", err
			}
			if err := set(50, "waiting", "50"); err != nil {
				return "", err
			}
			if _, err := signal.Await(ctx, "go on", 0); err != nil {
				return "", err
			}
			return "", errors.Join(progress.Set(ctx, 100), progress.Set(ctx, 99))
		}))
		is := func(n int, p, attributes string) {
			t.Helper()
			gotN, errN := progress.Get(r.ctx, r.client, task.ID)
			gotP, errP := phase.Get(r.ctx, r.client, task.ID)
			if gotN != n || gotP != p || errN != nil || errP != nil {
				t.Errorf("state %d %q, want %d %q (%v, %v)", gotN, gotP, n, p, errN, errP)
			}
			if got := one[string](r, `select attributes::text from absurd.tasks where task_id = $1`, uuid(task.ID)); got != attributes {
				t.Errorf("attributes %s, want %s", got, attributes)
			}
		}
		receive(r, "the step", running)
		is(10, "begun", `{"at": "10", "kept": "y"}`)
		close(release)
		r.awaitState(task.ID, "sleeping")
		is(50, "waiting", `{"at": "50", "kept": "y"}`)
		r.emit("go on", "")
		result(r, task)
		is(99, "waiting", `{"at": "50", "kept": "y"}`)
		if _, err := progress.Get(r.ctx, r.client, workflow.TaskID{1}); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("of no task: %v", err)
		}
		for _, name := range r.records(task.ID) {
			if !strings.Contains(name, "step") && !strings.Contains(name, "signal") {
				t.Errorf("record %s", name)
			}
		}
	})
}

// TestStateOfBranches: what stays is what the branch set that came last, also when a replay has the branches move in another order.
func TestStateOfBranches(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	step := workflow.NewStep[string, string]("step")
	second := make(chan struct{})
	r.work(workflow.WorkerOptions{Parked: -1}, step.Bind(func(_ context.Context, which string) (string, error) {
		if which == "first" {
			<-second
			r.eventually("the second is recorded", func() bool { return one[int](r, `select count(*) from absurd.checkpoints`) == 1 })
		} else {
			close(second)
		}
		return which, nil
	}), flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
		branch := func(which string) *workflow.Future[string] {
			return workflow.Go(ctx, func(ctx workflow.Context) (string, error) {
				if _, err := step.Do(ctx, which); err != nil {
					return "", err
				}
				return "", phase.Set(ctx, which)
			})
		}
		if _, err := workflow.All(ctx, branch("first"), branch("second")); err != nil {
			return "", err
		}
		_, err := signal.Await(ctx, "go on", 0)
		return "", err
	}))
	task := spawn(r, flow, "")
	r.awaitState(task.ID, "sleeping")
	shown := func() string {
		p, err := phase.Get(r.ctx, r.client, task.ID)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	live := shown()
	r.emit("go on", "")
	result(r, task)
	if replayed := shown(); live != "first" || replayed != live {
		t.Errorf("live %q, after a replay %q, want what was set last", live, replayed)
	}
}

func TestBadState(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	elsewhere := workflow.NewState[string]("elsewhere", workflow.Queue("other"))
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
		for what, err := range map[string]error{
			"a bad name":      workflow.NewState[int]("no name").Set(ctx, 1),
			"another queue":   elsewhere.Set(ctx, ""),
			"a NUL":           phase.Set(ctx, "\x00"),
			"a bad attribute": workflow.SetAttributes(ctx, map[string]string{"no name": ""}),
			"a long text":     workflow.SetAttributes(ctx, map[string]string{"a": strings.Repeat("x", 1001)}),
		} {
			if err == nil {
				return "", errors.New(what + " is taken")
			}
		}
		return "", nil
	}))
	task := spawn(r, flow, "")
	result(r, task)
	if _, err := phase.Get(r.ctx, r.client, task.ID); !errors.Is(err, workflow.ErrNotSet) {
		t.Errorf("a bad state was stored: %v", err)
	}
}
