package workflow_test

import (
	"context"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/workflowtest"
)

// TestRaceWithASleep: what was there before a sleep is over wins a race with it, however short the sleep is, however late that is looked
// at, and whatever else the task does meanwhile.
func TestRaceWithASleep(t *testing.T) {
	t.Parallel()
	event := workflow.NewEvent("event", func(key string) string { return key })
	inbox := workflow.NewInbox[string]("inbox")
	awaits := func(ctx workflow.Context) (string, error) { return event.Await(ctx, "key", 0) }
	receives := func(ctx workflow.Context) (string, error) { return inbox.Receive(ctx, 0) }
	for _, tt := range []struct {
		name         string
		sleep, comes time.Duration
		message      bool // what comes is one, and not an event
		beside       bool // a step runs
		want         int
	}{
		{"an event that is there", 100 * time.Millisecond, 0, false, false, 1},
		{"a message that is there", 100 * time.Millisecond, 0, true, false, 1},
		{"an event in time", 100 * time.Millisecond, 60 * time.Millisecond, false, false, 1},
		{"an event that is too late", 100 * time.Millisecond, 200 * time.Millisecond, false, false, 0},
		{"an event that is there, beside a step", 100 * time.Millisecond, 0, false, true, 1},
		{"an event in time, beside a step", 1100 * time.Millisecond, 1090 * time.Millisecond, false, true, 1},
		{"an event that is too late, beside a step", 1100 * time.Millisecond, 1110 * time.Millisecond, false, true, 0},
		{"an event in time for a long sleep", time.Hour, 59 * time.Minute, false, false, 1},
		{"a message in time for a long sleep", time.Hour, 59 * time.Minute, true, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Run(t, func(env *workflowtest.Env) {
				slow := workflow.NewStepOnly("slow")
				flow := workflow.NewFlowOut[int]("flow")
				env.Must(env.Registry.Add(
					slow.Bind(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }),
					flow.Bind(func(ctx workflow.Context) (int, error) {
						branches := []func(workflow.Context) (string, error){
							func(ctx workflow.Context) (string, error) { return "", workflow.Sleep(ctx, tt.sleep) }, awaits,
						}
						if tt.message {
							branches[1] = receives
						}
						if tt.beside {
							branches = append(branches, func(ctx workflow.Context) (string, error) { return "", slow.Do(ctx) })
						}
						winner, _, err := workflow.Race(ctx, branches...)
						return winner, err
					})))
				client := env.Start()
				later := time.Second // than the emit, which finds nobody who waits
				start := time.Now().Add(later)
				task, err := flow.Spawn(env.Context(), client, workflow.WithStartAt(start))
				env.Must(err)
				if tt.comes > 0 {
					time.Sleep(time.Until(start.Add(tt.comes)))
				}
				if tt.message {
					env.Must(inbox.Send(env.Context(), client, task.ID, "message"))
				} else {
					env.Must(event.Emit(env.Context(), client, "key"))
				}
				winner, err := task.Result(env.Context())
				if err != nil || winner != tt.want {
					env.Errorf("branch %d has won (%v), want %d", winner, err, tt.want)
				}
			})
		})
	}
}
