package workflow_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// Approval is what a clerk answers.
type Approval struct {
	OrderID string
	OK      bool
}

// A wait for something that comes from outside: an event is known to a whole queue by its name and a key.
func ExampleEvent_Await() {
	approval := workflow.NewEvent("orders.approved", func(a Approval) string { return a.OrderID })
	fulfil := workflow.NewFlow[Order, string]("orders.fulfil")
	ctx, client, stop := start(fulfil.Bind(func(ctx workflow.Context, o Order) (string, error) {
		a, err := approval.Await(ctx, o.ID, 72*time.Hour) // holds no worker
		switch {
		case errors.Is(err, workflow.ErrTimeout):
			return "", workflow.Fail("nobody has looked at order %s", o.ID)
		case err != nil:
			return "", err
		case !a.OK:
			return "", workflow.Fail("order %s was not approved", o.ID)
		}
		return "approved", nil
	}))
	defer stop()

	task, err := fulfil.Spawn(ctx, client, Order{ID: "o-1", Cents: 200_000})
	check(err)
	check(approval.Emit(ctx, client, Approval{OrderID: "o-1", OK: true})) // before or after the Await: all the same
	fmt.Println(task.Result(ctx))
	// Output: approved <nil>
}

// A reminder if nothing has come, as often as it takes. The timeout is recorded: what comes later is for the next Await.
func ExampleErrTimeout() {
	approval := workflow.NewEvent("orders.approved", func(a Approval) string { return a.OrderID })
	runOnce(func(ctx workflow.Context) error {
		for n := range 2 {
			_, err := approval.Await(ctx, "o-1", 10*time.Millisecond)
			if !errors.Is(err, workflow.ErrTimeout) {
				return err
			}
			fmt.Println("reminder", n+1) // in a real workflow, a step
		}
		return workflow.Fail("nobody has answered")
	})
	// Output:
	// reminder 1
	// reminder 2
	// the task failed: nobody has answered
}

// A cart collects items until it is told to check out. Messages are for one task, in order, and each is received once.
func ExampleInbox_Receive() {
	items := workflow.NewInbox[string]("cart.items")
	cart := workflow.NewFlowOut[[]string]("cart")
	ctx, client, stop := start(cart.Bind(func(ctx workflow.Context) (bought []string, err error) {
		for {
			item, err := items.Receive(ctx, 24*time.Hour) // holds no worker
			if err != nil || item == "check out" {
				return bought, err
			}
			bought = append(bought, item)
		}
	}))
	defer stop()
	task, err := cart.Spawn(ctx, client)
	check(err)
	for _, item := range []string{"apple", "pear", "check out"} {
		check(items.Send(ctx, client, task.ID, item))
	}
	fmt.Println(task.Result(ctx))
	// Output: [apple pear] <nil>
}

// A message with a key can be sent again without being received twice. One to a task that has ended is refused.
func ExampleInbox_Send() {
	items := workflow.NewInbox[string]("cart.items")
	cart := workflow.NewFlowOut[[]string]("cart")
	ctx, client, stop := start(cart.Bind(func(ctx workflow.Context) ([]string, error) {
		first, err := items.Receive(ctx, 0)
		if err != nil {
			return nil, err
		}
		second, err := items.Receive(ctx, 0)
		return []string{first, second}, err
	}))
	defer stop()
	task, err := cart.Spawn(ctx, client)
	check(err)
	for range 3 { // as a web request that is repeated
		check(items.Send(ctx, client, task.ID, "apple", workflow.MessageKey("request-1")))
	}
	check(items.Send(ctx, client, task.ID, "pear", workflow.MessageKey("request-2")))
	fmt.Println(task.Result(ctx))
	err = items.Send(ctx, client, task.ID, "plum")
	fmt.Println(errors.Is(err, workflow.ErrTaskEnded))
	// Output:
	// [apple pear] <nil>
	// true
}

// A workflow that runs for ever begins anew once in a while, which keeps its history short.
func ExampleFlow_Continue() {
	count := workflow.NewFlow[int, string]("billing.months")
	ctx, client, stop := start(count.Bind(func(ctx workflow.Context, month int) (string, error) {
		if month == 13 {
			return "a year is over", nil
		}
		return "", count.Continue(month + 1) // the same task, with another input and no records
	}))
	defer stop()
	task, err := count.Spawn(ctx, client, 1)
	check(err)
	fmt.Println(task.Result(ctx)) // waits through all of it
	// Output: a year is over <nil>
}
