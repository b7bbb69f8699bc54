package replay

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"time"
)

// Branch is one line of execution of a workflow: a coroutine that the pass resumes and that parks itself. Its methods may
// only be called while it runs, from its own coroutine.
type Branch struct {
	pass    *Pass
	path    string
	used    map[string]int // uses of each operation name so far
	forks   int            // branches made so far
	ids     int            // see Ordinal
	now     time.Time
	seq     int  // of the latest outcome that it consumed, in the order of recording
	dead    bool // it has lost a race: it gets no further
	unheard int  // calls that were refused because of a cancel
	changed map[string]*Op
	looked  int // records before this one are served, or none of the branch's; see unserved
	end     Future
	waits   []*Future // what it is parked on: it can run when one of them is done; empty: it can run
	single  [1]*Future
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
}

// ErrForeignContext is what a durable call answers when it is made with the context of another branch, or from a goroutine
// that the workflow started by itself. The pass then fails.
var ErrForeignContext = errors.New("a durable call was made with the context of another branch or from a goroutine of its own:" +
	" use the context that the branch's function was given, and workflow.Go instead of a go statement")

// PanicError is the failure of a branch whose function panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func (p *Pass) newBranch(path string, now time.Time, body func(*Branch) error) *Branch {
	b := &Branch{pass: p, path: path, now: now}
	b.next, b.stop = iter.Pull(func(yield func(struct{}) bool) {
		b.yield = yield
		returned := false
		defer func() {
			// A panic becomes the branch's failure here, with the stack of the place where it happened. While the pass is
			// being stopped nobody asks for it any more.
			r := recover()
			if returned || b.pass.stopped || b.dead {
				return
			}
			if r == nil {
				r = "the workflow called runtime.Goexit"
			}
			b.end.err = &PanicError{Value: r, Stack: debug.Stack()}
		}()
		b.end.err = body(b)
		returned = true
	})
	p.branches = append(p.branches, b)
	return b
}

// Path returns the branch's path; the root's is empty.
func (b *Branch) Path() string { return b.path }

// Now returns the engine's time of the last outcome that the branch consumed.
func (b *Branch) Now() time.Time { return b.now }

// Place returns how far the branch has come: the time and the number of the last outcome that it consumed. The error says that the
// branch does not run.
func (b *Branch) Place() (at time.Time, seq int, err error) {
	return b.now, b.seq, b.enter()
}

// Replaying reports whether the branch has been here before, as far as its records tell: it, or a branch made by it, has some that it
// has not come to yet.
func (b *Branch) Replaying() bool { return b.unserved() }

// Ordinal returns 1, 2, 3 … on successive calls; with the path it seeds ids and random numbers.
func (b *Branch) Ordinal() int {
	b.ids++
	return b.ids
}

// Call describes a durable operation. Durable and Key make up its name.
type Call struct {
	Kind        Kind
	Durable     string
	Key         string
	Fingerprint int64
	Arg         any
	Caller      func() []uintptr // called, if not nil, only where the position can be needed
	Locate      bool             // it will be needed
	Shielded    bool             // a cancel does not cut it short
	Detached    bool             // the workflow may end before it does
	Timeout     time.Duration    // after which it ends by itself, from the branch's time; 0 or less: it does not
}

// Start asks for a durable operation. The future is done at once when the outcome is recorded. The error says that the call
// itself was not allowed.
func (b *Branch) Start(c Call) (*Future, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	p := b.pass
	name, repeat := b.name(c.Durable, c.Key)
	if len(name) > MaxName {
		return nil, fmt.Errorf("the checkpoint name of %s %s would have %d bytes, the limit is %d: shorten its key",
			c.Kind, c.Durable, len(name), MaxName)
	}
	op := &Op{Name: name, Kind: c.Kind, Fingerprint: c.Fingerprint, Arg: c.Arg, Shielded: c.Shielded, Detached: c.Detached,
		Asked: b.now, branch: b, caller: c.Caller}
	op.future.op = op
	if c.Timeout > 0 {
		op.Deadline = b.now.Add(c.Timeout)
	}
	p.ops = append(p.ops, op)
	rec, recorded := p.take(name)
	if recorded {
		if why := mismatch(rec, op, repeat); why != "" {
			b.Diverge(op, why)
		}
	}
	if c, ok := p.cancelled(op, rec); ok {
		op.Served = recorded
		p.cut(op, c)
	} else if recorded {
		p.serve(op, rec)
	}
	// Beyond the frontier nothing can diverge any more.
	if !op.future.done && (!p.live || c.Locate) {
		op.locate()
	}
	return &op.future, nil
}

// Wait parks the branch until f is done and moves the branch's time on to that of the outcome.
func (b *Branch) Wait(f *Future) error {
	if err := b.enter(); err != nil {
		return err
	}
	for !f.done {
		b.single[0] = f
		b.waits = b.single[:]
		b.park()
	}
	b.waits = nil
	f.observed = true
	b.seq = max(b.seq, f.seq)
	if f.time.After(b.now) {
		b.now = f.time
	}
	return nil
}

// WaitAny parks the branch until one of fs is done. It tells neither which nor when, because that depends on timing: the
// branch's time stays, and the caller may use the moment only to start what it would have started anyway.
func (b *Branch) WaitAny(fs []*Future) error {
	if err := b.enter(); err != nil {
		return err
	}
	for !anyDone(fs) {
		b.waits = fs
		b.park()
	}
	b.waits = nil
	return nil
}

func anyDone(fs []*Future) bool {
	for _, f := range fs {
		if f.done {
			return true
		}
	}
	return false
}

// runnable reports whether the branch can move.
func (b *Branch) runnable() bool {
	return !b.end.done && !b.dead && (len(b.waits) == 0 || anyDone(b.waits))
}

// Fork makes a branch that runs body. It first runs when the branches before it have parked.
func (b *Branch) Fork(body func(*Branch) error) (*Future, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	child := b.pass.newBranch(b.childPath(), b.now, body)
	return &child.end, nil
}

// enter refuses calls that do not come from the running branch, and ends the coroutine of a branch that was unwound: a
// body that runs on in a deferred function or after a recover gets no further.
func (b *Branch) enter() error {
	if b.pass.current.Load() != b {
		b.pass.foreign.Store(true)
		return ErrForeignContext
	}
	if b.pass.stopped || b.dead {
		runtime.Goexit()
	}
	return nil
}

// unwind ends the coroutine: the deferred calls of its functions run.
func (b *Branch) unwind() {
	b.pass.current.Store(b)
	defer b.pass.current.Store(nil)
	// Unwinding is a Goexit, which a coroutine passes on to whoever stops it: let that be a goroutine of its own.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b.stop()
	}()
	<-gone
}

func (b *Branch) park() {
	if !b.yield(struct{}{}) || b.pass.stopped || b.dead {
		// Goexit and not a panic: the body cannot recover from it and go on.
		runtime.Goexit()
	}
}

func (b *Branch) parkForever() {
	b.waits = []*Future{{}}
	for {
		b.park()
	}
}

// Diverge ends the pass because the recorded outcome of op cannot be what the code asks for. It does not return.
func (b *Branch) Diverge(op *Op, why string) {
	if op.Caller == nil {
		op.locate() // what was served has needed no position until now
	}
	b.pass.diverge(&Divergence{Name: op.Name, Mismatch: why, Caller: op.Caller})
	b.parkForever()
}
