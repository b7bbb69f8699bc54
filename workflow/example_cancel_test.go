package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// A task that is asked to end undoes what it has done. Its next durable call returns ErrCancelled; calls with the context of Cleanup
// are made all the same.
func ExampleCleanup() {
	reserve, release := workflow.NewStep[string, string]("hotel.reserve"), workflow.NewStepIn[string]("hotel.release")
	trip := workflow.NewFlowIn[string]("trips.book")
	reserved := make(chan struct{}, 1)
	ctx, client, stop := start(
		reserve.Bind(func(_ context.Context, city string) (string, error) {
			reserved <- struct{}{}
			return "room in " + city, nil
		}),
		release.Bind(func(_ context.Context, room string) error {
			fmt.Println("released:", room)
			return nil
		}),
		trip.Bind(func(ctx workflow.Context, city string) error {
			room, err := reserve.Do(ctx, city)
			if err != nil {
				return err
			}
			if err := workflow.Sleep(ctx, 30*24*time.Hour); err != nil { // the guest may change their mind
				_ = release.Do(workflow.Cleanup(ctx), room) // what it fails with is recorded; the task ends with err
				return err
			}
			return nil
		}))
	defer stop()

	task, err := trip.Spawn(ctx, client, "Trieste")
	check(err)
	<-reserved
	check(task.Cancel(ctx, workflow.CleanupTime(5*time.Minute)))
	_, err = task.Result(ctx)
	fmt.Println(errors.Is(err, workflow.ErrCancelled))
	// Output:
	// released: room in Trieste
	// true
}

// Terminate asks nobody: the task is cancelled when it returns, and its clean-up does not run.
func ExampleTask_Terminate() {
	forever := workflow.NewFlowOnly("watch")
	ctx, client, stop := start(forever.Bind(func(ctx workflow.Context) error {
		err := workflow.Sleep(ctx, 1000*time.Hour)
		fmt.Println("this is not reached")
		return err
	}))
	defer stop()
	task, err := forever.Spawn(ctx, client)
	check(err)
	check(task.Terminate(ctx))
	fmt.Println(task.State(ctx))
	// Output: cancelled <nil>
}
