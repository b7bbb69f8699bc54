package workflowtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/workflowtest"
)

// A test of a workflow: a fake in the place of a step, and an event at a certain time. The handles and Register are those of
// an application, where absurdgen makes them.
func ExampleRun() {
	testSupport := func(t *testing.T) { // func TestSupport(t *testing.T) in a file that ends in _test.go
		workflowtest.Run(t, func(env *workflowtest.Env) {
			env.Must(Register(env.Registry))
			workflowtest.Fake(env, Ask, func(context.Context, string) error { return nil })
			client := env.Start()

			task, err := Support.Spawn(env.Context(), client, "why")
			env.Must(err)
			time.Sleep(30 * time.Hour) // virtual: it is over at once
			env.Must(Answered.Emit(env.Context(), client, Answer{"why", "because"}))

			answer, err := task.Result(env.Context())
			env.Must(err)
			if answer != "because" {
				env.Errorf("the answer is %q", answer)
			}
		})
	}
	_ = testSupport
}

// A fake that fails twice, to see that the step is tried again: its backoff is virtual, too.
func ExampleFake() {
	testRetry := func(t *testing.T) {
		workflowtest.Run(t, func(env *workflowtest.Env) {
			env.Must(Register(env.Registry))
			workflowtest.Fake(env, Ask, func(ctx context.Context, _ string) error {
				if info, _ := workflow.InfoOf(ctx); info.Attempt < 3 {
					return errors.New("the mail server is down")
				}
				return nil
			})
			client := env.Start()
			task, err := Support.Spawn(env.Context(), client, "why")
			env.Must(err)
			env.Must(Answered.Emit(env.Context(), client, Answer{"why", "because"}))
			_, err = task.Result(env.Context())
			env.Must(err)
		})
	}
	_ = testRetry
}

// The worker is killed after its second commit; what was recorded by then is not run again.
func ExampleEnv_CrashAfter() {
	testCrash := func(t *testing.T) {
		workflowtest.Run(t, func(env *workflowtest.Env) {
			env.Must(Register(env.Registry))
			asked := 0
			workflowtest.Fake(env, Ask, func(context.Context, string) error { asked++; return nil })
			client := env.Start()
			env.CrashAfter(2)
			task, err := Support.Spawn(env.Context(), client, "why")
			env.Must(err)
			time.Sleep(time.Hour)
			env.Must(Answered.Emit(env.Context(), client, Answer{"why", "because"}))
			_, err = task.Result(env.Context())
			env.Must(err)
			if asked != 1 || env.Crashes() != 1 {
				env.Errorf("asked %d times in spite of %d crashes", asked, env.Crashes())
			}
		})
	}
	_ = testCrash
}

// The records of a task: what a replay is served from, in the order of recording.
func ExampleEnv_Records() {
	testRecords := func(t *testing.T) {
		workflowtest.Run(t, func(env *workflowtest.Env) {
			env.Must(Register(env.Registry))
			workflowtest.Fake(env, Ask, func(context.Context, string) error { return nil })
			client := env.Start()
			task, err := Support.Spawn(env.Context(), client, "why")
			env.Must(err)
			_, err = task.Result(env.Context())
			if failed, ok := errors.AsType[*workflow.TaskError](err); !ok || failed.Message != "nobody answers" {
				env.Errorf("the task ended with %v", err)
			}
			for _, r := range env.Records(Support.Queue(), task.ID) {
				env.Log(r.Time, r.Kind, r.Name, r.Outcome) // three steps, three waits that timed out
			}
		})
	}
	_ = testRecords
}
