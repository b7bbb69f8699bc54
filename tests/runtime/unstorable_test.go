package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestUnstorableOutcome: a step returns what jsonb refuses. Only its task fails, although others commit at the same time.
func TestUnstorableOutcome(t *testing.T) {
	const others = 20
	bad := map[string]string{
		"deep":      strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"surrogate": `"\ud800"`,
		"number":    `1e999999`,
	}
	r := newRig(t)
	// For the worker's connections: with the default, what Go can encode is not too deep for jsonb.
	r.exec(`do $$ begin execute format('alter database %I set max_stack_depth = %L', current_database(), '256kB'); end $$`)
	step := workflow.NewStep[string, json.RawMessage]("step")
	flow := workflow.NewFlow[string, string]("flow")
	var all sync.WaitGroup // so that many outcomes come in one flush
	all.Add(others + len(bad))
	r.work(workflow.WorkerOptions{},
		step.Bind(func(_ context.Context, which string) (json.RawMessage, error) {
			all.Done()
			all.Wait()
			if text, ok := bad[which]; ok {
				return json.RawMessage(text), nil
			}
			return json.RawMessage(`"fine"`), nil
		}),
		flow.Bind(func(ctx workflow.Context, which string) (string, error) {
			_, err := step.Do(ctx, which)
			if err != nil {
				return "", err
			}
			_, err = signal.Await(ctx, "go", 0)
			return "done", err
		}))

	var fine []workflow.Task[string]
	for range others / 2 {
		fine = append(fine, spawn(r, flow, "fine"))
	}
	refused := make(map[string]workflow.Task[string])
	for which := range bad {
		refused[which] = spawn(r, flow, which)
	}
	for range others / 2 {
		fine = append(fine, spawn(r, flow, "fine"))
	}
	r.emit("go", "")
	for which, task := range refused {
		failure := failed(r, task)
		if failure.Type != "$Unstorable" || !strings.HasPrefix(failure.Message, "an outcome cannot be stored: ") {
			t.Errorf("%s: the task failed with %s: %s", which, failure.Type, failure.Message)
		}
		if strings.Contains(failure.Message, "[[") || strings.Contains(failure.Message, "ud800") || strings.Contains(failure.Message, "1e9") {
			t.Errorf("%s: the failure quotes the payload: %.200s", which, failure.Message)
		}
		if records := r.records(task.ID); len(records) != 0 {
			t.Errorf("%s: recorded %q", which, records)
		}
	}
	for _, task := range fine {
		if got := result(r, task); got != "done" {
			t.Errorf("beside an outcome that cannot be stored: result %q", got)
		}
	}
}

// TestUnencodableOutcome: what cannot even be encoded is a failure of the step, which is not tried again.
func TestUnencodableOutcome(t *testing.T) {
	for name, test := range map[string]struct{ value, want string }{
		"too deep": {strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "the result of step step cannot be encoded"},
		"no JSON":  {`{"open":`, "the result of step step cannot be encoded"},
		"too long": {`"` + strings.Repeat("x", workflow.MaxPayload) + `"`, "the limit is 2097152: pass a reference to it instead"},
		"NUL":      {`"\u0000"`, "holds a NUL character"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			step := workflow.NewStep[string, json.RawMessage]("step")
			flow := workflow.NewFlow[string, json.RawMessage]("flow")
			runs := 0
			r.work(workflow.WorkerOptions{},
				step.Bind(func(context.Context, string) (json.RawMessage, error) {
					runs++
					return json.RawMessage(test.value), nil
				}),
				flow.Bind(func(ctx workflow.Context, in string) (json.RawMessage, error) { return step.Do(ctx, in) }))
			failure := failed(r, spawn(r, flow, ""))
			if !strings.Contains(failure.Message, test.want) || len(failure.Message) > 300 {
				t.Errorf("the task failed with %.300q, want %q", failure.Message, test.want)
			}
			if runs != 1 {
				t.Errorf("the step ran %d times", runs)
			}
		})
	}
}

// TestUnstorableErrorText: a failure can always be written, whatever the error says.
func TestUnstorableErrorText(t *testing.T) {
	r := newRig(t)
	step, flow, bound := oneStep("step", workflow.Attempts(1))
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(context.Context, string) (string, error) {
		return "", errors.New("bytes \xff and NUL \x00")
	}))
	if failure := failed(r, spawn(r, flow, "")); failure.Message != `step step: bytes � and NUL \0` {
		t.Errorf("the task failed with %q", failure.Message)
	}
}
