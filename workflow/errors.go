package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

var (
	// ErrTimeout is what [Event.Await] and [Inbox.Receive] return when nothing came in time. The timeout is recorded: what
	// comes later does not change what the workflow sees.
	ErrTimeout = errors.New("workflow: the wait timed out")

	// ErrNotFound is returned for a task that does not exist, or no longer: finished tasks are cleaned up after a while.
	ErrNotFound = errors.New("workflow: no such task")

	// ErrTaskEnded is what [Inbox.Send] returns for a task that has ended.
	ErrTaskEnded = db.ErrTaskEnded

	// ErrOtherWorkflow is what Attach returns for a task that runs another workflow.
	ErrOtherWorkflow = errors.New("workflow: the task runs another workflow")

	// ErrInvalidName is returned for a queue, an event or an inbox whose name or key cannot be one.
	ErrInvalidName = db.ErrInvalidName

	// ErrNotUnique is what Spawn returns for a unique key that an open task has, where it is to be refused.
	ErrNotUnique = db.ErrNotUnique

	// ErrInvalidOption is what Spawn returns for an option that is out of its range.
	ErrInvalidOption = db.ErrInvalidOption

	// ErrKeyReused is what Spawn returns for an idempotency key that was used with another input.
	ErrKeyReused = db.ErrKeyReused

	// ErrCancelled is what [Task.Result] returns for a task that was cancelled, and what durable calls return to its workflow (see
	// [Task.Cancel]). It is also the cause with which the contexts of its steps end.
	ErrCancelled = errors.New("workflow: the task was cancelled")

	// ErrLeaseLost is the cause with which a step's context is cancelled when its worker could not renew its lease: the
	// run goes to another worker, and nothing that this step returns will be recorded.
	ErrLeaseLost = errors.New("workflow: the worker lost its lease")

	// ErrShutdown is the cause with which a step's context is cancelled when its worker stops and the step did not end in time.
	ErrShutdown = errors.New("workflow: the worker is shutting down")
)

// StepError is what a step returns to its workflow when its last attempt has failed. It is recorded: replay returns the
// same error. It carries texts and no wrapped error, because what was recorded must be enough to rebuild it.
type StepError struct {
	Step       string // the durable name
	Checkpoint string // the name under which the failure is recorded
	Type       string // the Go type of the error that the step returned
	Message    string // its text
	Attempts   int    // how many were made
	Permanent  bool   // the step said that another attempt cannot cure it; a workflow with attempts of its own makes one all the same
}

func (e *StepError) Error() string {
	return fmt.Sprintf("step %s: %s", e.Step, e.Message)
}

// TaskError is why a task failed. [Task.Result] returns it.
type TaskError struct {
	Task    TaskID
	Type    string // the Go type of the error that the workflow returned, or a name that begins with $ when the runtime failed it
	Message string
}

func (e *TaskError) Error() string {
	return fmt.Sprintf("workflow: task %s failed: %s", e.Task, e.Message)
}

// MissingDependency returns the error with which a generated Register refuses a Deps whose field is nil.
func MissingDependency(field string) error {
	return fmt.Errorf("workflow: %s is nil: give Register the receiver that its steps run on", field)
}

// failure is how an error is stored: in a step's checkpoint and in a failed task. The first two fields are those that every
// client of the Absurd tables writes.
type failure struct {
	Name      string          `json:"name"`
	Message   string          `json:"message"`
	Stack     string          `json:"stack,omitempty"`
	Attempts  int             `json:"attempts,omitempty"`
	Permanent bool            `json:"permanent,omitempty"` // of a step: another attempt cannot cure it
	Next      *time.Time      `json:"next,omitempty"`      // of a step between two attempts: when it is tried again
	Heartbeat json.RawMessage `json:"heartbeat,omitempty"` // of a step without an outcome: how far it had come
	Code      string          `json:"code,omitempty"`      // of a blocked task: what the worker ran that could not go on with it
	Records   []string        `json:"records,omitempty"`   // of a task: the failed checkpoints behind its failure, removed by a retry
}

// newFailure describes err in a form that can always be stored.
func newFailure(err error) failure {
	named := err
	if p, ok := errors.AsType[*PermanentError](err); ok {
		named = p.Err
	}
	if r, ok := named.(*RetryError); ok { //nolint:errorlint // a mark around the whole
		named = r.Err
	}
	return failure{Name: strings.TrimPrefix(fmt.Sprintf("%T", named), "*"), Message: storable(err.Error())}
}

// storable makes a text storable in jsonb, which has no NUL character.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", `\0`)
}

// failedRecords returns the checkpoints of the failed steps and children that err wraps, directly or through joined errors.
func failedRecords(err error) []string {
	var names []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // the walk itself unwraps, and wants every one
		case *StepError:
			names = append(names, e.Checkpoint)
		case *ChildError:
			names = append(names, e.Checkpoint)
		}
		switch u := err.(type) { //nolint:errorlint // as above
		case interface{ Unwrap() error }:
			if next := u.Unwrap(); next != nil {
				walk(next)
			}
		case interface{ Unwrap() []error }:
			for _, next := range u.Unwrap() {
				walk(next)
			}
		}
	}
	if err != nil {
		walk(err)
	}
	return names
}
