package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// SpawnOption is an option of a single task.
type SpawnOption func(*store.Spawn)

// WithIdempotencyKey makes spawning idempotent: as long as a task of this workflow with the key is known, finished or not,
// another spawn returns that task. With another input it is refused with [ErrKeyReused].
func WithIdempotencyKey(key string) SpawnOption {
	return func(s *store.Spawn) { s.Options.IdempotencyKey = key }
}

// WithPriority sets the priority, from -100 to 100; lower numbers run first. The default is 0.
func WithPriority(p int) SpawnOption { return func(s *store.Spawn) { s.Options.Priority = p } }

// WithStartAt has the task start at t, not before.
func WithStartAt(t time.Time) SpawnOption { return func(s *store.Spawn) { s.Options.StartAt = &t } }

// WithHeaders attaches headers, which are carried along and not looked at.
func WithHeaders(h map[string]string) SpawnOption {
	return func(s *store.Spawn) { s.Options.Headers = h }
}

func (f Flow[In, Out]) spawn(ctx context.Context, with Spawner, in In, opts []SpawnOption) (Task[Out], error) {
	tasks, err := f.spawnMany(ctx, with, []In{in}, opts)
	if err != nil {
		return Task[Out]{}, err
	}
	return tasks[0], nil
}

func (f Flow[In, Out]) spawnMany(ctx context.Context, with Spawner, inputs []In, opts []SpawnOption) ([]Task[Out], error) {
	if with == nil {
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
		specs[i] = f.spec.task(params, opts)
	}
	queue := f.spec.policy.queue
	spawned, client, err := with.spawn(ctx, queue, specs)
	if err != nil {
		return nil, fmt.Errorf("workflow: %s was not spawned on queue %q: %w", f.spec.name, queue, hint(err))
	}
	tasks := make([]Task[Out], len(spawned))
	for i, s := range spawned {
		tasks[i] = f.task(client, s.ID)
		tasks[i].Created = s.Created
	}
	return tasks, nil
}

func (f Flow[In, Out]) task(c *Client, id TaskID) Task[Out] {
	return Task[Out]{ID: id, queue: f.spec.policy.queue, out: f.out, client: c}
}

func (f Flow[In, Out]) attach(ctx context.Context, c *Client, id TaskID) (Task[Out], error) {
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
func (f *flowSpec) task(params []byte, opts []SpawnOption) store.Spawn {
	s := store.Spawn{Name: f.name, Params: params}
	s.Options.MaxDelay = f.policy.maxDelay
	s.Options.MaxDuration = f.policy.maxDuration
	for _, o := range opts {
		o(&s)
	}
	if s.Options.IdempotencyKey != "" {
		s.Options.Fingerprint = fingerprint(s.Params)
	}
	return s
}
