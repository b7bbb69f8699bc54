package workflow

import (
	"fmt"
	"maps"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// SpawnOption is an option of a single task.
type SpawnOption func(*spawning)

// spawning is a task that is about to be spawned. err says that an option cannot be.
type spawning struct {
	store.Spawn
	queue string
	err   error
}

// WithIdempotencyKey makes spawning idempotent: as long as a task of this workflow with the key is known, finished or not,
// another spawn returns that task. With another input it is refused with [ErrKeyReused].
func WithIdempotencyKey(key string) SpawnOption {
	return func(s *spawning) { s.Options.IdempotencyKey = key }
}

// Uniqueness says what becomes of a spawn whose unique key belongs to an open task.
type Uniqueness int

// What can become of it.
const (
	Join   Uniqueness = iota // the open task is returned
	Refuse                   // the spawn is refused with [ErrNotUnique]
)

// WithUnique has at most one task of this workflow with the key be open at a time. While one is, another spawn joins it or is refused;
// when it has ended, the key is free again. A failed task that is retried does not ask for its key again. A task has a unique key or an
// idempotency key, not both.
func WithUnique(key string, otherwise Uniqueness) SpawnOption {
	return func(s *spawning) { s.Options.UniqueKey, s.Options.Refuse = key, otherwise == Refuse }
}

// WithMessage sends a message to the task, whether it is made or, under its unique or idempotency key, found; what Temporal calls
// signal with start. Spawn and message are one: both happen or neither.
//
//	task, err := Cart.Spawn(ctx, client, customer, workflow.WithUnique(customer.ID, workflow.Join), workflow.WithMessage(Items, item))
//
// A task that was found under its idempotency key may have ended: that is refused with [ErrTaskEnded]. The messages of several options
// arrive in their order.
func WithMessage[T any](inbox Inbox[T], message T, opts ...SendOption) SpawnOption {
	m, err := inbox.message(message, opts)
	return func(s *spawning) {
		s.Options.Messages = append(s.Options.Messages, m)
		if err != nil && s.err == nil {
			s.err = err
		}
		if inbox.queue != s.queue && s.err == nil {
			s.err = fmt.Errorf("workflow: inbox %s is one of tasks on queue %q, but workflow %s runs on queue %q: declare the inbox with that queue",
				inbox.name, inbox.queue, s.Name, s.queue)
		}
	}
}

// WithPriority sets the priority, from -100 to 100; lower numbers run first. The default is 0.
func WithPriority(p int) SpawnOption { return func(s *spawning) { s.Options.Priority = p } }

// WithStartAt has the task start at t, not before; at most ten years ahead.
func WithStartAt(t time.Time) SpawnOption { return func(s *spawning) { s.Options.StartAt = &t } }

// WithDelay has the task start when d has passed by the database's clock, not before; at most ten years.
func WithDelay(d time.Duration) SpawnOption { return func(s *spawning) { s.Options.Delay = d } }

// WithHeaders adds headers, which are carried along: the workflow, its steps and the middleware of workers see them (see [Headers]).
func WithHeaders(h map[string]string) SpawnOption {
	return func(s *spawning) { s.Options.Headers = merged(s.Options.Headers, h) }
}

// WithTags adds tags to search tasks by. A task has at most 64, with names of at most 200 bytes and texts of at most 1,000.
func WithTags(tags map[string]string) SpawnOption {
	return func(s *spawning) { s.Options.Tags = merged(s.Options.Tags, tags) }
}

// WithTenant says whose the task is. The default is the tenant of the client (see [ClientOptions]), or that of the step which spawns; else
// nobody's, or where the database role may act for one tenant only, that one. See the manual about tenants.
func WithTenant(tenant string) SpawnOption { return func(s *spawning) { s.Options.Tenant = tenant } }

// merged returns a map of its own, because options may be used for several spawns.
func merged(a, b map[string]string) map[string]string {
	both := make(map[string]string, len(a)+len(b))
	maps.Copy(both, a)
	maps.Copy(both, b)
	return both
}
