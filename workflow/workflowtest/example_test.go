package workflowtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/workflowtest"
)

// The application: absurdgen generates such handles, and Register.

type Answer struct{ Question, Text string }

var (
	Ask      = workflow.NewStepIn[string]("support.ask", workflow.Backoff(time.Minute, time.Hour))
	Answered = workflow.NewEvent("support.answer", func(a Answer) string { return a.Question })
	Support  = workflow.NewFlow[string, string]("support.support")
)

func support(ctx workflow.Context, question string) (string, error) {
	for range 3 {
		if err := Ask.Do(ctx, question); err != nil {
			return "", err
		}
		a, err := Answered.Await(ctx, question, 24*time.Hour)
		if errors.Is(err, workflow.ErrTimeout) {
			continue
		}
		return a.Text, err
	}
	return "", workflow.Fail("nobody answers")
}

func Register(r *workflow.Registry) error {
	return r.Add(
		Ask.Bind(func(context.Context, string) error { return errors.New("this would send mail") }),
		Support.Bind(support),
	)
}

// Example of a test: a fake in the place of one step, an event at a certain time, and a crash in the midst of it.
func TestSupport(t *testing.T) {
	workflowtest.Run(t, func(env *workflowtest.Env) {
		env.Must(Register(env.Registry))
		asked := 0
		workflowtest.Fake(env, Ask, func(context.Context, string) error {
			asked++
			return nil
		})
		client := env.Start()
		env.CrashAfter(2)

		task, err := Support.Spawn(env.Context(), client, "why")
		env.Must(err)
		time.Sleep(30 * time.Hour) // the first wait has timed out by then
		env.Must(Answered.Emit(env.Context(), client, Answer{"why", "because"}))

		answer, err := task.Result(env.Context())
		env.Must(err)
		if answer != "because" || asked != 2 || env.Crashes() != 1 {
			env.Errorf("answer %q, asked %d times, %d crashes", answer, asked, env.Crashes())
		}
	})
}
