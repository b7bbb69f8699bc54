package runtime

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// here notes in at the position of its caller, in the form of messages, and returns in: the input of a durable call.
func here(at *atomic.Value, in string) string {
	_, file, line, _ := runtime.Caller(1)
	at.Store(fmt.Sprintf("%s:%d", file, line))
	return in
}

// edit is a workflow in two versions: before and after a change of its code. Both wait for the event "go" after what matters.
type edit struct {
	flow          workflow.Flow[string, string]
	before, after func(ctx workflow.Context) (string, error)
}

// blocks runs the workflow in its first version until it waits, then in its second version, which must be blocked, and then
// in its first one again, which must complete. It returns why it was blocked.
func (e edit) blocks(r *rig, steps, stepsAfter []workflow.Binding) (reason string) {
	r.Helper()
	bind := func(body func(workflow.Context) (string, error)) workflow.Binding {
		return e.flow.Bind(func(ctx workflow.Context, _ string) (string, error) { return body(ctx) })
	}
	v1 := r.work(workflow.WorkerOptions{}, append([]workflow.Binding{bind(e.before)}, steps...)...)
	task := spawn(r, e.flow, "")
	r.awaitState(task.ID, "sleeping")
	v1.end()
	records := r.records(task.ID)
	r.emit("go", "on")

	v2 := r.work(workflow.WorkerOptions{}, append([]workflow.Binding{bind(e.after)}, stepsAfter...)...)
	reason = r.awaitState(task.ID, "blocked")
	v2.end()
	if now := r.records(task.ID); len(now) != len(records)+1 { // the event
		r.Errorf("a task that is blocked has the records %q, before it had %q", now, records)
	}
	if attempt := one[int](r, `select attempt from absurd.tasks`); attempt != 1 {
		r.Errorf("being blocked has cost an attempt: this is number %d", attempt)
	}

	r.work(workflow.WorkerOptions{}, append([]workflow.Binding{bind(e.before)}, steps...)...)
	if got := result(r, task); got != "on" {
		r.Errorf("with the old code again the result is %q", got)
	}
	return reason
}

func awaitGo(ctx workflow.Context) (string, error) {
	n, err := signal.Await(ctx, "go", 0)
	return n.Value, err
}

