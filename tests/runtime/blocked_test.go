package runtime

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestBlockedTaskWaitsForOtherCode: a task that a worker's code disagrees with is listed with the reason, is not tried at once by more
// of the same code, and is when other code comes.
func TestBlockedTaskWaitsForOtherCode(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[string, string]("charge")
	flow := workflow.NewFlow[string, string]("order")
	charge := step.Bind(func(_ context.Context, in string) (string, error) { return in, nil })
	right := flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		if _, err := step.Do(ctx, in); err != nil {
			return "", err
		}
		got, err := signal.Await(ctx, in, 0)
		return got.Value, err
	})
	wrong := flow.Bind(func(ctx workflow.Context, in string) (string, error) {
		got, err := signal.Await(ctx, in, 0)
		return got.Value, err
	})
	a := r.work(workflow.WorkerOptions{Code: "first"}, right, charge)
	task := spawn(r, flow, "x")
	r.awaitState(task.ID, "sleeping")
	a.end()
	if err := signal.Emit(r.ctx, r.client, named{"x", "done"}); err != nil {
		t.Fatal(err)
	}
	b := r.work(workflow.WorkerOptions{Code: "second"}, wrong, charge)
	r.awaitState(task.ID, "blocked")
	b.end()

	blocked, err := r.client.Blocked(r.ctx, workflow.DefaultQueue)
	if err != nil || len(blocked) != 1 {
		t.Fatalf("%d tasks are listed, %v", len(blocked), err)
	}
	if !strings.Contains(blocked[0].Reason, `step "charge"`) || time.Until(blocked[0].NextTry) > 5*time.Minute {
		t.Errorf("listed with %q, next try at %v", blocked[0].Reason, blocked[0].NextTry)
	}
	want := workflow.BlockedTask{ID: task.ID, Workflow: "order", Attempt: 1, Reason: blocked[0].Reason, NextTry: blocked[0].NextTry}
	if diff := cmp.Diff(want, blocked[0]); diff != "" {
		t.Error(diff)
	}

	// Far beyond the test's patience, so that only other code can wake it.
	r.exec(`update absurd.timers set due_at = now() + interval '5 minutes' where kind = 'w'`)
	r.exec(`update absurd.tasks set available_at = (select due_at from absurd.timers where kind = 'w')`)
	other := workflow.NewFlow[string, string]("other")
	b = r.work(workflow.WorkerOptions{Code: "second"}, wrong, charge, other.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	result(r, spawn(r, other, "")) // by now it has looked at the queue
	b.end()
	if state, _ := r.state(task.ID); state != "blocked" {
		t.Errorf("the task is %s: it was tried by the code that has blocked it", state)
	}
	r.work(workflow.WorkerOptions{Code: "third"}, right, charge)
	if got := result(r, task); got != "done" {
		t.Errorf("result %q", got)
	}
}

// TestUnknownWorkflowIsListed: a task whose workflow no worker knows stays ready, and is listed until one comes.
func TestUnknownWorkflowIsListed(t *testing.T) {
	r := newRig(t)
	known, unknown := workflow.NewFlow[string, string]("known"), workflow.NewFlow[string, string]("unknown")
	echo := func(_ workflow.Context, in string) (string, error) { return in, nil }
	w := r.work(workflow.WorkerOptions{}, known.Bind(echo))
	task := spawn(r, unknown, "x")
	result(r, spawn(r, known, ""))
	listed := func() []workflow.BlockedTask {
		blocked, err := r.client.Blocked(r.ctx, workflow.DefaultQueue)
		if err != nil {
			t.Fatal(err)
		}
		return blocked
	}
	want := []workflow.BlockedTask{{ID: task.ID, Workflow: "unknown", Attempt: 1, Reason: `no worker that is alive knows the task name "unknown"`}}
	if diff := cmp.Diff(want, listed()); diff != "" {
		t.Error(diff)
	}
	if state, _ := r.state(task.ID); state != "pending" {
		t.Errorf("the task is %s", state)
	}
	w.end()
	r.work(workflow.WorkerOptions{}, known.Bind(echo), unknown.Bind(echo))
	result(r, task)
	if len(listed()) != 0 {
		t.Errorf("listed after all is done: %+v", listed())
	}
	if _, err := r.client.Blocked(r.ctx, "nowhere"); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("an unknown queue: %v", err)
	}
}
