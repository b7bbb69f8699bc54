package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// journal notes what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.lines...)
}

type contextKey struct{}

func TestMiddleware(t *testing.T) {
	var client, work, hooks journal
	around := func(name string) workflow.ClientMiddleware {
		return workflow.ClientMiddleware{
			Spawn: func(ctx context.Context, s *workflow.SpawnInfo, next func(context.Context) error) error {
				s.Headers["by"] += name
				err := next(ctx)
				client.add("%s spawned %d %s on %s: %d ids", name, s.Tasks, s.Workflow, s.Queue, len(s.IDs))
				return err
			},
			Emit: func(ctx context.Context, e *workflow.EmitInfo, next func(context.Context) error) error {
				client.add("%s emits %s %s on %s", name, e.Event, e.Key, e.Queue)
				return next(ctx)
			},
			Send: func(ctx context.Context, m *workflow.SendInfo, next func(context.Context) error) error {
				if m.Key == "refused" {
					return errors.New("not by me")
				}
				client.add("%s sends to %s on %s", name, m.Inbox, m.Queue)
				return next(ctx)
			},
		}
	}
	base := newRig(t)
	r := rigOn(t, base.pool, base.dsn, workflow.ClientOptions{Middleware: []workflow.ClientMiddleware{around("outer"), {}, around("inner")}})
	flow := workflow.NewFlow[string, string]("flow")
	step := workflow.NewStep[string, string]("step", workflow.Attempts(1))
	options := workflow.WorkerOptions{
		Middleware: []workflow.WorkerMiddleware{{
			Pass: func(ctx context.Context, p workflow.RunInfo, next func(context.Context) workflow.PassEnd) workflow.PassEnd {
				end := next(context.WithValue(ctx, contextKey{}, "pass"))
				work.add("pass of %s on %s by %s: %s", p.Workflow, p.Queue, p.Headers["by"], end)
				return end
			},
			Step: func(ctx context.Context, s workflow.StepInfo, next func(context.Context) error) error {
				inPass, _ := ctx.Value(contextKey{}).(string)
				err := next(context.WithValue(ctx, contextKey{}, inPass+" step"))
				work.add("step %s in %s: %v", s.Step, inPass, err)
				return err
			},
		}, {Step: func(ctx context.Context, _ workflow.StepInfo, next func(context.Context) error) error {
			next(ctx)
			return nil // an error stays one
		}}},
		Hooks: workflow.Hooks{
			StepRecorded: func(s workflow.StepInfo, err error) {
				n := one[int](base, `select count(*) from absurd.checkpoints where task_id = $1 and checkpoint_name = $2`, s.Task, s.Checkpoint)
				hooks.add("recorded %s, %d in the database: %v", s.Checkpoint, n, err)
			},
			TaskEnded: func(e workflow.TaskEnd) {
				state, _ := base.state(e.Task)
				hooks.add("%s on %s %s, %s in the database: %v", e.Workflow, e.Queue, e.State, state, e.Err)
			},
		},
	}
	w := r.work(options, step.Bind(func(ctx context.Context, in string) (string, error) {
		if in == "fail" {
			return "", errors.New("no")
		}
		return fmt.Sprint(ctx.Value(contextKey{})), nil
	}), flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		out, err := step.Do(ctx, in)
		return out + " by " + workflow.Headers(ctx)["by"], err
	}))
	task := spawn(r, flow, "", workflow.WithHeaders(map[string]string{"by": "me "}))
	if got := result(r, task); got != "pass step by me outerinner" {
		t.Errorf("result %q", got)
	}
	failure := failed(r, spawn(r, flow, "fail"))
	r.emit("k", "")
	if err := notes.Send(r.ctx, r.client, task.ID, "", workflow.MessageKey("refused")); err == nil || !strings.Contains(err.Error(), "not by me") {
		t.Errorf("refused by a middleware: %v", err)
	}
	w.end()

	for _, test := range []struct {
		journal *journal
		want    []string
	}{
		{&client, []string{
			"inner spawned 1 flow on default: 1 ids", "outer spawned 1 flow on default: 1 ids",
			"inner spawned 1 flow on default: 1 ids", "outer spawned 1 flow on default: 1 ids",
			"outer emits signal k on default", "inner emits signal k on default",
		}},
		{&work, []string{
			"step step in pass: <nil>", "pass of flow on default by me outerinner: completed",
			"step step in pass: <nil>", "pass of flow on default by outerinner: failed",
		}},
		{&hooks, []string{
			"recorded step, 1 in the database: <nil>", "flow on default completed, completed in the database: <nil>",
			"recorded step, 1 in the database: no", "flow on default failed, failed in the database: " + failure.Error(),
		}},
	} {
		if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), slices.Sorted(slices.Values(test.journal.all()))); diff != "" {
			t.Error(diff)
		}
	}
}

// TestBadMiddleware: a middleware that panics or does not go on blocks its task, and the worker goes on.
func TestBadMiddleware(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{Middleware: []workflow.WorkerMiddleware{{
		Pass: func(ctx context.Context, p workflow.RunInfo, next func(context.Context) workflow.PassEnd) workflow.PassEnd {
			switch p.Headers["how"] {
			case "panic":
				panic("bad")
			case "stop":
				return workflow.PassReleased
			}
			return next(ctx)
		},
	}}}, flow.Bind(func(workflow.Context, string) (string, error) { return "done", nil }))
	for how, want := range map[string]string{"panic": "a middleware panicked: bad", "stop": "a middleware did not call next"} {
		task := spawn(r, flow, "", workflow.WithHeaders(map[string]string{"how": how}))
		if reason := r.awaitState(task.ID, "blocked"); reason != want {
			t.Errorf("blocked with %q, want %q", reason, want)
		}
	}
	if got := result(r, spawn(r, flow, "")); got != "done" {
		t.Errorf("result %q", got)
	}
}

// TestTrace: the trace context of a caller is that of the task's steps, and of what they spawn.
func TestTrace(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[int, []string]("flow")
	step := workflow.NewStep[int, []string]("step")
	const parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=x"
	r.work(workflow.WorkerOptions{}, step.Bind(func(ctx context.Context, depth int) ([]string, error) {
		p, s := workflow.TraceOf(ctx)
		if depth == 0 {
			return []string{p, s, workflow.HeadersOf(ctx)["own"]}, nil
		}
		task, err := flow.Spawn(ctx, r.client, depth-1)
		if err != nil {
			return nil, err
		}
		return task.Result(ctx)
	}), flow.Bind(func(ctx workflow.Context, depth int) ([]string, error) { return step.Do(ctx, depth) }))
	for depth, own := range []string{"mine", ""} {
		task, err := flow.Spawn(workflow.WithTrace(r.ctx, parent, state), r.client, depth, workflow.WithHeaders(map[string]string{"own": "mine"}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{parent, state, own}, result(r, task)); diff != "" {
			t.Errorf("at depth %d: %s", depth, diff)
		}
	}
	if got := result(r, spawn(r, flow, 0)); got[0] != "" {
		t.Errorf("without a trace: %q", got)
	}
}
