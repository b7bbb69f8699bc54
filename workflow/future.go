package workflow

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Future is the outcome of something that a workflow has started and not waited for yet.
type Future[Out any] struct {
	future *replay.Future
	value  func(*replay.Branch) (Out, error) // called when future is done
	err    error                             // the call itself was refused
}

// Await waits for the outcome, and returns the errors that Do, Await or Receive of what was started return. It may be called more than
// once, and from other branches than the one that started it.
func (f *Future[Out]) Await(ctx Context) (Out, error) {
	var zero Out
	if f.err != nil {
		return zero, f.err
	}
	b := ctx.sealed().branch
	if err := b.Wait(f.future); err != nil {
		return zero, misuse(err)
	}
	return f.value(b)
}

func refused[Out any](err error) *Future[Out] { return &Future[Out]{err: err} }

func misuse(err error) error { return errors.Join(errMisuse, err) }

var errMisuse = errors.New("workflow: misuse")

// start asks for a durable operation whose recorded value is a T.
func start[T any](ctx Context, out payload[T], c replay.Call) *Future[T] {
	branch := ctx.sealed()
	c.Shielded = branch.shielded
	f, err := branch.branch.Start(c)
	if err != nil {
		return refused[T](misuse(err))
	}
	return &Future[T]{future: f, value: func(b *replay.Branch) (T, error) { return outcome(b, out, f.Op()) }}
}

// outcome turns what is recorded into what the workflow sees.
func outcome[T any](b *replay.Branch, out payload[T], op *replay.Op) (T, error) {
	var zero T
	switch op.Outcome {
	case replay.Timeout:
		return zero, timedOut(op)
	case replay.Cut:
		return zero, ErrCancelled
	case replay.Failure:
		return zero, recordedError(op)
	}
	v, err := out.decode(op.State)
	if err != nil {
		b.Diverge(op, "what is recorded does not fit the code's type: "+err.Error())
	}
	return v, nil
}

// timedOut says which wait it was.
func timedOut(op *replay.Op) error {
	what := "event"
	if op.Kind == replay.Message {
		what = "inbox"
	}
	if call, ok := op.Arg.(*waitCall); ok {
		return fmt.Errorf("%w: %s %s", ErrTimeout, what, call.name)
	}
	return ErrTimeout
}

// recordedError rebuilds the error of a recorded failure.
func recordedError(op *replay.Op) error {
	if op.Kind == replay.Child {
		return childError(op)
	}
	return stepError(op)
}

// stepError does so for a step.
func stepError(op *replay.Op) error {
	var f failure
	e := &StepError{Checkpoint: op.Name}
	if call, ok := op.Arg.(*stepCall); ok {
		e.Step = call.name
	}
	if err := json.Unmarshal(op.State, &f); err != nil {
		f.Message = "the recorded failure cannot be read"
	}
	e.Type, e.Message, e.Attempts, e.Permanent = f.Name, f.Message, f.Attempts, f.Permanent
	return e
}
