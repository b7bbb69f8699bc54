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

func spawn[In, Out any](ctx context.Context, with Spawner, f *flowSpec, in In, opts []SpawnOption) (Task[Out], error) {
	tasks, err := spawnMany[In, Out](ctx, with, f, []In{in}, opts)
	if err != nil {
		return Task[Out]{}, err
	}
	return tasks[0], nil
}

func spawnMany[In, Out any](ctx context.Context, with Spawner, f *flowSpec, inputs []In, opts []SpawnOption) ([]Task[Out], error) {
	if len(inputs) == 0 {
		return nil, nil
	}
	specs := make([]store.Spawn, len(inputs))
	for i, in := range inputs {
		s, err := f.task(in, opts)
		if err != nil {
			return nil, err
		}
		specs[i] = s
	}
	queue := f.policy.queue
	spawned, client, err := with.spawn(ctx, queue, specs)
	if err != nil {
		return nil, fmt.Errorf("workflow: %s was not spawned on queue %q: %w", f.name, queue, hint(err))
	}
	tasks := make([]Task[Out], len(spawned))
	for i, s := range spawned {
		tasks[i] = Task[Out]{ID: s.ID, Created: s.Created, queue: queue, client: client}
	}
	return tasks, nil
}

// task returns what is spawned for one input.
func (f *flowSpec) task(in any, opts []SpawnOption) (store.Spawn, error) {
	s := store.Spawn{Name: f.name, Params: []byte("null")}
	if _, none := in.(None); !none {
		data, err := encode("the input of workflow "+f.name, in)
		if err != nil {
			return store.Spawn{}, err
		}
		s.Params = data
	}
	s.Options.MaxDelay = f.policy.maxDelay
	s.Options.MaxDuration = f.policy.maxDuration
	for _, o := range opts {
		o(&s)
	}
	if s.Options.IdempotencyKey != "" {
		s.Options.Fingerprint = fingerprint(s.Params)
	}
	return s, nil
}
