package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestAttach: a task is found by its id, and only by the workflow that it runs.
func TestAttach(t *testing.T) {
	r := newRig(t)
	flow, other := workflow.NewFlow[string, string]("flow"), workflow.NewFlow[string, int]("other")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(_ workflow.Context, in string) (string, error) { return "did " + in, nil }))

	task := spawn(r, flow, "it")
	if got := result(r, attach(r, flow, task.ID)); got != "did it" {
		t.Errorf("result %q", got)
	}
	_, err := other.Attach(r.ctx, r.client, task.ID)
	if !errors.Is(err, workflow.ErrOtherWorkflow) || !strings.HasSuffix(err.Error(), "task "+task.ID.String()+" runs flow, not other") {
		t.Errorf("attach to a task of another workflow: %v", err)
	}
	unknown := workflow.TaskID{1, 2, 3}
	if _, err := flow.Attach(r.ctx, r.client, unknown); !errors.Is(err, workflow.ErrNotFound) || !strings.Contains(err.Error(), unknown.String()) {
		t.Errorf("attach to an unknown task: %v", err)
	}
}

func TestTaskState(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	later := spawn(r, flow, "", workflow.WithStartAt(time.Now().Add(time.Hour)))
	waiting := spawn(r, flow, "wait")
	is := func(task workflow.Task[string], want workflow.TaskState) {
		t.Helper()
		r.eventually("the task is "+string(want), func() bool {
			got, err := task.State(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			return got == want
		})
		if ended := want == workflow.TaskCompleted || want == workflow.TaskFailed || want == workflow.TaskCancelled; want.Final() != ended {
			t.Errorf("%s is final: %v", want, want.Final())
		}
	}
	is(later, workflow.TaskSleeping)
	is(waiting, workflow.TaskPending)

	running, release := make(chan struct{}, 1), make(chan struct{})
	step := workflow.NewStepOnly("step")
	r.work(workflow.WorkerOptions{}, step.Bind(func(context.Context) error {
		running <- struct{}{}
		<-release
		return nil
	}), flow.Bind(func(ctx workflow.Context, how string) (string, error) {
		if how == "fail" {
			return "", errors.New("failed")
		}
		if _, err := signal.Await(ctx, "go on", 0); err != nil {
			return "", err
		}
		return "", step.Do(ctx)
	}))
	is(waiting, workflow.TaskSleeping)
	if err := signal.Emit(r.ctx, r.client, named{Name: "go on"}); err != nil {
		t.Fatal(err)
	}
	receive(r, "the step", running)
	is(waiting, workflow.TaskRunning)
	close(release)
	is(waiting, workflow.TaskCompleted)
	is(spawn(r, flow, "fail"), workflow.TaskFailed)
	if err := later.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	is(later, workflow.TaskCancelled)
	r.exec(`select absurd.delete_task(queue_no, $1) from absurd.queues`, uuid(later.ID))
	if _, err := later.State(r.ctx); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("state of a task that is gone: %v", err)
	}
}

// TestNames: what cannot be a name is refused, and alike by who waits and by who emits.
func TestNames(t *testing.T) {
	r := newRig(t)
	event := workflow.NewEvent("e", func(key string) string { return key })
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, key string) (string, error) {
		return event.Await(ctx, key, time.Hour)
	}))
	for _, key := range []string{"", strings.Repeat("k", 999), strings.Repeat("k", 1014), strings.Repeat("k", 5000)} {
		emitted := event.Emit(r.ctx, r.client, key)
		if !errors.Is(emitted, workflow.ErrInvalidName) {
			t.Errorf("emit with a key of %d bytes: %v, want ErrInvalidName", len(key), emitted)
		}
		if waited := failed(r, spawn(r, flow, key)); emitted == nil || waited.Message != emitted.Error() {
			t.Errorf("await with a key of %d bytes: %v, emit: %v", len(key), waited, emitted)
		}
	}
	longest := strings.Repeat("k", 998)
	if err := event.Emit(r.ctx, r.client, longest); err != nil {
		t.Error(err)
	}
	if got := result(r, spawn(r, flow, longest)); got != longest {
		t.Errorf("the event with the longest key brought %d bytes", len(got))
	}
	for _, queue := range []string{"", strings.Repeat("q", 58), "a\x00b", "\xff"} {
		if err := r.client.CreateQueue(r.ctx, queue); !errors.Is(err, workflow.ErrInvalidName) {
			t.Errorf("create queue %q: %v, want ErrInvalidName", queue, err)
		}
	}
	if err := r.client.CreateQueue(r.ctx, strings.Repeat("ä", 28)+"q"); err != nil {
		t.Errorf("create a queue with a name of 57 bytes: %v", err)
	}
}
