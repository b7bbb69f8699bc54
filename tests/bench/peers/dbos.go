package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

func dbosWorks() map[string]trial.Work {
	return map[string]trial.Work{
		"dbos/W1 one by one": dbosOneByOne,
		"dbos/W2 one step":   func(ctx context.Context, s trial.Spec) (trial.Ready, error) { return dbosDrain(ctx, s, dbosOneName, 1) },
		"dbos/W3 ten steps": func(ctx context.Context, s trial.Spec) (trial.Ready, error) {
			return dbosDrain(ctx, s, dbosTenName, 10)
		},
		"dbos/W2 no outcome": func(ctx context.Context, s trial.Spec) (trial.Ready, error) {
			return dbosDrain(ctx, s, dbosOneMuteName, 1)
		},
		"dbos/W3 no outcome": func(ctx context.Context, s trial.Spec) (trial.Ready, error) {
			return dbosDrain(ctx, s, dbosTenMuteName, 10)
		},
		"dbos/W4 idle":       func(ctx context.Context, s trial.Spec) (trial.Ready, error) { return dbosIdle(ctx, s, true) },
		"dbos/W4 in process": func(ctx context.Context, s trial.Spec) (trial.Ready, error) { return dbosIdle(ctx, s, false) },
		"dbos/W5 events":     dbosEvents,
	}
}

func echo(p trial.Payload) dbos.Step[trial.Payload] {
	return func(context.Context) (trial.Payload, error) { return p, nil }
}

func dbosOne(ctx dbos.Context, p trial.Payload) (trial.Payload, error) {
	return dbos.RunAsStep(ctx, echo(p), dbos.WithStepName("echo"))
}

func dbosTen(ctx dbos.Context, p trial.Payload) (trial.Payload, error) {
	for range 10 {
		var err error
		if p, err = dbos.RunAsStep(ctx, echo(p), dbos.WithStepName("echo")); err != nil {
			return p, err
		}
	}
	return p, nil
}

// mute has no outcome: null.
func mute(context.Context) (*trial.Payload, error) { return nil, nil }

func dbosOneMute(ctx dbos.Context, p trial.Payload) (trial.Payload, error) {
	_, err := dbos.RunAsStep(ctx, mute, dbos.WithStepName("mute"))
	return p, err
}

func dbosTenMute(ctx dbos.Context, p trial.Payload) (trial.Payload, error) {
	for range 10 {
		if _, err := dbos.RunAsStep(ctx, mute, dbos.WithStepName("mute")); err != nil {
			return p, err
		}
	}
	return p, nil
}

func dbosWait(ctx dbos.Context, p trial.Payload) (trial.Payload, error) {
	_, err := dbos.Recv[trial.Payload](ctx, "signal", time.Hour)
	return p, err
}

const (
	dbosQueue   = "bench"
	dbosOneName = "bench.one"
	dbosTenName = "bench.ten"

	dbosOneMuteName = "bench.onemute"
	dbosTenMuteName = "bench.tenmute"

	// dbosPool is the size of DBOS's pool: every workflow in flight writes for itself, and two cores serve 32 at once best.
	dbosPool = 32

	// dbosPoll is the queue's polling interval while it is measured for throughput. The default is one second.
	dbosPoll = 10 * time.Millisecond
)

