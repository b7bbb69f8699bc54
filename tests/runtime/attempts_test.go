package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// oneStep is a workflow that runs one step and returns what that returns.
func oneStep(name string, opts ...workflow.StepOption) (workflow.Step[string, string], workflow.Flow[string, string], workflow.Binding) {
	step := workflow.NewStep[string, string](name, opts...)
	flow := workflow.NewFlow[string, string](name + "-flow")
	return step, flow, flow.Bind(func(ctx workflow.Context, in string) (string, error) { return step.Do(ctx, in) })
}

// passes counts the passes of a worker by how they ended.
type passes struct{ completed, suspended, other atomic.Int64 }

func (p *passes) hooks() workflow.Hooks {
	return workflow.Hooks{PassEnded: func(i workflow.PassInfo) {
		switch i.End {
		case workflow.PassCompleted:
			p.completed.Add(1)
		case workflow.PassSuspended:
			p.suspended.Add(1)
		default:
			p.other.Add(1)
		}
	}}
}

func TestShortBackoffStaysInMemory(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("flaky", workflow.Attempts(3), workflow.Backoff(time.Millisecond, 2*time.Millisecond))
	var ended passes
	keys := make(chan string, 3)
	r.work(workflow.WorkerOptions{Hooks: ended.hooks()}, bound, step.Bind(func(ctx context.Context, _ string) (string, error) {
		info, _ := workflow.InfoOf(ctx)
		keys <- workflow.IdempotencyKey(ctx)
		if info.Attempt < 3 {
			return "", errors.New("not yet")
		}
		return fmt.Sprint("attempt ", info.Attempt), nil
	}))
	task := spawn(r, flow, "")
	if got := result(r, task); got != "attempt 3" {
		t.Errorf("result %q", got)
	}
	r.eventually("the pass has ended", func() bool { return ended.completed.Load() == 1 })
	if ended.suspended.Load()+ended.other.Load() != 0 {
		t.Error("the run was given up between two attempts that follow each other closely")
	}
	if first, second, third := <-keys, <-keys, <-keys; first != second || second != third || first == "" {
		t.Errorf("the attempts have the idempotency keys %q, %q, %q, want one", first, second, third)
	}
	if diff := cmp.Diff([]string{"s v flaky"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestLongBackoffHoldsNoWorker(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("flaky", workflow.Attempts(3), workflow.Backoff(3*time.Second, 3*time.Second))
	attempts := make(chan int, 9)
	attempt := step.Bind(func(ctx context.Context, _ string) (string, error) {
		info, _ := workflow.InfoOf(ctx)
		attempts <- info.Attempt
		err := errors.New("out of order")
		if info.Attempt > 1 {
			err = workflow.RetryAfter(err, time.Millisecond)
		}
		return "", err
	})
	var ended passes
	first := r.work(workflow.WorkerOptions{Hooks: ended.hooks()}, bound, attempt)
	task := spawn(r, flow, "")
	r.eventually("the run is given up between attempts", func() bool { return ended.suspended.Load() == 1 })
	first.end()
	if diff := cmp.Diff([]string{"s n flaky"}, r.records(task.ID)); diff != "" {
		t.Errorf("between two attempts: %s", diff)
	}
	r.work(workflow.WorkerOptions{}, bound, attempt)
	if failure := failed(r, task); !strings.Contains(failure.Message, "step flaky: out of order") {
		t.Errorf("the task failed with %q", failure.Message)
	}
	if a, b, c := <-attempts, <-attempts, <-attempts; a != 1 || b != 2 || c != 3 || len(attempts) > 0 {
		t.Errorf("attempts %d, %d, %d and %d more, want 1, 2, 3", a, b, c, len(attempts))
	}
	if diff := cmp.Diff([]string{"s f flaky"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestPermanentErrorEndsAttempts(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("pay", workflow.Attempts(5), workflow.Backoff(time.Millisecond, time.Millisecond))
	var attempts atomic.Int64
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(context.Context, string) (string, error) {
		attempts.Add(1)
		return "", fmt.Errorf("bank: %w", workflow.Fail("card %s is blocked", "x"))
	}))
	failure := failed(r, spawn(r, flow, ""))
	if failure.Type != "workflow.StepError" || failure.Message != "step pay: bank: card x is blocked" {
		t.Errorf("the task failed with %s: %s", failure.Type, failure.Message)
	}
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts at what cannot succeed", n)
	}
}

type declined struct{ code int }

func (d *declined) Error() string { return fmt.Sprintf("declined with code %d", d.code) }

func TestStepErrorIsTheSameOnReplay(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[string, string]("pay", workflow.Attempts(2), workflow.Backoff(time.Millisecond, time.Millisecond)).
		KeyedBy(func(card string) string { return card })
	again := workflow.NewEvent("again", func(string) string { return "k" })
	flow := workflow.NewFlow[string, string]("order")
	seen := make(chan *workflow.StepError, 2)
	r.work(workflow.WorkerOptions{Parked: -1},
		step.Bind(func(context.Context, string) (string, error) { return "", &declined{51} }),
		flow.Bind(func(ctx workflow.Context, card string) (string, error) {
			_, err := step.Do(ctx, card)
			failure, _ := errors.AsType[*workflow.StepError](err)
			seen <- failure
			return again.Await(ctx, "k", 0)
		}))
	task := spawn(r, flow, "visa")
	live := receive(r, "the error in the first pass", seen)
	want := &workflow.StepError{Step: "pay", Checkpoint: "pay:visa", Type: "runtime.declined", Message: "declined with code 51", Attempts: 2}
	if diff := cmp.Diff(want, live); diff != "" {
		t.Error(diff)
	}
	r.awaitState(task.ID, "sleeping")
	if err := again.Emit(r.ctx, r.client, "go"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, receive(r, "the error in the second pass", seen)); diff != "" {
		t.Errorf("replay gave another error: %s", diff)
	}
	result(r, task)
}

// TestTimeoutOfHungStep has a step that ignores its context. The next attempt starts without it, and what it returns in the end
// is dropped.
func TestTimeoutOfHungStep(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("slow", workflow.Attempts(100), workflow.Backoff(time.Millisecond, time.Millisecond), workflow.Timeout(50*time.Millisecond))
	wake, woken := make(chan struct{}), make(chan struct{})
	awake := sync.OnceFunc(func() { close(wake) })
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(ctx context.Context, _ string) (string, error) {
		if info, _ := workflow.InfoOf(ctx); info.Attempt == 1 {
			defer close(woken)
			<-wake
			return "the hung one", nil
		}
		awake()
		<-woken
		return "a later one", nil // the second, unless the machine is slow
	}))
	if got := result(r, spawn(r, flow, "")); got != "a later one" {
		t.Errorf("result of %s", got)
	}
}

func TestTimeoutEndsContext(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("slow", workflow.Attempts(1), workflow.Timeout(30*time.Millisecond))
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done()
		return "", fmt.Errorf("gave up: %w", context.Cause(ctx))
	}))
	if failure := failed(r, spawn(r, flow, "")); failure.Message != "step slow: gave up: the step did not end within its timeout of 30ms" {
		t.Errorf("the task failed with %q", failure.Message)
	}
}

