package replay

import "time"

// Future is an outcome that a branch may wait for: of a durable operation, or of a branch.
type Future struct {
	done     bool
	observed bool
	time     time.Time
	seq      int // in the order of recording
	op       *Op // nil: the end of a branch
	err      error
}

// Done reports whether the outcome is there.
func (f *Future) Done() bool { return f.done }

// Op returns the operation whose outcome f is, or nil when f is the end of a branch.
func (f *Future) Op() *Op { return f.op }

// Err returns the error that the branch ended with; nil for operations.
func (f *Future) Err() error { return f.err }

func (f *Future) finish(at time.Time) {
	f.done = true
	f.time = at
}

// Op is a durable operation that a branch has asked for. The fields up to Arg describe it and never change; State and
// Outcome are its outcome once it is there.
type Op struct {
	Name        string // the checkpoint name
	Kind        Kind
	Fingerprint int64
	Shielded    bool      // a cancel does not cut it short
	Detached    bool      // the workflow may end before it does
	Arg         any       // what the driver needs to perform it; the package never looks inside
	Caller      []uintptr // the stack of the call, for messages
	Asked       time.Time // the branch's time when it asked
	Deadline    time.Time // when it ends by itself, counted from then, so that a replay comes to the same; zero: it does not

	Outcome Outcome
	State   []byte
	Served  bool    // the outcome came from the history
	Prior   *Record // the pending record of an earlier attempt, if any

	future Future
	branch *Branch
	caller func() []uintptr
	wake   time.Time // of a recorded sleep: when it ends
}

func (o *Op) locate() {
	if o.caller != nil {
		o.Caller = o.caller()
	}
}

// Wake returns when the operation ends by itself: the wake time of a started sleep, else the zero time.
func (o *Op) Wake() time.Time { return o.wake }
