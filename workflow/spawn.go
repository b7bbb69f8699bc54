package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

func (f Flow[In, Out]) spawn(ctx context.Context, with Spawner, in In, opts []SpawnOption) (Task[Out], error) {
	tasks, err := f.spawnMany(ctx, with, []In{in}, opts)
	if err != nil {
		return Task[Out]{}, err
	}
	return tasks[0], nil
}

func (f Flow[In, Out]) spawnMany(ctx context.Context, with Spawner, inputs []In, opts []SpawnOption) ([]Task[Out], error) {
	if with == nil || with == (*Client)(nil) {
		return nil, fmt.Errorf("workflow: %s was not spawned: give Spawn a Client, or Tx with a transaction", f.spec.name)
	}
	if len(inputs) == 0 {
		return nil, nil
	}
	specs := make([]store.Spawn, len(inputs))
	for i, in := range inputs {
		params, err := f.in.encode(in)
		if err != nil {
			return nil, err
		}
		if specs[i], err = f.spec.task(params, opts); err != nil {
			return nil, err
		}
	}
	info := &SpawnInfo{Workflow: f.spec.name, Queue: f.spec.policy.queue, Tasks: len(specs)}
	info.Headers = addTrace(ctx, specs[0].Options.Headers, with.middleware())
	var spawned []store.Spawned
	var client *Client
	err := with.middleware().spawn(ctx, info, func(ctx context.Context) (err error) {
		for i := range specs {
			specs[i].Options.Headers = info.Headers
		}
		spawned, client, err = with.spawn(ctx, info.Queue, specs)
		for _, s := range spawned {
			info.IDs = append(info.IDs, s.ID)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("workflow: %s was not spawned on queue %q: %w", f.spec.name, info.Queue, hint(err))
	case spawned == nil:
		return nil, fmt.Errorf("workflow: %s was not spawned: a middleware did not call next", f.spec.name)
	}
	now := time.Now()
	tasks := make([]Task[Out], len(spawned))
	for i, s := range spawned {
		tasks[i] = f.task(client, s.ID)
		tasks[i].Created = s.Created
		if s.Created {
			tasks[i].spawned = now
		}
	}
	return tasks, nil
}

func (f Flow[In, Out]) task(c *Client, id TaskID) Task[Out] {
	return Task[Out]{ID: id, queue: f.spec.policy.queue, out: f.out, client: c}
}

func (f Flow[In, Out]) attach(ctx context.Context, c *Client, id TaskID) (Task[Out], error) {
	if c == nil {
		return Task[Out]{}, fmt.Errorf("workflow: task %s was not looked up: give Attach a client", id)
	}
	t := f.task(c, id)
	o, err := t.outcome(ctx)
	switch {
	case err != nil:
		return Task[Out]{}, err
	case o.Name != f.spec.name:
		return Task[Out]{}, fmt.Errorf("%w: task %s runs %s, not %s", ErrOtherWorkflow, id, o.Name, f.spec.name)
	}
	return t, nil
}

// task returns what is spawned for one input.
func (f *flowSpec) task(params []byte, opts []SpawnOption) (store.Spawn, error) {
	s := spawning{Spawn: store.Spawn{Name: f.name, Params: params}, queue: f.policy.queue}
	s.Options.MaxDelay = f.policy.maxDelay
	s.Options.MaxDuration = f.policy.maxDuration
	s.Options.Version, s.Options.ShapeHash = f.policy.version, f.policy.shape
	for _, o := range opts {
		o(&s)
	}
	if s.Options.IdempotencyKey != "" {
		s.Options.Fingerprint = fingerprint(s.Params)
	}
	return s.Spawn, s.err
}
