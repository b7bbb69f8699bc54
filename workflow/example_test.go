package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// The examples run on a store in memory. In a program the client is workflow.NewClient(pool, workflow.ClientOptions{}), on a
// database on which db.Install was called.

// Order is the payload of many examples.
type Order struct {
	ID    string
	Cents int
	Items []string
}

// A workflow of two steps and a night between them. absurdgen generates such handles from annotated functions; here they are written by hand.
func Example() {
	charge := workflow.NewStep[Order, string]("orders.charge", workflow.Attempts(5), workflow.Backoff(time.Second, time.Minute))
	ship := workflow.NewStepIn[Order]("orders.ship")
	fulfil := workflow.NewFlow[Order, string]("orders.fulfil", workflow.Queue("orders"))

	registry := workflow.NewRegistry()
	check(registry.Add(
		charge.Bind(func(ctx context.Context, o Order) (string, error) {
			return "receipt for " + o.ID, nil // hand workflow.IdempotencyKey(ctx) to the system that takes the money
		}),
		ship.Bind(func(_ context.Context, o Order) error {
			fmt.Println("shipped", o.Items)
			return nil
		}),
		fulfil.Bind(func(ctx workflow.Context, o Order) (string, error) {
			receipt, err := charge.Do(ctx, o) // runs at least once, is recorded once
			if err != nil {
				return "", err
			}
			if err := workflow.Sleep(ctx, 50*time.Millisecond); err != nil { // or a night: it holds no worker
				return "", err
			}
			return receipt, ship.Do(ctx, o)
		}),
	))

	ctx, stop := context.WithCancel(context.Background())
	client := workflow.NewClientOn(memory.New(time.Now), workflow.ClientOptions{})
	defer client.Close()
	check(client.CreateQueue(ctx, "orders")) // nothing happens if it is there
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{})
	check(err)
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()

	task, err := fulfil.Spawn(ctx, client, Order{ID: "o-1", Items: []string{"lamp"}})
	check(err)
	receipt, err := task.Result(ctx)
	fmt.Println(receipt, err)

	stop() // the worker lets its steps end and hands back the rest
	check(<-stopped)
	// Output:
	// shipped [lamp]
	// receipt for o-1 <nil>
}

// check ends the program where an example should go on.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// start runs a worker for what is bound, on the queue "default" of a store in memory. stop ends it.
func start(bindings ...workflow.Binding) (ctx context.Context, client *workflow.Client, stop func()) {
	return startWith(workflow.WorkerOptions{}, workflow.ClientOptions{}, bindings...)
}

func startWith(w workflow.WorkerOptions, c workflow.ClientOptions, bindings ...workflow.Binding) (context.Context, *workflow.Client, func()) {
	client := workflow.NewClientOn(memory.New(time.Now), c)
	check(client.CreateQueue(context.Background(), workflow.DefaultQueue))
	stop := startWorker(client, w, bindings...)
	return context.Background(), client, func() {
		stop()
		client.Close()
	}
}

// startWorker runs a worker for what is bound until stop is called.
func startWorker(client *workflow.Client, o workflow.WorkerOptions, bindings ...workflow.Binding) (stop func()) {
	registry := workflow.NewRegistry()
	check(registry.Add(bindings...))
	worker, err := workflow.NewWorker(client, registry, o)
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()
	return func() {
		cancel()
		check(<-stopped)
	}
}

// runOnce runs a workflow that has neither input nor output, together with what it uses.
func runOnce(body func(workflow.Context) error, used ...workflow.Binding) {
	flow := workflow.NewFlowOnly("example")
	ctx, client, stop := start(append(used, flow.Bind(body))...)
	defer stop()
	task, err := flow.Spawn(ctx, client)
	if err == nil {
		_, err = task.Result(ctx)
	}
	if failed, ok := errors.AsType[*workflow.TaskError](err); ok {
		fmt.Println("the task failed:", failed.Message)
	} else if err != nil {
		fmt.Println(err)
	}
}
