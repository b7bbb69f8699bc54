package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// Operators find what has failed, see why, and have it tried again when the cause is gone.
func ExampleClient_Tasks() {
	declined := true
	charge := workflow.NewStep[Order, string]("orders.charge", workflow.Attempts(1))
	fulfil := workflow.NewFlow[Order, string]("orders.fulfil", workflow.Queue("orders"))
	registry := workflow.NewRegistry()
	check(registry.Add(
		charge.Bind(func(_ context.Context, o Order) (string, error) {
			if declined {
				return "", errors.New("the gateway is down")
			}
			return "receipt for " + o.ID, nil
		}),
		fulfil.Bind(func(ctx workflow.Context, o Order) (string, error) { return charge.Do(ctx, o) }),
	))
	ctx, stop := context.WithCancel(context.Background())
	client := workflow.NewClientOn(memory.New(time.Now), workflow.ClientOptions{})
	defer client.Close()
	check(client.CreateQueue(ctx, "orders"))
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{})
	check(err)
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()

	task, err := fulfil.Spawn(ctx, client, Order{ID: "o-1"}, workflow.WithTags(map[string]string{"region": "eu"}))
	check(err)
	_, err = task.Result(ctx)
	fmt.Println(err != nil)

	declined = false
	failed := workflow.TaskFilter{Queue: "orders", States: []workflow.TaskState{workflow.TaskFailed}, Tags: map[string]string{"region": "eu"}}
	for summary, err := range client.Tasks(ctx, failed) {
		check(err)
		fmt.Println(summary.Workflow, summary.Failure.Message)
		again, err := fulfil.Attach(ctx, client, summary.ID)
		check(err)
		check(again.Retry(ctx))
		fmt.Println(again.Result(ctx))
	}

	stop()
	check(<-stopped)
	// Output:
	// true
	// orders.fulfil step orders.charge: the gateway is down
	// receipt for o-1 <nil>
}

// What a task waits for, and what it has done so far.
func ExampleClient_Waits() {
	inspect := func(ctx context.Context, client *workflow.Client, task workflow.TaskID) {
		for wait, err := range client.Waits(ctx, workflow.WaitFilter{Queue: "orders", Task: task}) {
			check(err)
			fmt.Println("waits for", wait.Kind, wait.For, "until", wait.Timeout)
		}
		for record, err := range client.Checkpoints(ctx, "orders", task) {
			check(err)
			fmt.Println(record.Recorded, record.Kind, record.Name, record.Outcome)
		}
	}
	_ = inspect // on a client of a database
}
