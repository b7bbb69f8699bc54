package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

var pack = workflow.NewStep[string, string]("orders.pack").KeyedBy(func(item string) string { return item })

func packInBox(_ context.Context, item string) (string, error) { return "box of " + item, nil }

// A step in a loop has a key, so that its records are found whatever the order of the items is.
func ExampleStep_KeyedBy() {
	pack := workflow.NewStep[string, string]("orders.pack").KeyedBy(func(sku string) string { return sku })
	runOnce(func(ctx workflow.Context) error {
		for _, sku := range []string{"lamp", "chair"} {
			box, err := pack.Do(ctx, sku) // recorded as orders.pack:lamp and orders.pack:chair
			if err != nil {
				return err
			}
			fmt.Println(box)
		}
		return nil
	}, pack.Bind(func(ctx context.Context, sku string) (string, error) {
		info, _ := workflow.InfoOf(ctx)
		return info.Checkpoint, nil
	}))
	// Output:
	// orders.pack:lamp
	// orders.pack:chair
}

// Steps side by side: Go starts one and returns, All waits for what they return.
func ExampleStep_Go() {
	runOnce(func(ctx workflow.Context) error {
		lamp, chair := pack.Go(ctx, "lamps"), pack.Go(ctx, "chairs")
		boxes, err := workflow.All(ctx, lamp, chair)
		fmt.Println(boxes)
		return err
	}, pack.Bind(packInBox))
	// Output: [box of lamps box of chairs]
}

// A one-off that is not worth a declared step.
func ExampleInline() {
	runOnce(func(ctx workflow.Context) error {
		rate, err := workflow.Inline(ctx, "orders.rate", func(context.Context) (float64, error) {
			return 1.08, nil // asked of the bank once: a replay gets what it answered then
		})
		fmt.Println(rate)
		return err
	})
	// Output: 1.08
}

// Whoever is called drops the repeats of a key, and so a step that was cut off in mid-air does nothing twice.
func ExampleIdempotencyKey() {
	charged := map[string]int{} // the payment gateway, which knows keys
	charge := workflow.NewStepIn[int]("orders.charge", workflow.Backoff(time.Millisecond, time.Millisecond))
	runOnce(func(ctx workflow.Context) error { return charge.Do(ctx, 4900) },
		charge.Bind(func(ctx context.Context, cents int) error {
			charged[workflow.IdempotencyKey(ctx)] = cents
			if info, _ := workflow.InfoOf(ctx); info.Attempt == 1 {
				return errors.New("the answer was lost")
			}
			return nil
		}))
	fmt.Println("charges:", len(charged))
	// Output: charges: 1
}

// An error that no other attempt can cure ends the step at once, however many attempts are left.
func ExamplePermanent() {
	errBlocked := errors.New("the card is blocked")
	charge := workflow.NewStepOnly("orders.charge", workflow.Attempts(5))
	runOnce(func(ctx workflow.Context) error {
		if failure, ok := errors.AsType[*workflow.StepError](charge.Do(ctx)); ok {
			fmt.Println(failure.Message, "- attempts:", failure.Attempts)
		}
		return nil
	}, charge.Bind(func(context.Context) error { return workflow.Permanent(errBlocked) }))
	// Output: the card is blocked - attempts: 1
}

// A step that is told when to come again does so, whatever its backoff.
func ExampleRetryAfter() {
	ask := workflow.NewStepOut[string]("bank.ask", workflow.Attempts(3), workflow.Backoff(time.Hour, time.Hour))
	runOnce(func(ctx workflow.Context) error {
		answer, err := ask.Do(ctx)
		fmt.Println(answer)
		return err
	}, ask.Bind(func(ctx context.Context) (string, error) {
		info, _ := workflow.InfoOf(ctx)
		if info.Attempt == 1 {
			return "", workflow.RetryAfter(errors.New("429 Too Many Requests"), 10*time.Millisecond)
		}
		return fmt.Sprintf("answered at attempt %d", info.Attempt), nil
	}))
	// Output: answered at attempt 2
}

// What a workflow sees of a step whose last attempt has failed. It is recorded: a replay sees the same.
func ExampleStepError() {
	charge := workflow.NewStepOnly("orders.charge", workflow.Attempts(3), workflow.Backoff(time.Millisecond, time.Millisecond))
	runOnce(func(ctx workflow.Context) error {
		err := charge.Do(ctx)
		if failure, ok := errors.AsType[*workflow.StepError](err); ok {
			fmt.Printf("%s failed after %d attempts: %s\n", failure.Step, failure.Attempts, failure.Message)
			return nil // it is dealt with; return err to have the task fail
		}
		return err
	}, charge.Bind(func(context.Context) error { return errors.New("the bank does not answer") }))
	// Output: orders.charge failed after 3 attempts: the bank does not answer
}

// A workflow says that its task has failed, and why.
func ExampleFail() {
	runOnce(func(ctx workflow.Context) error {
		return workflow.Fail("order %s was not approved", "o-1")
	})
	// Output: the task failed: order o-1 was not approved
}

// An attempt goes on where the one before has come to.
func ExampleHeartbeat() {
	copyRows := workflow.NewStepOnly("archive.copy", workflow.Backoff(time.Millisecond, time.Millisecond))
	runOnce(func(ctx workflow.Context) error { return copyRows.Do(ctx) },
		copyRows.Bind(func(ctx context.Context) error {
			first, _ := workflow.LastHeartbeat[int](ctx) // 0: this is the first attempt
			for n := first; n < 4; n++ {
				fmt.Println("row", n)
				if err := workflow.Heartbeat(ctx, n+1); err != nil {
					return err // the task was cancelled, or the worker stops
				}
				if first == 0 && n == 1 {
					return errors.New("the connection broke")
				}
			}
			return nil
		}))
	// Output:
	// row 0
	// row 1
	// row 2
	// row 3
}

// A step whose writes commit together with its record: they are there exactly once.
func ExampleStep_BindTx() {
	type transfer struct{ From, To, Cents int }
	move := workflow.NewStep[transfer, int64]("bank.move")
	registry := workflow.NewRegistry()
	err := registry.Add(move.BindTx(func(ctx context.Context, tx pgx.Tx, t transfer) (entry int64, err error) {
		err = tx.QueryRow(ctx, `insert into ledger (debit, credit, cents) values ($1, $2, $3) returning id`, t.From, t.To, t.Cents).Scan(&entry)
		return entry, err // no Commit: the runtime commits, with the record
	}))
	fmt.Println(err)
	// Output: <nil>
}
