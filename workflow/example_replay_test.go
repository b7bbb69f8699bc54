package workflow_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// Time in a workflow is that of what it has seen last, and the same on every replay.
func ExampleNow() {
	runOnce(func(ctx workflow.Context) error {
		// deadline := time.Now().Add(time.Hour)   // wrong: another one on every replay
		began := workflow.Now(ctx)
		if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		fmt.Println(workflow.Now(ctx).Sub(began) >= 20*time.Millisecond)
		return nil
	})
	// Output: true
}

// A lottery that every replay decides in the same way. A source from math/rand would not.
func ExampleRand() {
	runOnce(func(ctx workflow.Context) error {
		winner := []string{"ann", "bea", "cem"}[workflow.Rand(ctx).IntN(3)]
		fmt.Println(len(winner))
		return nil
	})
	// Output: 3
}

// An id that is made by the workflow, before anything is called with it, and the same on every replay.
func ExampleNewID() {
	create := workflow.NewStepIn[string]("accounts.create")
	runOnce(func(ctx workflow.Context) error {
		id := workflow.NewID(ctx)
		fmt.Println(len(id))
		return create.Do(ctx, id)
	}, create.Bind(func(context.Context, string) error { return nil }))
	// Output: 36
}

// A change of a workflow that has running tasks: those which were past this place keep to the old side, all others take the new one.
func ExampleChanged() {
	fraudCheck := workflow.NewStepOnly("orders.fraud-check")
	charge := workflow.NewStepOnly("orders.charge")
	runOnce(func(ctx workflow.Context) error {
		if workflow.Changed(ctx, "fraud-check") {
			if err := fraudCheck.Do(ctx); err != nil {
				return err
			}
		}
		return charge.Do(ctx)
	}, fraudCheck.Bind(func(context.Context) error { fmt.Println("checked"); return nil }),
		charge.Bind(func(context.Context) error { fmt.Println("charged"); return nil }))
	// Output:
	// checked
	// charged
}

// Lines are logged where the workflow is new, and not again by a replay.
func ExampleLog() {
	var lines strings.Builder
	nap := workflow.NewFlowOnly("nap")
	ctx, client, stop := startWith(
		workflow.WorkerOptions{Logger: slog.New(slog.NewTextHandler(&lines, nil)), Parked: -1}, // -1: replay each time
		workflow.ClientOptions{},
		nap.Bind(func(ctx workflow.Context) error {
			workflow.Log(ctx).Info("good night") // with the task's id
			if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
			workflow.Log(ctx).Info("good morning")
			return nil
		}))
	task, err := nap.Spawn(ctx, client)
	check(err)
	_, err = task.Result(ctx)
	check(err)
	stop()
	fmt.Println(strings.Count(lines.String(), "good night"), strings.Count(lines.String(), "good morning"))
	// Output: 1 1
}
