package ours

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
	"github.com/absurdgen/absurdgen/workflow"
)

// idleLatency measures from spawn to result on an idle queue, with default settings.
func idleLatency(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	stop, err := b.worker(ctx, workflow.WorkerOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	once := func(i int) (time.Duration, error) {
		began := time.Now()
		task, err := One.Spawn(ctx, b.client, Payload(trial.NewPayload(i)))
		if err != nil {
			return 0, err
		}
		_, err = task.Result(ctx)
		return time.Since(began), err
	}
	if _, err := once(0); err != nil { // connections and plans
		return trial.Ready{}, err
	}
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			var r trial.Report
			for i := range s.Tasks {
				time.Sleep(50*time.Millisecond + rand.N(50*time.Millisecond))
				d, err := once(i)
				if err != nil {
					return r, err
				}
				r.Latencies = append(r.Latencies, trial.Milliseconds(d))
			}
			r.Units = s.Tasks
			return r, nil
		},
		Close: func() { stop(); b.close() },
	}, nil
}

// events has tasks wait for an event each, and emits them all.
func events(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	emitted := make([]time.Time, s.Tasks)
	ended := make([]time.Time, s.Tasks)
	ids := make(map[workflow.TaskID]int, s.Tasks)
	suspended, completed := trial.NewCounter(s.Tasks), trial.NewCounter(s.Tasks)
	stop, err := b.worker(ctx, workflow.WorkerOptions{Hooks: workflow.Hooks{PassEnded: func(i workflow.PassInfo) {
		switch i.End {
		case workflow.PassSuspended:
			suspended.Add()
		case workflow.PassCompleted:
			ended[ids[i.Task]] = time.Now()
			completed.Add()
		}
	}}})
	if err != nil {
		return trial.Ready{}, err
	}
	tasks, err := Wait.SpawnMany(ctx, b.client, payloads(0, s.Tasks))
	if err != nil {
		return trial.Ready{}, err
	}
	for i, t := range tasks {
		ids[t.ID] = i
	}
	if err := suspended.Wait(ctx); err != nil {
		return trial.Ready{}, err
	}
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			r, err := timed(s.Tasks, func() error {
				err := trial.Parallel(s.Tasks, callers, func(i int) error {
					emitted[i] = time.Now()
					return SignalEvent.Emit(ctx, b.client, Signal{Name: fmt.Sprint(i), Text: trial.NewPayload(i).Text})
				})
				if err != nil {
					return err
				}
				return completed.Wait(ctx)
			})
			for i := range emitted {
				r.Latencies = append(r.Latencies, trial.Milliseconds(ended[i].Sub(emitted[i])))
			}
			return r, err
		},
		Close: func() { stop(); b.close() },
	}, nil
}

// children measures from the spawn of a parent to its result, which needs those of all its children.
func children(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	stop, err := b.worker(ctx, workflow.WorkerOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	once := func(n int) error {
		task, err := Fan.Spawn(ctx, b.client, Payload{ID: n, Text: trial.NewPayload(n).Text})
		if err == nil {
			_, err = task.Result(ctx)
		}
		return err
	}
	if err := once(1); err != nil { // connections and plans
		return trial.Ready{}, err
	}
	return trial.Ready{
		Run: func(context.Context) (trial.Report, error) {
			return timed(s.Tasks, func() error { return once(s.Tasks) })
		},
		Close: func() { stop(); b.close() },
	}, nil
}

// manyTurns has one task wait for many events, one after the other, and compares a late turn with an early one.
func manyTurns(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	parked := make(chan workflow.PassEnd, 1)
	stop, err := b.worker(ctx, workflow.WorkerOptions{Hooks: workflow.Hooks{PassEnded: func(i workflow.PassInfo) { parked <- i.End }}})
	if err != nil {
		return trial.Ready{}, err
	}
	if _, err := Turns.Spawn(ctx, b.client, Payload{ID: s.Tasks}); err != nil {
		return trial.Ready{}, err
	}
	<-parked
	return trial.Ready{
		Run: func(ctx context.Context) (trial.Report, error) {
			r := trial.Report{Units: s.Tasks}
			for i := range s.Tasks {
				began := time.Now()
				if err := SignalEvent.Emit(ctx, b.client, Signal{Name: turn(i), Text: trial.NewPayload(i).Text}); err != nil {
					return r, err
				}
				select {
				case end := <-parked:
					if end != workflow.PassSuspended && end != workflow.PassCompleted {
						return r, fmt.Errorf("turn %d: the pass was %s", i, end)
					}
				case <-ctx.Done():
					return r, fmt.Errorf("turn %d never ended", i)
				}
				r.Latencies = append(r.Latencies, trial.Milliseconds(time.Since(began)))
			}
			// Each is the median of twenty turns.
			r.Values = map[string]float64{
				"turn 10, ms":                       trial.Percentile(r.Latencies[:20], 50),
				fmt.Sprintf("turn %d, ms", s.Tasks): trial.Percentile(r.Latencies[s.Tasks-20:], 50),
			}
			return r, nil
		},
		Close: func() { stop(); b.close() },
	}, nil
}
