package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// lease is short, so that the audience does not wait long for the other worker to take over.
const lease = 2 * time.Second

// grace is how long a worker takes to stop, at most.
const grace = time.Second

// RunWorker is the main function of a worker's process: what every program that works on orders does, and hooks that report to
// the stage manager. It returns when in ends.
func RunWorker(in io.Reader, out io.Writer) error {
	s, ended, err := readSetup(in)
	if err != nil {
		return err
	}
	gateway := newGatewayClient(s.Gateway, s.Token)
	registry := workflow.NewRegistry()
	err = orders.Register(registry, orders.Deps{
		Payments:  &orders.Payments{Gateway: gateway},
		Warehouse: &orders.Warehouse{Shelves: gateway},
		Office:    &orders.Office{Mail: gateway},
	})
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ended, s.DSN)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer pool.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	client := workflow.NewClient(pool, workflow.ClientOptions{Logger: log})
	defer client.Close()
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{
		Name: s.Name, Passes: s.Passes, Lease: lease, ShutdownTimeout: grace / 2, Logger: log,
		Hooks: hooks(newReporter(out)),
	})
	if err != nil {
		return err
	}
	// The server may have gone with the stage manager: then nothing can be handed back, and there is nothing to wait for.
	defer context.AfterFunc(ended, func() {
		time.Sleep(grace)
		os.Exit(1)
	})()
	return worker.Run(ended)
}

// hooks report what the worker does.
func hooks(r *reporter) workflow.Hooks {
	// Key is what workflow.IdempotencyKey returns in the step.
	about := func(k kind, i workflow.StepInfo) report {
		return report{Kind: k, Task: i.Task, Step: i.Step, Checkpoint: i.Checkpoint, Attempt: i.Attempt,
			Key: fmt.Sprintf("%s/%d/%s", i.Task, i.Generation, i.Checkpoint)}
	}
	return workflow.Hooks{
		StepStarted: func(i workflow.StepInfo) { r.send(about(stepStarted, i)) },
		StepEnded: func(i workflow.StepInfo, res workflow.StepResult) {
			rep := about(stepEnded, i)
			if res.Err != nil {
				rep.Error = res.Err.Error()
			}
			r.send(rep)
		},
		PassEnded: func(p workflow.PassInfo) {
			r.send(report{Kind: passEnded, Task: p.Task, Attempt: p.Attempt, Pass: p.End, Replayed: p.Replayed})
		},
	}
}
