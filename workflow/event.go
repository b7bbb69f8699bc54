package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/codec"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Event is the handle of a typed event. An event is known to its whole queue under "name:key"; the first emit wins, later ones
// change nothing, and a workflow that awaits an event which was emitted before gets it at once.
type Event[T any] struct{ spec *eventSpec[T] }

type eventSpec[T any] struct {
	name  string
	queue string
	key   func(T) string
	body  payload[T]
}

// waitCall is what a worker needs to open a wait. It is the Arg of the operation.
type waitCall struct {
	name string // the stored name of an event, or that of an inbox
}

// NewEvent declares an event. key returns which instance of the event a payload is.
func NewEvent[T any](name string, key func(T) string, opts ...EventOption) Event[T] {
	return Event[T]{&eventSpec[T]{name: name, queue: eventPolicy(opts).queue, key: key, body: payload[T]{what: "event " + name}}}
}

// Codecs gives the event a generated codec for its payload.
func (e Event[T]) Codecs(c codec.Codec[T]) Event[T] {
	spec := *e.spec
	spec.body = spec.body.with(c)
	return Event[T]{&spec}
}

// Name returns the durable name, without a key.
func (e Event[T]) Name() string { return e.spec.name }

// Await waits for the event with the given key, holding no worker. It returns [ErrTimeout] when the event has not come
// within timeout; that outcome is recorded and stays, even if the event comes later. A timeout of 0 or less waits for ever.
func (e Event[T]) Await(ctx Context, key string, timeout time.Duration) (T, error) {
	return e.wait(ctx, key, timeout).Await(ctx)
}

// Go opens the wait and returns at once. A workflow that ends before the event has come does not wait for it.
func (e Event[T]) Go(ctx Context, key string, timeout time.Duration) *Future[T] {
	return e.wait(ctx, key, timeout)
}

func (e Event[T]) wait(ctx Context, key string, timeout time.Duration) *Future[T] {
	if q := ctx.sealed().pass.queue; q != e.spec.queue {
		return refused[T](fmt.Errorf("workflow: event %s lives on queue %q, but this task runs on queue %q:"+
			" declare the event with that queue", e.spec.name, e.spec.queue, q))
	}
	stored, err := e.spec.stored(key)
	if err != nil {
		return refused[T](err)
	}
	return start(ctx, e.spec.body, replay.Call{
		Kind:    replay.Event,
		Durable: "$event:" + e.spec.name,
		Key:     key,
		Arg:     &waitCall{name: stored},
		Timeout: timeout,
		Caller:  caller,

		Detached: true, // nobody is there to be told any more, and nothing has begun that should end
	})
}

// Emit makes the event known and wakes the tasks that wait for it. The first emit of a name and key wins. With [Tx] the
// event is emitted when the transaction commits.
func (e Event[T]) Emit(ctx context.Context, to Emitter, payload T) error {
	if to == nil || to == (*Client)(nil) {
		return fmt.Errorf("workflow: event %s was not emitted: give Emit a Client, or Tx with a transaction", e.spec.name)
	}
	stored, err := e.spec.stored(e.spec.key(payload))
	if err != nil {
		return err
	}
	data, err := e.spec.body.encode(payload)
	if err != nil {
		return err
	}
	info := &EmitInfo{Event: e.spec.name, Key: e.spec.key(payload), Queue: e.spec.queue}
	return to.middleware().emit(ctx, info, func(ctx context.Context) error { return to.emit(ctx, e.spec.queue, stored, data) })
}

// stored returns the name under which the queue knows the event with a key, the same for who awaits and who emits.
func (e *eventSpec[T]) stored(key string) (string, error) {
	if key == "" {
		return "", fmt.Errorf("workflow: event %s has an empty key: give it one that tells the instances of the event apart (%w)", e.name, ErrInvalidName)
	}
	stored := e.name + ":" + key
	if len(stored) > maxEventName {
		return "", fmt.Errorf("workflow: the name and key of event %s have %d bytes, the limit is %d: shorten the key (%w)",
			e.name, len(stored), maxEventName, ErrInvalidName)
	}
	return stored, nil
}

// maxEventName is the engine's limit, in bytes.
const maxEventName = 1000
