package workflow_test

import (
	"errors"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow"
)

var parcel = workflow.NewFlow[string, string]("shipping.parcel")

func sendParcel(_ workflow.Context, item string) (string, error) {
	if item == "piano" {
		return "", workflow.Fail("a %s is too heavy", item)
	}
	return item + " sent", nil
}

// A child is a workflow that is called like a step: a task of its own, which may run elsewhere and for months.
func ExampleFlow_Do() {
	runOnce(func(ctx workflow.Context) error {
		sent, err := parcel.Do(ctx, "lamp") // waiting for it holds no worker
		fmt.Println(sent)
		return err
	}, parcel.Bind(sendParcel))
	// Output: lamp sent
}

// Children side by side. The parent goes on, and waits for them when it needs what they return.
func ExampleFlow_Go() {
	runOnce(func(ctx workflow.Context) error {
		lamp, chair := parcel.Go(ctx, "lamp"), parcel.Go(ctx, "chair")
		sent, err := workflow.All(ctx, lamp, chair)
		fmt.Println(sent)
		return err
	}, parcel.Bind(sendParcel))
	// Output: [lamp sent chair sent]
}

// A child for each item: Map takes a workflow as it takes a step.
func ExampleMap_children() {
	runOnce(func(ctx workflow.Context) error {
		sent, err := workflow.Map(ctx, []string{"lamp", "chair", "book"}, parcel, workflow.Concurrency(100))
		fmt.Println(sent)
		return err
	}, parcel.Bind(sendParcel))
	// Output: [lamp sent chair sent book sent]
}

// A child that should wait for more important work, and be found by its tag.
func ExampleFlow_With() {
	later := parcel.With(workflow.WithPriority(50), workflow.WithTags(map[string]string{"carrier": "post"}))
	runOnce(func(ctx workflow.Context) error {
		sent, err := later.Do(ctx, "lamp")
		fmt.Println(sent)
		return err
	}, parcel.Bind(sendParcel))
	// Output: lamp sent
}

// A child that nobody waits for: it goes on when its parent has ended, and when that is cancelled.
func ExampleAbandon() {
	thanked := make(chan string, 1)
	thank, order := workflow.NewFlowIn[string]("customers.thank"), workflow.NewFlowOnly("orders.fulfil")
	ctx, client, stop := start(
		order.Bind(func(ctx workflow.Context) error {
			thank.With(workflow.Abandon()).Go(ctx, "ann") // it is there when the parent's end is
			return nil
		}),
		thank.Bind(func(_ workflow.Context, name string) error {
			thanked <- "thank you, " + name
			return nil
		}))
	defer stop()
	task, err := order.Spawn(ctx, client)
	check(err)
	_, err = task.Result(ctx)
	check(err)
	fmt.Println(<-thanked)
	// Output: thank you, ann
}

// What a parent sees of a child that has failed.
func ExampleChildError() {
	runOnce(func(ctx workflow.Context) error {
		_, err := parcel.Do(ctx, "piano")
		if failed, ok := errors.AsType[*workflow.ChildError](err); ok {
			fmt.Printf("%s: %s (cancelled: %v)\n", failed.Workflow, failed.Message, failed.Cancelled)
			return nil
		}
		return err
	}, parcel.Bind(sendParcel))
	// Output: shipping.parcel: a piano is too heavy (cancelled: false)
}
