package workflow_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/workflow"
)

var fulfil = workflow.NewFlow[Order, string]("orders.fulfil")

func fulfilAtOnce(_ workflow.Context, o Order) (string, error) { return "fulfilled " + o.ID, nil }

// A request that is repeated makes one task. The same key with another input is a mistake, and is refused.
func ExampleWithIdempotencyKey() {
	ctx, client, stop := start(fulfil.Bind(fulfilAtOnce))
	defer stop()
	order := Order{ID: "o-1", Cents: 4900}
	first, err := fulfil.Spawn(ctx, client, order, workflow.WithIdempotencyKey(order.ID))
	check(err)
	again, err := fulfil.Spawn(ctx, client, order, workflow.WithIdempotencyKey(order.ID))
	check(err)
	fmt.Println(first.Created, again.Created, first.ID == again.ID)

	order.Cents = 5900
	_, err = fulfil.Spawn(ctx, client, order, workflow.WithIdempotencyKey(order.ID))
	fmt.Println(errors.Is(err, workflow.ErrKeyReused))
	// Output:
	// true false true
	// true
}

// At most one task of a customer is open at a time. When it has ended, the key is free again.
func ExampleWithUnique() {
	open := make(chan struct{})
	report := workflow.NewFlowIn[string]("reports.yearly")
	work := workflow.NewStepOnly("reports.work")
	ctx, client, stop := start(
		work.Bind(func(context.Context) error { <-open; return nil }),
		report.Bind(func(ctx workflow.Context, _ string) error { return work.Do(ctx) }))
	defer stop()
	first, err := report.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Join))
	check(err)
	joined, err := report.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Join))
	check(err)
	_, err = report.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Refuse))
	fmt.Println(joined.ID == first.ID, errors.Is(err, workflow.ErrNotUnique))

	close(open)
	_, err = first.Result(ctx)
	check(err)
	next, err := report.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Refuse))
	fmt.Println(next.Created, err)
	// Output:
	// true true
	// true <nil>
}

// Whoever adds the first item makes the cart; start and message are one.
func ExampleWithMessage() {
	items := workflow.NewInbox[string]("cart.items")
	cart := workflow.NewFlow[string, string]("cart")
	ctx, client, stop := start(cart.Bind(func(ctx workflow.Context, customer string) (string, error) {
		first, err := items.Receive(ctx, 0)
		if err != nil {
			return "", err
		}
		second, err := items.Receive(ctx, 0)
		return fmt.Sprintf("%s takes %s and %s", customer, first, second), err
	}))
	defer stop()
	var task workflow.Task[string]
	for _, item := range []string{"apple", "pear"} {
		var err error
		task, err = cart.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Join), workflow.WithMessage(items, item))
		check(err)
	}
	fmt.Println(task.Result(ctx))
	// Output: ann takes apple and pear <nil>
}

// Many tasks in one statement, all of them or none.
func ExampleFlow_SpawnMany() {
	ctx, client, stop := start(fulfil.Bind(fulfilAtOnce))
	defer stop()
	tasks, err := fulfil.SpawnMany(ctx, client, []Order{{ID: "o-1"}, {ID: "o-2"}}, workflow.WithPriority(10))
	check(err)
	for _, task := range tasks {
		fmt.Println(task.Result(ctx))
	}
	// Output:
	// fulfilled o-1 <nil>
	// fulfilled o-2 <nil>
}

// Another process waits for a task whose id was stored or sent on.
func ExampleFlow_Attach() {
	ctx, client, stop := start(fulfil.Bind(fulfilAtOnce))
	defer stop()
	spawned, err := fulfil.Spawn(ctx, client, Order{ID: "o-1"})
	check(err)
	stored := spawned.ID.String()

	id, err := workflow.ParseTaskID(stored)
	check(err)
	task, err := fulfil.Attach(ctx, client, id)
	check(err)
	fmt.Println(task.Result(ctx))

	_, err = fulfil.Attach(ctx, client, workflow.TaskID{})
	fmt.Println(errors.Is(err, workflow.ErrNotFound))
	// Output:
	// fulfilled o-1 <nil>
	// true
}

// A result, a failure and a cancel are told apart by their errors.
func ExampleTask_Result() {
	broken := workflow.NewFlowOnly("broken")
	ctx, client, stop := start(broken.Bind(func(workflow.Context) error { return errors.New("out of paper") }))
	defer stop()
	task, err := broken.Spawn(ctx, client)
	check(err)
	within, cancel := context.WithTimeout(ctx, time.Minute) // how long to wait for it; the task goes on
	defer cancel()
	_, err = task.Result(within)
	failed, isFailed := errors.AsType[*workflow.TaskError](err)
	switch {
	case isFailed:
		fmt.Println("failed:", failed.Message)
	case errors.Is(err, workflow.ErrCancelled):
		fmt.Println("cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("not yet")
	}
	// Output: failed: out of paper
}

// The task is there exactly when the order is: both commit, or neither.
func ExampleTx() {
	place := func(ctx context.Context, pool *pgxpool.Pool, client *workflow.Client, o Order) (string, error) {
		var task workflow.Task[string]
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, `insert into orders (id, cents) values ($1, $2)`, o.ID, o.Cents); err != nil {
				return err
			}
			task, err = fulfil.Spawn(ctx, client.Tx(tx), o) // or workflow.Tx(tx), where there is no client
			return err
		})
		if err != nil {
			return "", err
		}
		return task.Result(ctx) // after the commit: no worker sees the task before
	}
	_ = place
}

// The same with package database/sql and any PostgreSQL driver.
func ExampleSQLTx() {
	place := func(ctx context.Context, pool *sql.DB, o Order) (workflow.TaskID, error) {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return workflow.TaskID{}, err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, `insert into orders (id, cents) values ($1, $2)`, o.ID, o.Cents); err != nil {
			return workflow.TaskID{}, err
		}
		task, err := fulfil.Spawn(ctx, workflow.SQLTx(tx), o)
		if err != nil {
			return workflow.TaskID{}, err
		}
		return task.ID, tx.Commit() // Flow.Attach turns the id into a task whose result can be waited for
	}
	_ = place
}
