package workflow

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/absurdgen/absurdgen/workflow/codec"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Inbox is the handle of a typed inbox. Every task has one of each name; messages to it are kept, in the order in which they were
// sent, until the task receives them one by one. Each is received once, whatever crashes.
//
//	var Orders = workflow.NewInbox[Item]("cart.items")
//
//	err := Orders.Send(ctx, client, cart.ID, item)  // anywhere
//	item, err := Orders.Receive(ctx, 24*time.Hour)  // in the workflow
//
// Where an event is known to all tasks of a queue and has one payload, a message is for one task, and there may be many.
type Inbox[T any] struct {
	name, queue string
	body        payload[T]
}

// NewInbox declares an inbox of the tasks on a queue. Its name is a durable name, as that of a step is.
func NewInbox[T any](name string, opts ...EventOption) Inbox[T] {
	return Inbox[T]{name: name, queue: eventPolicy(opts).queue, body: payload[T]{what: "a message to inbox " + name}}
}

// Codecs gives the inbox a generated codec for its messages.
func (b Inbox[T]) Codecs(c codec.Codec[T]) Inbox[T] {
	b.body = b.body.with(c)
	return b
}

// Name returns the durable name.
func (b Inbox[T]) Name() string { return b.name }

// Receive takes the oldest message that has not been received, or waits for one, holding no worker. It returns [ErrTimeout] when
// none has come within timeout; that outcome is recorded, and a message that comes later is for the next Receive. A timeout of 0
// or less waits for ever.
//
// Where several branches receive from one inbox, the oldest message goes to the branch that asked first. A branch that loses a
// [Race] takes no message with it that it has not received.
func (b Inbox[T]) Receive(ctx Context, timeout time.Duration) (T, error) {
	return b.Go(ctx, timeout).Await(ctx)
}

// Go opens the receive and returns at once.
func (b Inbox[T]) Go(ctx Context, timeout time.Duration) *Future[T] {
	if err := b.check(); err != nil {
		return refused[T](err)
	}
	if q := ctx.sealed().pass.queue; q != b.queue {
		return refused[T](fmt.Errorf("workflow: inbox %s is one of tasks on queue %q, but this task runs on queue %q:"+
			" declare the inbox with that queue", b.name, b.queue, q))
	}
	return start(ctx, b.body, replay.Call{
		Kind:    replay.Message,
		Durable: "$inbox:" + b.name,
		Arg:     &waitCall{name: b.name},
		Timeout: timeout,
		Caller:  caller,

		Detached: true, // as the wait for an event is
	})
}

// Sender is what a message can be sent with: a [Client], or [Tx].
type Sender interface {
	send(ctx context.Context, queue string, m store.Message) (store.Sent, error)
	middleware() clientMiddleware
}

// SendOption is an option of a single message.
type SendOption func(*store.Message)

// MessageKey names a message, so that it can be sent again without being received twice: as long as the task is known, another
// message with the key to the same inbox of the task is dropped, whether the first was received or not. It has at most 1,000 bytes.
func MessageKey(key string) SendOption { return func(m *store.Message) { m.Key = key } }

// Send sends a message to a task. It returns [ErrTaskEnded] when the task has ended and [ErrNotFound] when there is none. With
// [Tx] the message is there when the transaction commits. The messages of one sender arrive in the order of its calls.
//
// To send a message to a task that may have to be made first, see [WithMessage].
func (b Inbox[T]) Send(ctx context.Context, with Sender, to TaskID, message T, opts ...SendOption) error {
	if with == nil || with == (*Client)(nil) {
		return fmt.Errorf("workflow: no message was sent to inbox %s: give Send a Client, or Tx with a transaction", b.name)
	}
	m, err := b.message(message, opts)
	if err != nil {
		return err
	}
	m.Task = to
	var sent store.Sent
	info := &SendInfo{Inbox: b.name, Queue: b.queue, Task: to, Key: m.Key}
	err = with.middleware().send(ctx, info, func(ctx context.Context) (err error) {
		sent, err = with.send(ctx, b.queue, m)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("workflow: no message was sent to inbox %s of task %s on queue %q: %w", b.name, to, b.queue, hint(err))
	case sent == store.SentEnded:
		return fmt.Errorf("workflow: no message was sent to inbox %s of task %s: %w", b.name, to, ErrTaskEnded)
	case sent == store.SentUnknown:
		return fmt.Errorf("%w: %s on queue %q", ErrNotFound, to, b.queue)
	}
	return nil
}

// message returns what is sent, without the task.
func (b Inbox[T]) message(message T, opts []SendOption) (store.Message, error) {
	m := store.Message{Inbox: b.name}
	for _, o := range opts {
		o(&m)
	}
	if err := b.check(); err != nil {
		return m, err
	}
	if len(m.Key) > maxMessageKey || !utf8.ValidString(m.Key) || strings.Contains(m.Key, "\x00") {
		return m, fmt.Errorf("workflow: the key of a message to inbox %s must have at most %d bytes of UTF-8 and no NUL (%w)", b.name, maxMessageKey, ErrInvalidName)
	}
	var err error
	m.Payload, err = b.body.encode(message)
	return m, err
}

// maxMessageKey is the engine's limit, in bytes.
const maxMessageKey = 1000

func (b Inbox[T]) check() error {
	if err := checkName("inbox", b.name); err != nil {
		return fmt.Errorf("%w (%w)", err, ErrInvalidName)
	}
	return nil
}
