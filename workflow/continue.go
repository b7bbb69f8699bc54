package workflow

import (
	"errors"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Continue returns the error with which a workflow ends to begin anew with another input: one that runs for ever, or through a
// long list, so keeps its history short.
//
//	//absurd:workflow name=billing.month
//	func month(ctx workflow.Context, m Month) error {
//		...
//		return Billing.Continue(m.Next())
//	}
//
// The task keeps its id, parent, idempotency key, tenant, and unread messages; its records go, and its attempts count from one
// again. Whoever waits for its result waits on. Only the workflow itself may be continued, and it must return the error as it is
// or wrapped.
func (f Flow[In, Out]) Continue(in In) error {
	params, err := f.in.encode(in)
	if err != nil {
		return err
	}
	return &ContinueError{workflow: f.spec.name, params: params}
}

// Continue is as [Flow.Continue].
func (f FlowIn[In]) Continue(in In) error { return f.flow.Continue(in) }

// Continue is as [Flow.Continue].
func (f FlowOut[Out]) Continue() error { return f.flow.Continue(None{}) }

// Continue is as [Flow.Continue].
func (f FlowOnly) Continue() error { return f.flow.Continue(None{}) }

// ContinueError is what [Flow.Continue] returns.
type ContinueError struct {
	workflow string
	params   []byte
}

func (e *ContinueError) Error() string {
	return "workflow " + e.workflow + " continues with a new input"
}

// continues looks for a wish to continue in what the workflow returned. It reports whether it has ended the pass.
func (p *pass) continues(err error) bool {
	next, ok := errors.AsType[*ContinueError](err)
	if !ok || next.workflow != p.claimed.Name {
		return false
	}
	p.end(&store.Unit{Action: store.Continue, Payload: next.params}, PassContinued)
	return true
}

// continueMisuse says what is wrong with continuing another workflow.
func (p *pass) continueMisuse(err error) error {
	next, ok := errors.AsType[*ContinueError](err)
	if !ok {
		return err
	}
	return Permanent(fmt.Errorf("workflow: %s cannot continue as %s: use the Continue of its own handle", p.claimed.Name, next.workflow))
}