// TestDivergence inserts a step before a finished one and renames another.
func TestDivergence(t *testing.T) {
	r := newRig(t)
	charge, pack, inserted := newCounted("charge"), newCounted("pack"), newCounted("inserted")
	var insertedAt atomic.Value
	e := edit{
		flow: workflow.NewFlow[string, string]("orders"),
		before: func(ctx workflow.Context) (string, error) {
			if _, err := charge.step.Do(ctx, ""); err != nil {
				return "", err
			}
			if _, err := pack.step.Do(ctx, ""); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
		after: func(ctx workflow.Context) (string, error) {
			if _, err := inserted.step.Do(ctx, here(&insertedAt, "")); err != nil {
				return "", err
			}
			if _, err := charge.step.Do(ctx, ""); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
	}
	steps := []workflow.Binding{charge.failing(0), pack.failing(0), inserted.failing(0)}
	reason := e.blocks(r, steps, steps)
	want := fmt.Sprintf(`workflow orders and the records of this task disagree.
  recorded, but not reached by the code:
    step "charge"
    step "pack"
    event "$event:signal:go"
  reached by the code, but not recorded:
    step "inserted" at %s
  what to do: roll the code back, or gate the change with workflow.Changed so that tasks which were past it keep to the old order, or give the changed workflow a new name and keep the old function until its tasks are done.`,
		insertedAt.Load())
	if reason != want {
		t.Errorf("blocked because\n%s\nwant\n%s", reason, want)
	}
	for step, want := range map[*counted]int64{charge: 1, pack: 1, inserted: 0} {
		if n := step.runs.Load(); n != want {
			t.Errorf("step %s ran %d times, want %d", step.step.Name(), n, want)
		}
	}
}

// TestDivergenceAtEnd removes everything that was recorded.
func TestDivergenceAtEnd(t *testing.T) {
	r := newRig(t)
	charge := newCounted("charge")
	e := edit{
		flow: workflow.NewFlow[string, string]("orders"),
		before: func(ctx workflow.Context) (string, error) {
			if _, err := charge.step.Do(ctx, ""); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
		after: func(workflow.Context) (string, error) { return "nothing", nil },
	}
	steps := []workflow.Binding{charge.failing(0)}
	want := `workflow orders and the records of this task disagree.
  recorded, but not reached by the code:
    step "charge"
    event "$event:signal:go"
  reached by the code, but not recorded:
    nothing: the workflow ended before it came to them
  what to do: roll the code back, or gate the change with workflow.Changed so that tasks which were past it keep to the old order, or give the changed workflow a new name and keep the old function until its tasks are done.`
	if reason := e.blocks(r, steps, steps); reason != want {
		t.Errorf("blocked because\n%s\nwant\n%s", reason, want)
	}
}

// TestUnregisteredStepBlocks: the worker knows the workflow and not the step that it comes to.
func TestUnregisteredStepBlocks(t *testing.T) {
	r := newRig(t)
	charge, added := newCounted("charge"), newCounted("added")
	var addedAt atomic.Value
	e := edit{
		flow: workflow.NewFlow[string, string]("orders"),
		before: func(ctx workflow.Context) (string, error) {
			if _, err := charge.step.Do(ctx, ""); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
		after: func(ctx workflow.Context) (string, error) {
			if _, err := charge.step.Do(ctx, ""); err != nil {
				return "", err
			}
			if _, err := awaitGo(ctx); err != nil {
				return "", err
			}
			return added.step.Do(ctx, here(&addedAt, ""))
		},
	}
	steps := []workflow.Binding{charge.failing(0)}
	reason := e.blocks(r, steps, nil)
	want := fmt.Sprintf("step added is not registered with this worker: call the Register function of its package (%s)", addedAt.Load())
	if reason != want {
		t.Errorf("blocked because %q, want %q", reason, want)
	}
	if n := charge.runs.Load(); n != 1 {
		t.Errorf("the recorded step ran %d times", n)
	}
}

// TestPayloadTypeChangeBlocks: what is recorded does not fit the type that the code has now. The task is blocked: a deploy that
// got a type wrong must not destroy work.
func TestPayloadTypeChangeBlocks(t *testing.T) {
	r := newRig(t)
	var askedAt atomic.Value
	text := workflow.NewStep[string, string]("measure")
	number := workflow.NewStep[string, int]("measure")
	e := edit{
		flow: workflow.NewFlow[string, string]("sizes"),
		before: func(ctx workflow.Context) (string, error) {
			if _, err := text.Do(ctx, ""); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
		after: func(ctx workflow.Context) (string, error) {
			if _, err := number.Do(ctx, here(&askedAt, "")); err != nil {
				return "", err
			}
			return awaitGo(ctx)
		},
	}
	reason := e.blocks(r,
		[]workflow.Binding{text.Bind(func(context.Context, string) (string, error) { return "secret", nil })},
		[]workflow.Binding{number.Bind(func(context.Context, string) (int, error) { return 1, nil })})
	want := fmt.Sprintf(`workflow sizes and the records of this task disagree.
  "measure" at %s: what is recorded does not fit the code's type: workflow: the result of step measure cannot be decoded: json: cannot unmarshal string into Go value of type int.
  what to do: roll the code back, or gate the change with workflow.Changed so that tasks which were past it keep to the old order, or give the changed workflow a new name and keep the old function until its tasks are done.`,
		askedAt.Load())
	if reason != want {
		t.Errorf("blocked because\n%s\nwant\n%s", reason, want)
	}
}

// TestInputTypeChangeBlocks: the task's input does not fit the type that the code has now.
func TestInputTypeChangeBlocks(t *testing.T) {
	r := newRig(t)
	old := workflow.NewFlow[string, string]("sizes")
	task := spawn(r, old, "seven")
	v2 := workflow.NewFlow[int, string]("sizes")
	wrong := r.work(workflow.WorkerOptions{}, v2.Bind(func(workflow.Context, int) (string, error) { return "", nil }))
	want := "the task's input does not fit the code: workflow: the input of workflow sizes cannot be decoded: json: cannot unmarshal string into Go value of type int"
	if reason := r.awaitState(task.ID, "blocked"); reason != want {
		t.Errorf("blocked because %q, want %q", reason, want)
	}
	wrong.end()
	r.work(workflow.WorkerOptions{}, old.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	if got := result(r, task); got != "seven" {
		t.Errorf("with the right code the result is %q", got)
	}
}
