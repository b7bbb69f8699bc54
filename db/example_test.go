package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
)

// A program that may change the schema brings it up to date at its start.
func ExampleInstall() {
	ctx, pool, stop := emptyDatabase()
	defer stop()
	if err := db.Install(ctx, pool); err != nil {
		log.Fatal(err)
	}
	err := db.Install(ctx, pool) // by every process, at every start: nothing happens if it is there
	fmt.Println(err)
	// Output: <nil>
}

// A program that must not change the schema refuses to start on one that does not fit, and says what to run.
func ExampleReadStatus() {
	ctx, pool, stop := emptyDatabase()
	defer stop()
	status, err := db.ReadStatus(ctx, pool)
	if err == nil {
		err = status.Err()
	}
	fmt.Println(status.State, errors.Is(err, db.ErrNotInstalled))
	// Output: not installed true
}

// Where other tools change the schema, they get a script. It may run inside a transaction.
func ExamplePlan() {
	ctx, pool, stop := emptyDatabase()
	defer stop()
	script, err := db.Plan(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := pool.Exec(ctx, script); err != nil {
		log.Fatal(err)
	}
	rest, err := db.Plan(ctx, pool)
	fmt.Println(strings.Contains(script, "create schema"), rest == "", err)
	// Output: true true <nil>
}

// The functions of the schema have typed wrappers, which run on a pool, a connection or a transaction. Workflows need none of them.
func ExampleQueries() {
	ctx, pool, stop := emptyDatabase()
	defer stop()
	if err := db.Install(ctx, pool); err != nil {
		log.Fatal(err)
	}
	q := db.New()
	if err := q.CreateQueue(ctx, pool, "orders"); err != nil {
		log.Fatal(db.Err(err))
	}
	spawned, err := q.SpawnTask(ctx, pool, db.SpawnTaskParams{Queue: "orders", TaskName: "orders.ship", Params: json.RawMessage(`{"order": 7}`)})
	if err != nil {
		log.Fatal(db.Err(err))
	}
	result, err := q.GetTaskResult(ctx, pool, db.GetTaskResultParams{Queue: "orders", TaskID: spawned[0].TaskID})
	if err != nil {
		log.Fatal(db.Err(err))
	}
	fmt.Println(result[0].State)
	// Output: pending
}

// Err makes what the functions refuse visible to errors.Is.
func ExampleErr() {
	ctx, pool, stop := emptyDatabase()
	defer stop()
	if err := db.Install(ctx, pool); err != nil {
		log.Fatal(err)
	}
	queue := "ordres"
	_, err := db.New().QueueStatistics(ctx, pool, &queue)
	err = db.Err(err)
	fmt.Println(errors.Is(err, db.ErrUnknownQueue), err)
	// Output: true db: queue "ordres" does not exist: create it first, with absurd.create_queue or Client.CreateQueue
}

// emptyDatabase makes a database on the server of DATABASE_URL, or on a private one.
func emptyDatabase() (context.Context, *pgxpool.Pool, func()) {
	ctx := context.Background()
	server, err := embedded.Open(ctx, embedded.Options{})
	if err != nil {
		log.Fatal(err)
	}
	dsn, err := embedded.CreateDatabase(ctx, server.DSN())
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		log.Fatal(err)
	}
	return ctx, pool, func() {
		pool.Close()
		if err := errors.Join(embedded.DropDatabase(ctx, dsn), server.Stop()); err != nil {
			log.Fatal(err)
		}
	}
}
