package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/codec"
)

// State is the handle of a state that a workflow shows to others while it goes on, such as its progress. Every task has one of each
// name.
//
//	var Progress = workflow.NewState[Percent]("orders.progress")
//
//	err := Progress.Set(ctx, 40)                 // in the workflow
//	p, err := Progress.Get(ctx, client, task.ID) // anywhere
//
// A state is no record: setting it costs no checkpoint, and a replay sets it again. It is written with what the workflow commits
// next, and before the next step starts.
type State[T any] struct {
	name, queue string
	body        payload[T]
}

// NewState declares a state of the tasks on a queue. Its name is a durable name, as that of a step is.
func NewState[T any](name string, opts ...EventOption) State[T] {
	return State[T]{name: name, queue: eventPolicy(opts).queue, body: payload[T]{what: "state " + name}}
}

// Codecs gives the state a generated codec.
func (s State[T]) Codecs(c codec.Codec[T]) State[T] {
	s.body = s.body.with(c)
	return s
}

// Name returns the durable name.
func (s State[T]) Name() string { return s.name }

// Set shows v, in place of what was set before. Of what several branches set the latest stays, by the time of the branches (see
// [Now]). The error says that v cannot be encoded, or that the context is not the branch's own.
func (s State[T]) Set(ctx Context, v T) error {
	if err := checkName("state", s.name); err != nil {
		return fmt.Errorf("%w (%w)", err, ErrInvalidName)
	}
	if q := ctx.sealed().pass.queue; q != s.queue {
		return fmt.Errorf("workflow: state %s is one of tasks on queue %q, but this task runs on queue %q: declare the state with that queue",
			s.name, s.queue, q)
	}
	data, err := s.body.encode(v)
	if err != nil {
		return err
	}
	return ctx.sealed().note(published, s.name, data)
}

// Get returns what a task shows. It returns [ErrNotSet] when that is nothing yet, and [ErrNotFound] when there is no such task. What a
// task has shown last stays when it has ended.
func (s State[T]) Get(ctx context.Context, c *Client, id TaskID) (T, error) {
	var zero T
	notes, err := c.notes(ctx, s.queue, id)
	if err != nil {
		return zero, err
	}
	var shown map[string]json.RawMessage
	if notes.Published != nil {
		if err := json.Unmarshal(notes.Published, &shown); err != nil {
			return zero, fmt.Errorf("workflow: the state of task %s cannot be read: %w", id, err)
		}
	}
	data, ok := shown[s.name]
	if !ok {
		return zero, fmt.Errorf("%w: %s of task %s", ErrNotSet, s.name, id)
	}
	return s.body.decode(data)
}

// ErrNotSet is what [State.Get] returns while the task has not set the state.
var ErrNotSet = errors.New("workflow: the state is not set yet")

// MaxAttributes is how many attributes a task can have.
const MaxAttributes = 64

// maxAttribute is how many bytes the text of an attribute can have.
const maxAttribute = 1000

// SetAttributes gives the task attributes to search by, in place of those of the same names; an empty text takes one away. They are
// written as a [State] is. Names are durable names, texts have at most 1,000 bytes, and a task has at most [MaxAttributes].
func SetAttributes(ctx Context, attributes map[string]string) error {
	if len(attributes) > MaxAttributes {
		return fmt.Errorf("workflow: %d attributes, the limit is %d", len(attributes), MaxAttributes)
	}
	for name, text := range attributes {
		if err := checkName("attribute", name); err != nil {
			return fmt.Errorf("%w (%w)", err, ErrInvalidName)
		}
		if len(text) > maxAttribute || storable(text) != text {
			return fmt.Errorf("workflow: attribute %s: a text has at most %d bytes of UTF-8 and no NUL", name, maxAttribute)
		}
	}
	for name, text := range attributes {
		data := []byte("null")
		if text != "" {
			data, _ = json.Marshal(text)
		}
		if err := ctx.sealed().note(attribute, name, data); err != nil {
			return err
		}
	}
	return nil
}

// notes are what a pass has to say about its task: by kind and name, the latest of each.
type notes struct {
	all   map[noteKey]note
	fresh bool // something was not handed in for commit
}

type noteKey struct {
	kind noteKind
	name string
}

type noteKind int

const (
	published noteKind = iota
	attribute
)

// note is one value with the place of the branch that set it, so that a replay, in which branches move in another order, comes to the
// same one.
type note struct {
	at    time.Time
	seq   int
	fresh bool
	data  []byte
}

func (c *branchContext) note(kind noteKind, name string, data []byte) error {
	at, seq, err := c.branch.Place()
	if err != nil {
		return misuse(err)
	}
	n := &c.pass.notes
	k := noteKey{kind, name}
	if before, ok := n.all[k]; ok && (before.at.After(at) || before.at.Equal(at) && before.seq > seq) {
		return nil
	}
	if n.all == nil {
		n.all = make(map[noteKey]note)
	}
	n.all[k] = note{at, seq, true, data}
	n.fresh = true
	return nil
}

// take returns what was not handed in yet, as a JSON object; nil where there is nothing.
func (n *notes) take(kind noteKind) []byte {
	var object map[string]json.RawMessage
	for k, v := range n.all {
		if k.kind != kind || !v.fresh {
			continue
		}
		if object == nil {
			object = make(map[string]json.RawMessage)
		}
		object[k.name] = v.data
		v.fresh, v.data = false, nil
		n.all[k] = v
	}
	if object == nil {
		return nil
	}
	data, err := json.Marshal(object)
	if err != nil { // the members are JSON
		panic("workflow: " + err.Error())
	}
	return data
}
