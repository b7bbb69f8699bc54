package runtime

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestNoGoroutineIsLeft runs passes of every kind of end, stops the worker and closes the client. It does not run in parallel,
// because it counts the goroutines of the whole process; parallel tests start after it.
func TestNoGoroutineIsLeft(t *testing.T) {
	_, dsn := pgtest.Database(t)
	before := runtime.NumGoroutine()
	t.Run("inner", func(t *testing.T) {
		pool, err := pgxpool.New(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		r := rigOn(t, pool, dsn, workflow.ClientOptions{})
		step := workflow.NewStep[string, string]("step", workflow.Attempts(2), soon, workflow.Timeout(time.Minute))
		flow := workflow.NewFlow[string, string]("flow", workflow.Attempts(2), soon)
		r.exec(ledgerTable)
		held := make(chan struct{}, 1)
		raced := make(chan struct{}, 9)
		w := r.work(workflow.WorkerOptions{ShutdownTimeout: 10 * time.Millisecond},
			step.Bind(func(ctx context.Context, how string) (string, error) {
				if err := workflow.Heartbeat(ctx, how); err != nil {
					return "", err
				}
				switch how {
				case "race": // until the event has won
					raced <- struct{}{}
					<-ctx.Done()
				case "hold":
					held <- struct{}{}
					<-ctx.Done()
				case "fail":
					return "", fmt.Errorf("no")
				}
				return how, nil
			}),
			ledgerStep.BindTx(book),
			flow.Bind(func(ctx workflow.Context, how string) (string, error) {
				switch how {
				case "book":
					_, err := ledgerStep.Do(ctx, link{})
					return how, err
				case "race":
					_, got, err := workflow.Race(ctx,
						func(ctx workflow.Context) (string, error) { return step.Do(ctx, how) },
						func(ctx workflow.Context) (string, error) {
							got, err := signal.Await(ctx, how, 0)
							return got.Name, err
						})
					return got, err
				}
				for range 3 { // branches that are parked when the pass ends
					workflow.Go(ctx, func(ctx workflow.Context) (string, error) { return how, workflow.Sleep(ctx, time.Millisecond) })
				}
				if how == "wait" {
					workflow.Go(ctx, func(ctx workflow.Context) (string, error) { return how, workflow.Sleep(ctx, time.Hour) })
					_, err := signal.Await(ctx, "never", 0)
					return "", err
				}
				return step.Do(ctx, how)
			}))
		for range 5 {
			result(r, spawn(r, flow, "fine"))
			failed(r, spawn(r, flow, "fail"))
			r.awaitState(spawn(r, flow, "wait").ID, "sleeping")
		}
		result(r, spawn(r, flow, "book"))
		race := spawn(r, flow, "race")
		receive(r, "the step that races", raced)
		r.emit("race", "")
		result(r, race)
		spawn(r, flow, "hold")
		receive(r, "the step that holds on", held)
		w.end()
	})
	// Connections that were closed take a moment to notice.
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), strings.TrimSpace(string(stacks)))
		}
	}
}
