package replay

import "time"

// Kind says what a recorded operation is. The letters are those of the checkpoint table.
type Kind byte

// The kinds of durable operations.
const (
	Step    Kind = 's'
	Sleep   Kind = 'z'
	Event   Kind = 'e'
	Message Kind = 'm'
	Child   Kind = 'c'
	Race    Kind = 'r'
	Patch   Kind = 'p'
	Cancel  Kind = 'k' // a cancel request that the workflow has seen
)

// String returns the word for k that messages use.
func (k Kind) String() string {
	switch k {
	case Step:
		return "step"
	case Sleep:
		return "sleep"
	case Event:
		return "event"
	case Message:
		return "message"
	case Race:
		return "race"
	case Patch:
		return "answer of workflow.Changed"
	case Child:
		return "child"
	case Cancel:
		return "cancel"
	}
	return "operation of kind " + string(rune(k))
}

// Outcome says how a recorded operation ended. The letters are those of the checkpoint table.
type Outcome byte

// The outcomes of a durable operation.
const (
	Value   Outcome = 'v' // the state is the result
	Failure Outcome = 'f' // the state describes the error
	Timeout Outcome = 't' // a wait ended without its event
	Pending Outcome = 'n' // a step between two attempts, a child that has not ended; not an outcome yet

	// Cut is what becomes of an operation that a cancel cuts short. It is never recorded under the operation's name.
	Cut Outcome = 'k'
)

// Record is one stored outcome.
type Record struct {
	Name        string
	Kind        Kind
	Outcome     Outcome
	Superseded  bool      // recorded after a failure that a retry has removed: served if asked for, missed by nobody
	Fingerprint int64     // of the input; 0: none
	Time        time.Time // the engine's time of the outcome
	Wake        time.Time // of a sleep: when it ends
	State       []byte    // JSON; nil: none
}
