package programs_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// TestPassesLeaveNoGoroutine counts the goroutines of the process, beside a worker that goes on working, before and after passes of
// every kind of end. It does not run in parallel; parallel tests start after it.
func TestPassesLeaveNoGoroutine(t *testing.T) {
	client := workflow.NewClientOn(memory.New(time.Now), workflow.ClientOptions{})
	defer client.Close()
	if err := client.CreateQueue(t.Context(), workflow.DefaultQueue); err != nil {
		t.Fatal(err)
	}
	event := workflow.NewEvent("event", func(key string) string { return key })
	flow := workflow.NewFlow[string, string]("flow", workflow.Attempts(2), workflow.Backoff(time.Millisecond, time.Millisecond))
	step := workflow.NewStep[string, string]("step", workflow.Attempts(2), workflow.Backoff(time.Millisecond, time.Millisecond))
	registry := workflow.NewRegistry()
	suspended := make(chan struct{}, 1000)
	err := registry.Add(
		step.Bind(func(ctx context.Context, how string) (string, error) {
			switch how {
			case "fail":
				return "", errors.New("it fails")
			case "lose":
				<-ctx.Done()
			}
			return how, nil
		}),
		flow.Bind(func(ctx workflow.Context, how string) (string, error) {
			branch := func(f func(ctx workflow.Context) (string, error)) { workflow.Go(ctx, f) }
			for range 3 { // parked when the pass suspends, and replayed when it goes on
				branch(func(ctx workflow.Context) (string, error) { return how, workflow.Sleep(ctx, 300*time.Millisecond) })
			}
			switch how {
			case "wait":
				branch(func(ctx workflow.Context) (string, error) { return how, workflow.Sleep(ctx, time.Hour) })
				return event.Await(ctx, "never", 0)
			case "panic":
				panic("it panics")
			case "lose":
				_, out, err := workflow.Race(ctx,
					func(ctx workflow.Context) (string, error) { return step.Do(ctx, how) },
					func(ctx workflow.Context) (string, error) { return event.Await(ctx, "never", 0) },
					func(ctx workflow.Context) (string, error) { return how, workflow.Sleep(ctx, time.Millisecond) })
				return out, err
			}
			return step.Do(ctx, how)
		}))
	if err != nil {
		t.Fatal(err)
	}
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{Parked: -1, Hooks: workflow.Hooks{
		PassEnded: func(p workflow.PassInfo) {
			if p.End == workflow.PassSuspended {
				suspended <- struct{}{}
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	run := func(times int) {
		t.Helper()
		for range times {
			var tasks []workflow.Task[string]
			for _, how := range []string{"fine", "fail", "panic", "lose", "wait"} {
				task, err := flow.Spawn(t.Context(), client, how)
				if err != nil {
					t.Fatal(err)
				}
				tasks = append(tasks, task)
			}
			for _, task := range tasks[:4] {
				if _, err := task.Result(t.Context()); err != nil {
					if _, failed := errors.AsType[*workflow.TaskError](err); !failed {
						t.Fatal(err)
					}
				}
			}
			<-suspended // the last one too, or one of the others before
		}
	}
	run(1) // what is started once
	before := runtime.NumGoroutine()
	run(8)
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
