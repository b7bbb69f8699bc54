package workflow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// A step for every item, two at a time. The results are in the order of the items.
func ExampleMap() {
	runOnce(func(ctx workflow.Context) error {
		boxes, err := workflow.Map(ctx, []string{"lamps", "chairs", "books"}, pack, workflow.Concurrency(2))
		fmt.Println(boxes)
		return err
	}, pack.Bind(packInBox))
	// Output: [box of lamps box of chairs box of books]
}

// Several steps for every item: Func makes a function of the workflow into what Map takes.
func ExampleFunc() {
	label := workflow.NewStep[string, string]("orders.label").KeyedBy(func(box string) string { return box })
	runOnce(func(ctx workflow.Context) error {
		packed := workflow.Func[string, string](func(ctx workflow.Context, item string) (string, error) {
			box, err := pack.Do(ctx, item)
			if err != nil {
				return "", err
			}
			return label.Do(ctx, box)
		})
		boxes, err := workflow.Map(ctx, []string{"lamps", "chairs"}, packed)
		fmt.Println(boxes)
		return err
	}, pack.Bind(packInBox), label.Bind(func(_ context.Context, box string) (string, error) { return "labelled " + box, nil }))
	// Output: [labelled box of lamps labelled box of chairs]
}

// A branch of several steps, beside the workflow's own. It works with the Context that it is given, and returns what it has found.
func ExampleGo() {
	invoice := workflow.NewStep[string, string]("orders.invoice")
	runOnce(func(ctx workflow.Context) error {
		beside := workflow.Go(ctx, func(ctx workflow.Context) (string, error) {
			if err := workflow.Sleep(ctx, time.Millisecond); err != nil {
				return "", err
			}
			return invoice.Do(ctx, "o-1")
		})
		box, err := pack.Do(ctx, "lamps")
		if err != nil {
			return err
		}
		paper, err := beside.Await(ctx)
		fmt.Println(box, "with", paper)
		return err
	}, pack.Bind(packInBox), invoice.Bind(func(_ context.Context, order string) (string, error) { return "invoice " + order, nil }))
	// Output: box of lamps with invoice o-1
}

// All waits for what was started, and keeps its order.
func ExampleAll() {
	price := workflow.NewStep[string, int]("shops.price").KeyedBy(func(shop string) string { return shop })
	runOnce(func(ctx workflow.Context) error {
		prices, err := workflow.All(ctx, price.Go(ctx, "corner shop"), price.Go(ctx, "market"))
		fmt.Println(prices)
		return err
	}, price.Bind(func(_ context.Context, shop string) (int, error) { return len(shop), nil }))
	// Output: [11 6]
}

// A race of a step with a clock. The context of the loser's step is cancelled.
func ExampleRace() {
	ask := workflow.NewStepOnly("bank.ask")
	runOnce(func(ctx workflow.Context) error {
		winner, answer, err := workflow.Race(ctx,
			func(ctx workflow.Context) (string, error) { return "answered", ask.Do(ctx) },
			func(ctx workflow.Context) (string, error) { return "too late", workflow.Sleep(ctx, time.Millisecond) },
		)
		fmt.Println(winner, answer)
		return err
	}, ask.Bind(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	// Output: 1 too late
}
