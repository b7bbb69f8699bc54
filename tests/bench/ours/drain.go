package ours

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
	"github.com/absurdgen/absurdgen/workflow"
)

// draining drains tasks of a flow with the given number of steps.
func draining(f workflow.Flow[Payload, Payload], steps int) trial.Work {
	return func(ctx context.Context, s trial.Spec) (trial.Ready, error) {
		b, err := filled(ctx, s, f)
		if err != nil {
			return trial.Ready{}, err
		}
		return b.drain(s, steps*s.Tasks), nil
	}
}

// filled returns a bench with tasks that wait for a worker.
func filled(ctx context.Context, s trial.Spec, f workflow.Flow[Payload, Payload]) (*bench, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return nil, err
	}
	if err := b.fill(ctx, f, s.Tasks); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// drain measures from the start of a worker until every task has its result in the database.
func (b *bench) drain(s trial.Spec, units int) trial.Ready {
	var stop func()
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			return timed(units, func() (err error) {
				done := trial.NewCounter(s.Tasks)
				stop, err = b.worker(ctx, workflow.WorkerOptions{Passes: s.InFlight, Hooks: counting(workflow.PassCompleted, done)})
				if err != nil {
					return err
				}
				return done.Wait(ctx)
			})
		},
		Close: func() {
			if stop != nil {
				stop()
			}
			b.close()
		},
	}
}

// The history beside which W6 drains.
const (
	finished = 500_000
	sleeping = 100_000
)

// drainBesideHistory is drainOne on a queue with a long history, which the engine has made itself: rows that only look like finished tasks
// lie differently in their pages from those that were claimed and completed there.
func drainBesideHistory(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := filled(ctx, trial.Spec{DSN: s.DSN, Tasks: finished}, One)
	if err != nil {
		return trial.Ready{}, err
	}
	done := trial.NewCounter(finished)
	stop, err := b.worker(ctx, workflow.WorkerOptions{Hooks: counting(workflow.PassCompleted, done)})
	if err != nil {
		return trial.Ready{}, err
	}
	err = done.Wait(ctx)
	stop()
	if err != nil {
		return trial.Ready{}, err
	}
	if err := b.fill(ctx, One, sleeping, workflow.WithStartAt(time.Now().Add(24*time.Hour))); err != nil {
		return trial.Ready{}, err
	}
	if _, err := b.pool.Exec(ctx, `vacuum analyze`); err != nil {
		return trial.Ready{}, err
	}
	if err := b.fill(ctx, One, s.Tasks); err != nil {
		return trial.Ready{}, err
	}
	return b.drain(s, s.Tasks), nil
}

// workers is how many work side by side in W9.
const workers = 64

// drainThroughPooler drains with many workers behind PgBouncer in transaction mode, by polling and without prepared
// statements.
func drainThroughPooler(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	if s.Pooler == "" {
		return trial.Ready{}, fmt.Errorf("%w: no pgbouncer on this machine", trial.ErrUnavailable)
	}
	return drainMany(ctx, s, s.Pooler, workflow.ClientOptions{NoListen: true})
}

// drainWithoutPooler is what drainThroughPooler compares with: the same, connected directly.
func drainWithoutPooler(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	return drainMany(ctx, s, s.DSN, workflow.ClientOptions{})
}

func drainMany(ctx context.Context, s trial.Spec, dsn string, o workflow.ClientOptions) (trial.Ready, error) {
	direct, err := filled(ctx, s, One)
	if err != nil {
		return trial.Ready{}, err
	}
	direct.close()
	b, err := connect(ctx, dsn, o)
	if err != nil {
		return trial.Ready{}, err
	}
	var stops []func()
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			return timed(s.Tasks, func() error {
				done := trial.NewCounter(s.Tasks)
				for range workers {
					stop, err := b.worker(ctx, workflow.WorkerOptions{Passes: s.InFlight, Hooks: counting(workflow.PassCompleted, done)})
					if err != nil {
						return err
					}
					stops = append(stops, stop)
				}
				return done.Wait(ctx)
			})
		},
		Close: func() {
			var all sync.WaitGroup
			for _, stop := range stops {
				all.Go(stop)
			}
			all.Wait()
			b.close()
		},
	}, nil
}