func TestStepPanics(t *testing.T) {
	for name, panics := range map[string]func() (string, error){
		"panic: boom":                                        func() (string, error) { panic("boom") },
		"panic: assignment to entry in nil map":              func() (string, error) { var m map[string]int; m["x"]++; return "", nil }, //nolint:staticcheck // on purpose
		"panic: the step called runtime.Goexit, as testing.": func() (string, error) { runtime.Goexit(); return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			step, flow, bound := oneStep("risky", workflow.Attempts(1))
			r.work(workflow.WorkerOptions{}, bound, step.Bind(func(context.Context, string) (string, error) { return panics() }))
			if failure := failed(r, spawn(r, flow, "")); !strings.HasPrefix(failure.Message, "step risky: "+name) {
				t.Errorf("the task failed with %q", failure.Message)
			}
			stack := one[string](r, `select state ->> 'stack' from absurd.checkpoints`)
			if !strings.Contains(stack, "attempts_test.go") {
				t.Errorf("the stack does not lead to the panic: %q", stack)
			}
		})
	}
}

func TestBodyPanics(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("risky", workflow.Attempts(3))
	other := workflow.NewFlow[string, string]("other")
	r.work(workflow.WorkerOptions{},
		flow.Bind(func(workflow.Context, string) (string, error) { panic("boom") }),
		other.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	failure := failed(r, spawn(r, flow, ""))
	if failure.Type != "panic" || failure.Message != "panic: boom" {
		t.Errorf("the task failed with %s: %s", failure.Type, failure.Message)
	}
	if stack := one[string](r, `select failure ->> 'stack' from absurd.tasks`); !strings.Contains(stack, "attempts_test.go") {
		t.Errorf("the stack does not lead to the panic: %q", stack)
	}
	if got := result(r, spawn(r, other, "alive")); got != "alive" {
		t.Errorf("after a panic the worker answers %q", got)
	}
}

// TestBodyExits: a Goexit is no outcome of a workflow. The task is blocked until better code comes.
func TestBodyExits(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("exits")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(workflow.Context, string) (string, error) {
		runtime.Goexit()
		return "", nil
	}))
	task := spawn(r, flow, "")
	want := "the workflow called runtime.Goexit, as testing.T.FailNow does: return an error instead"
	if reason := r.awaitState(task.ID, "blocked"); reason != want {
		t.Errorf("blocked because %q", reason)
	}
}
