package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// runOnce runs a workflow that has neither input nor output, together with its steps, on a store in memory. With PostgreSQL the client
// is workflow.NewClient(pool, workflow.ClientOptions{}).
func runOnce(body func(workflow.Context) error, steps ...workflow.Binding) {
	flow := workflow.NewFlowOnly("example")
	registry := workflow.NewRegistry()
	client := workflow.NewClientOn(memory.New(time.Now), workflow.ClientOptions{})
	defer client.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := errors.Join(registry.Add(append(steps, flow.Bind(body))...), client.CreateQueue(ctx, workflow.DefaultQueue)); err != nil {
		fmt.Println(err)
		return
	}
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	task, err := flow.Spawn(ctx, client)
	if err == nil {
		_, err = task.Result(ctx)
	}
	stop()
	if err := errors.Join(err, <-done); err != nil {
		fmt.Println(err)
	}
}

var square = workflow.NewStep[int, int]("square").KeyedBy(func(n int) string { return fmt.Sprint(n) })

func squareOf(_ context.Context, n int) (int, error) { return n * n, nil }

// Steps side by side: Go starts one and returns, the future waits for it.
func ExampleStep_Go() {
	runOnce(func(ctx workflow.Context) error {
		three, four := square.Go(ctx, 3), square.Go(ctx, 4)
		squares, err := workflow.All(ctx, three, four)
		fmt.Println(squares)
		return err
	}, square.Bind(squareOf))
	// Output: [9 16]
}

// A step for every item, a few at a time. The results are in the order of the items.
func ExampleMap() {
	runOnce(func(ctx workflow.Context) error {
		squares, err := workflow.Map(ctx, []int{1, 2, 3, 4, 5}, square, workflow.Concurrency(2))
		fmt.Println(squares)
		return err
	}, square.Bind(squareOf))
	// Output: [1 4 9 16 25]
}

// A branch of several steps, beside the workflow's own.
func ExampleGo() {
	runOnce(func(ctx workflow.Context) error {
		beside := workflow.Go(ctx, func(ctx workflow.Context) (int, error) {
			n, err := square.Do(ctx, 3)
			if err != nil {
				return 0, err
			}
			return square.Do(ctx, n)
		})
		two, err := square.Do(ctx, 2)
		if err != nil {
			return err
		}
		many, err := beside.Await(ctx)
		fmt.Println(two, many)
		return err
	}, square.Bind(squareOf))
	// Output: 4 81
}

// A race of a step with a clock. The loser's step has its context cancelled.
func ExampleRace() {
	slow := workflow.NewStepOnly("slow")
	runOnce(func(ctx workflow.Context) error {
		winner, answer, err := workflow.Race(ctx,
			func(ctx workflow.Context) (string, error) { return "answered", slow.Do(ctx) },
			func(ctx workflow.Context) (string, error) { return "too late", workflow.Sleep(ctx, time.Millisecond) },
		)
		fmt.Println(winner, answer)
		return err
	}, slow.Bind(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	// Output: 1 too late
}

// A one-off that is not worth a declared step.
func ExampleInline() {
	runOnce(func(ctx workflow.Context) error {
		greeting, err := workflow.Inline(ctx, "greet", func(context.Context) (string, error) { return "hello", nil })
		fmt.Println(greeting)
		return err
	})
	// Output: hello
}

// A step that is told when to come again does so, whatever its backoff.
func ExampleRetryAfter() {
	ask := workflow.NewStepOut[string]("ask", workflow.Attempts(3), workflow.Backoff(time.Hour, time.Hour))
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

// What a workflow sees of a step that has failed for good.
func ExampleStepError() {
	pay := workflow.NewStepOnly("pay")
	runOnce(func(ctx workflow.Context) error {
		err := pay.Do(ctx)
		if failure, ok := errors.AsType[*workflow.StepError](err); ok {
			fmt.Printf("%s failed after %d attempt, for good: %v: %s\n", failure.Step, failure.Attempts, failure.Permanent, failure.Message)
		}
		return nil
	}, pay.Bind(func(context.Context) error { return workflow.Fail("the card is blocked") }))
	// Output: pay failed after 1 attempt, for good: true: the card is blocked
}

// An attempt goes on where the one before has come to.
func ExampleHeartbeat() {
	copyRows := workflow.NewStepOnly("copy", workflow.Backoff(time.Millisecond, time.Millisecond))
	runOnce(func(ctx workflow.Context) error { return copyRows.Do(ctx) },
		copyRows.Bind(func(ctx context.Context) error {
			first, _ := workflow.LastHeartbeat[int](ctx)
			for n := first; n < 4; n++ {
				fmt.Println("row", n)
				if err := workflow.Heartbeat(ctx, n+1); err != nil {
					return err
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
		return entry, err
	}))
	fmt.Println(err)
	// Output: <nil>
}
