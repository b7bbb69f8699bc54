package workflowtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/workflowtest"
)

// TestVirtualTime: a year of sleeping, a step's backoff and a step's timeout take no time, and exactly the virtual time they say.
func TestVirtualTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	workflowtest.Run(t, func(env *workflowtest.Env) {
		step := workflow.NewStepOut[int]("step", workflow.Attempts(2), workflow.Backoff(time.Hour, time.Hour), workflow.Timeout(time.Minute))
		flow := workflow.NewFlowOut[int]("flow")
		env.Must(env.Registry.Add(
			step.Bind(func(ctx context.Context) (int, error) {
				info, _ := workflow.InfoOf(ctx)
				if info.Attempt == 1 {
					<-ctx.Done()
					return 0, context.Cause(ctx)
				}
				return info.Attempt, nil
			}),
			flow.Bind(func(ctx workflow.Context) (int, error) {
				if err := workflow.Sleep(ctx, 365*24*time.Hour); err != nil {
					return 0, err
				}
				return step.Do(ctx)
			})))
		began := time.Now()
		task, err := flow.Spawn(env.Context(), env.Start())
		env.Must(err)
		attempt, err := task.Result(env.Context())
		env.Must(err)
		// A backoff is jittered by a fifth.
		if took := time.Since(began) - 365*24*time.Hour; attempt != 2 || took < 49*time.Minute || took > 74*time.Minute {
			env.Errorf("attempt %d, a year and %v; want 2, and about an hour and a minute more", attempt, took)
		}
		names := ""
		for _, r := range env.Records(workflow.DefaultQueue, task.ID) {
			names += r.Kind + " " + r.Name + " " + r.Outcome + "\n"
			if slept := r.Time.Sub(began); slept < 365*24*time.Hour {
				env.Errorf("%s: %v after the start, and not behind the sleep", r.Name, slept)
			}
		}
		if want := "sleep $sleep value\nstep step value\n"; names != want {
			env.Errorf("records\n%swant\n%s", names, want)
		}
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v of real time", took)
	}
}

// TestFailureShows: what a workflow fails with comes out of Result, and a fake may be of a workflow as well.
func TestFailureShows(t *testing.T) {
	t.Parallel()
	workflowtest.Run(t, func(env *workflowtest.Env) {
		flow := workflow.NewFlowIn[string]("flow")
		env.Must(env.Registry.Add(flow.Bind(func(workflow.Context, string) error { return nil })))
		workflowtest.Fake(env, flow, func(_ workflow.Context, in string) error { return workflow.Fail("no %s today", in) })
		task, err := flow.Spawn(env.Context(), env.Start(), "bread")
		env.Must(err)
		_, err = task.Result(env.Context())
		if failed, ok := errors.AsType[*workflow.TaskError](err); !ok || !strings.Contains(failed.Message, "no bread today") {
			env.Errorf("error %v, want a failed task that says why", err)
		}
	})
}

// TestTimersWakeANewSession: a worker that begins anew sees to timers before it has claimed anything.
func TestTimersWakeANewSession(t *testing.T) {
	t.Parallel()
	workflowtest.Run(t, func(env *workflowtest.Env) {
		flow := workflow.NewFlowOut[int]("flow")
		env.Must(env.Registry.Add(flow.Bind(func(ctx workflow.Context) (int, error) { return 1, workflow.Sleep(ctx, 300*time.Millisecond) })))
		client := env.Start()
		env.CrashAfter(1)
		began := time.Now()
		task, err := flow.Spawn(env.Context(), client)
		env.Must(err)
		_, err = task.Result(env.Context())
		env.Must(err)
		if took := time.Since(began); took > 30*time.Second {
			env.Errorf("a sleep of 300 ms took %v of virtual time after a crash", took)
		}
	})
}
