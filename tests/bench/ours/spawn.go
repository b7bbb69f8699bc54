package ours

import (
	"context"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
	"github.com/absurdgen/absurdgen/workflow"
)

// callers is how many spawn, or emit, side by side.
const callers = 8

func spawnOneByOne(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	inputs := payloads(0, s.Tasks)
	return trial.Ready{Close: b.close, Run: func(ctx context.Context) (trial.Report, error) {
		return timed(s.Tasks, func() error {
			return trial.Parallel(s.Tasks, callers, func(i int) error {
				_, err := One.Spawn(ctx, b.client, inputs[i])
				return err
			})
		})
	}}, nil
}

func spawnInBulk(ctx context.Context, s trial.Spec) (trial.Ready, error) {
	b, err := open(ctx, s.DSN, workflow.ClientOptions{})
	if err != nil {
		return trial.Ready{}, err
	}
	inputs := payloads(0, s.Tasks)
	return trial.Ready{Close: b.close, Run: func(ctx context.Context) (trial.Report, error) {
		return timed(s.Tasks, func() error {
			for done := 0; done < s.Tasks; done += bulk {
				if _, err := One.SpawnMany(ctx, b.client, inputs[done:min(done+bulk, s.Tasks)]); err != nil {
					return err
				}
			}
			return nil
		})
	}}, nil
}
