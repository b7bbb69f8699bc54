package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

func riverWorks() map[string]trial.Work {
	return map[string]trial.Work{
		"river/W1 one by one": riverOneByOne,
		"river/W1 bulk":       riverBulk,
		"river/W2 one step":   riverDrain,
		"river/W4 idle":       riverIdle,
	}
}

// job is a task. River stores no steps and no result.
type job struct {
	trial.Payload
}

func (job) Kind() string { return "bench" }

type jobWorker struct{ river.WorkerDefaults[job] }

func (jobWorker) Work(context.Context, *river.Job[job]) error { return nil }

// riverPool is the size of River's pool; a larger one made no difference.
const riverPool = 16

// riverClient returns a client on a migrated database. With no workers it only inserts. The batch completer is its default.
func riverClient(ctx context.Context, dsn string, config river.Config) (*river.Client[pgx.Tx], *pgxpool.Pool, error) {
	pool, err := openPool(ctx, dsn, riverPool)
	if err != nil {
		return nil, nil, err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, nil, err
	}
	config.Logger = slog.New(slog.DiscardHandler)
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, jobWorker{})
	client, err := river.NewClient(driver, &config)
	return client, pool, err
}

func riverOneByOne(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	client, pool, err := riverClient(ctx, s.DSN, river.Config{})
	if err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{Close: pool.Close, Run: func(ctx context.Context) (trial.Report, error) {
		return timed(s.Tasks, func() error {
			return trial.Parallel(s.Tasks, callers, func(i int) error {
				_, err := client.Insert(ctx, job{trial.NewPayload(i)}, nil)
				return err
			})
		})
	}}, nil
}

func riverFill(ctx context.Context, client *river.Client[pgx.Tx], n int) error {
	for done := 0; done < n; done += bulk {
		params := make([]river.InsertManyParams, min(bulk, n-done))
		for i := range params {
			params[i].Args = job{trial.NewPayload(done + i)}
		}
		if _, err := client.InsertManyFast(ctx, params); err != nil {
			return err
		}
	}
	return nil
}

func riverBulk(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	client, pool, err := riverClient(ctx, s.DSN, river.Config{})
	if err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{Close: pool.Close, Run: func(ctx context.Context) (trial.Report, error) {
		return timed(s.Tasks, func() error { return riverFill(ctx, client, s.Tasks) })
	}}, nil
}

func riverDrain(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	client, pool, err := riverClient(ctx, s.DSN, river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.InFlight}},
		FetchCooldown:     river.FetchCooldownMin, // 1 ms; the default of 100 ms would allow 10 fetches a second
		FetchPollInterval: 2 * time.Millisecond,
	})
	if err != nil {
		return trial.Ready{}, err
	}
	if err := riverFill(ctx, client, s.Tasks); err != nil {
		return trial.Ready{}, err
	}
	// A job's event comes once its completion is in the database.
	events, cancel := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: s.Tasks + 1, Kinds: []river.EventKind{river.EventKindJobCompleted}})
	done := trial.NewCounter(s.Tasks)
	var reader sync.WaitGroup
	reader.Go(func() {
		for range events {
			done.Add()
		}
	})
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			return timed(s.Tasks, func() error {
				if err := client.Start(ctx); err != nil {
					return err
				}
				return done.Wait(ctx)
			})
		},
		Close: func() {
			_ = client.Stop(context.Background()) // what was measured is over
			cancel()
			reader.Wait()
			pool.Close()
		},
	}, nil
}

// riverIdle measures until a job's completion is in the database, with default settings: River has no result to wait for.
func riverIdle(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	client, pool, err := riverClient(ctx, s.DSN, river.Config{Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}}})
	if err != nil {
		return trial.Ready{}, err
	}
	events, cancel := client.Subscribe(river.EventKindJobCompleted)
	if err := client.Start(ctx); err != nil {
		return trial.Ready{}, err
	}
	once := func(i int) (time.Duration, error) {
		began := time.Now()
		if _, err := client.Insert(ctx, job{trial.NewPayload(i)}, nil); err != nil {
			return 0, err
		}
		select {
		case <-events:
			return time.Since(began), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if _, err := once(0); err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{
		Run: func(context.Context) (trial.Report, error) { return latencies(s.Tasks, once) },
		Close: func() {
			cancel()
			_ = client.Stop(context.Background()) // what was measured is over
			pool.Close()
		},
	}, nil
}

// latencies runs once again and again, with pauses that leave the system idle.
func latencies(n int, once func(i int) (time.Duration, error)) (trial.Report, error) {
	r := trial.Report{Units: n}
	for i := range n {
		time.Sleep(50*time.Millisecond + rand.N(50*time.Millisecond))
		d, err := once(i)
		if err != nil {
			return r, err
		}
		r.Latencies = append(r.Latencies, trial.Milliseconds(d))
	}
	return r, nil
}