// dbosContext returns a context that is not launched: what is enqueued stays.
func dbosContext(ctx context.Context, s trial.Spec, o ...dbos.QueueOption) (dbos.Context, func(), error) {
	pool, err := openPool(ctx, s.DSN, dbosPool)
	if err != nil {
		return nil, nil, err
	}
	c, err := dbos.NewContext(ctx, dbos.Config{
		AppName: "bench", SystemDBPool: pool, ApplicationVersion: "1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	dbos.RegisterWorkflow(c, dbosOne, dbos.WithWorkflowName(dbosOneName))
	dbos.RegisterWorkflow(c, dbosTen, dbos.WithWorkflowName(dbosTenName))
	dbos.RegisterWorkflow(c, dbosOneMute, dbos.WithWorkflowName(dbosOneMuteName))
	dbos.RegisterWorkflow(c, dbosTenMute, dbos.WithWorkflowName(dbosTenMuteName))
	dbos.RegisterWorkflow(c, dbosWait, dbos.WithWorkflowName("bench.wait"))
	if _, err := dbos.RegisterQueue(c, dbosQueue, o...); err != nil {
		return nil, nil, err
	}
	return c, func() { _ = dbos.Shutdown(c, 10*time.Second); pool.Close() }, nil
}

func dbosOneByOne(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	c, stop, err := dbosContext(ctx, s)
	if err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{Close: stop, Run: func(context.Context) (trial.Report, error) {
		return timed(s.Tasks, func() error { return dbosFill(c, dbosOneName, s.Tasks, callers) })
	}}, nil
}

func dbosFill(c dbos.Context, workflow string, n, callers int) error {
	return trial.Parallel(n, callers, func(i int) error {
		_, err := dbos.Enqueue[trial.Payload](c, dbosQueue, workflow, trial.NewPayload(i), dbos.WithEnqueueApplicationVersion("1"))
		return err
	})
}

func dbosDrain(ctx context.Context, s trial.Spec, workflow string, steps int) (trial.Ready, error) {
	c, stop, err := dbosContext(ctx, s, dbos.WithWorkerConcurrency(s.InFlight), dbos.WithQueueBasePollingInterval(dbosPoll))
	if err != nil {
		return trial.Ready{}, err
	}
	if err := dbosFill(c, workflow, s.Tasks, 2*dbosPool); err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{Close: stop, Run: func(ctx context.Context) (trial.Report, error) {
		return timed(s.Tasks*steps, func() error {
			if err := dbos.Launch(c); err != nil {
				return err
			}
			return dbosDone(ctx, s)
		})
	}}, nil
}

// dbosDone waits until no workflow is left to run. It looks rarely enough to cost nothing.
func dbosDone(ctx context.Context, s trial.Spec) error {
	pool, err := openPool(ctx, s.DSN, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	for {
		var left bool
		err := pool.QueryRow(ctx, `select exists (select from dbos.workflow_status where status in ('ENQUEUED', 'PENDING'))`).Scan(&left)
		if err != nil || !left {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// dbosIdle measures from the start to the result with default settings: through the queue, or started in this process.
func dbosIdle(ctx context.Context, s trial.Spec, queued bool) (trial.Ready, error) {
	c, stop, err := dbosContext(ctx, s)
	if err != nil {
		return trial.Ready{}, err
	}
	queue, err := dbos.RegisterQueue(c, dbosQueue)
	if err != nil {
		return trial.Ready{}, err
	}
	if err := dbos.Launch(c); err != nil {
		return trial.Ready{}, err
	}
	var options []dbos.WorkflowOption
	if queued {
		options = append(options, dbos.WithQueue(queue))
	}
	once := func(i int) (time.Duration, error) {
		began := time.Now()
		handle, err := dbos.RunWorkflow(c, dbosOne, trial.NewPayload(i), options...)
		if err != nil {
			return 0, err
		}
		_, err = handle.GetResult()
		return time.Since(began), err
	}
	if _, err := once(0); err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{Close: stop, Run: func(context.Context) (trial.Report, error) { return latencies(s.Tasks, once) }}, nil
}

// dbosEvents sends a message to workflows that wait for one each; they wait in memory.
func dbosEvents(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	c, stop, err := dbosContext(ctx, s)
	if err != nil {
		return trial.Ready{}, err
	}
	if err := dbos.Launch(c); err != nil {
		return trial.Ready{}, err
	}
	handles := make([]dbos.WorkflowHandle[trial.Payload], s.Tasks)
	for i := range handles {
		if handles[i], err = dbos.RunWorkflow(c, dbosWait, trial.NewPayload(i)); err != nil {
			return trial.Ready{}, err
		}
	}
	time.Sleep(2 * time.Second) // it does not say when a workflow has come to its wait
	return trial.Ready{Close: stop, Run: func(context.Context) (trial.Report, error) {
		took := make([]float64, s.Tasks)
		sent := make([]time.Time, s.Tasks)
		errs := make([]error, s.Tasks)
		var all sync.WaitGroup
		r, err := timed(s.Tasks, func() error {
			for i, h := range handles {
				all.Go(func() {
					_, errs[i] = h.GetResult()
					took[i] = trial.Milliseconds(time.Since(sent[i]))
				})
			}
			err := trial.Parallel(s.Tasks, callers, func(i int) error {
				sent[i] = time.Now()
				return dbos.Send(c, handles[i].GetWorkflowID(), trial.NewPayload(i), "signal")
			})
			if err != nil {
				return err
			}
			all.Wait()
			for _, err := range errs {
				if err != nil {
					return err
				}
			}
			return nil
		})
		r.Latencies = took
		return r, err
	}}, nil
}
