package replay

import (
	"maps"
	"sync/atomic"
	"time"
)

// Config is what a pass is made of.
type Config struct {
	History []Record                      // in the order in which they were recorded
	Start   time.Time                     // the time of the root branch before its first outcome
	Now     time.Time                     // the engine's time, until Advance tells a later one
	Body    func(*Branch) ([]byte, error) // the workflow
}

// Status says where a pass stands after Run.
type Status int

// The states of a pass.
const (
	Parked   Status = iota // every branch waits for an outcome; Wants says which are new
	Done                   // the workflow and all its branches have ended; see Result
	Diverged               // the code and the records disagree; see Divergence
)

// Pass is one execution of a workflow function, from claim to suspension or end. It is not safe for concurrent use.
type Pass struct {
	history map[string]*entry
	seq     int // of the latest outcome
	order   []*entry
	live    bool
	now     time.Time

	branches []*Branch
	current  atomic.Pointer[Branch] // the branch that runs; atomic so that a misuse from another goroutine is found, not a race
	foreign  atomic.Bool
	stopped  bool

	ops    []*Op // all operations asked for, in order
	wanted int   // ops before this index were looked at by Wants
	wants  []*Op // what Wants answered last: its room is used again

	failures  []failed // in the order of failing
	races     []*race  // undecided
	decisions []Record // come to, and not fetched by the driver yet
	cancels   int      // observed
	cuts      map[string]cut
	deaf      bool     // see ErrDeaf
	dropped   []string // the paths of branches that have lost a race
	abandoned []*Op    // dropped with them, and not fetched by the driver yet

	root       *Branch
	result     []byte
	divergence *Divergence
}

type entry struct {
	Record
	seq   int
	asked bool
}

// New makes a pass. Nothing runs before Run.
func New(c Config) *Pass {
	p := &Pass{now: c.Now, live: len(c.History) == 0}
	if !p.live {
		p.history = make(map[string]*entry, len(c.History))
		p.order = make([]*entry, 0, len(c.History))
		for i, r := range c.History {
			e := &entry{Record: r, seq: i + 1}
			p.history[r.Name] = e
			p.order = append(p.order, e)
		}
		p.seq = len(p.order)
		p.readCancels()
	}
	p.root = p.newBranch("", c.Start, func(b *Branch) error {
		v, err := c.Body(b)
		p.result = v
		return err
	})
	return p
}

// Run resumes branches until none can move, and makes the frontier check when that happens for the first time.
func (p *Pass) Run() Status {
	for {
		p.settle()
		switch {
		case p.divergence != nil:
			return Diverged
		case p.deaf:
			return Done
		case !p.live:
			if d := p.frontier(); d != nil {
				p.divergence = d
				return Diverged
			}
			p.live = true
			p.forgetServed()
			continue // a body that asks whether it replays may go on differently in its logs only; nothing moved
		case p.ended():
			return Done
		default:
			return Parked
		}
	}
}

// settle resumes every branch that can run, in the order in which they were made, until all are parked or ended.
func (p *Pass) settle() {
	for moved := true; moved && p.divergence == nil; moved = moved || p.decideRaces() {
		moved = false
		for i := 0; i < len(p.branches) && p.divergence == nil; i++ {
			b := p.branches[i]
			if !b.runnable() {
				continue
			}
			moved = true
			p.current.Store(b)
			_, parked := b.next()
			p.current.Store(nil)
			if !parked {
				b.end.finish(b.now)
				b.end.seq = b.seq
				if b.end.err != nil && b != p.root {
					p.failures = append(p.failures, failed{&b.end, b.path})
				}
			}
		}
		p.compact()
	}
	p.compact() // the last round may have decided a race
}

// compact forgets branches that have ended, so that a workflow that makes many of them does not walk over all at every
// turn, and unwinds those that were dropped.
func (p *Pass) compact() {
	kept := p.branches[:0]
	for _, b := range p.branches {
		switch {
		case b == p.root || !b.end.done && !b.dead:
			kept = append(kept, b)
		case !b.end.done:
			b.unwind()
		}
	}
	clear(p.branches[len(kept):])
	p.branches = kept
}

// ended reports whether every branch has returned and every operation that is not detached has its outcome: parallelism is
// structured, so a workflow ends when all it started has ended.
func (p *Pass) ended() bool {
	if !p.root.end.done || len(p.branches) > 1 {
		return false
	}
	for _, op := range p.ops {
		if !op.future.done && !op.Detached {
			return false
		}
	}
	return true
}

// Wants returns the operations that branches have asked for and that have no record, each once, in the order of asking. It
// returns none before the frontier check has passed. The slice is good until the next call.
func (p *Pass) Wants() []*Op {
	if !p.live {
		return nil
	}
	clear(p.wants) // what is done by now is not to be kept
	wants := p.wants[:0]
	for ; p.wanted < len(p.ops); p.wanted++ {
		if op := p.ops[p.wanted]; !op.future.done && op.wake.IsZero() && op.Kind != Race { // races are decided here
			wants = append(wants, op)
		}
	}
	p.forgetDone()
	p.wants = wants
	return wants
}

// forgetServed drops the records that were asked for, when the frontier is passed: a pass may be parked for long, and nobody asks
// twice.
func (p *Pass) forgetServed() {
	p.order = nil
	maps.DeleteFunc(p.history, func(_ string, e *entry) bool { return e.asked })
}

// forgetDone drops finished operations that were looked at: what stays is bounded by what is open, not by the history.
func (p *Pass) forgetDone() {
	kept := p.ops[:0]
	for _, op := range p.ops {
		if !op.future.done {
			kept = append(kept, op)
		}
	}
	clear(p.ops[len(kept):])
	p.ops = kept
	p.wanted = len(kept)
}

// Branches returns how many branches have not ended.
func (p *Pass) Branches() int { return len(p.branches) }

// Open returns the operations that have been asked for and have no outcome yet, in the order of asking.
func (p *Pass) Open() []*Op {
	var open []*Op
	for _, op := range p.ops {
		if !op.future.done {
			open = append(open, op)
		}
	}
	return open
}

// NextWake returns when the first of the open sleeps ends; the zero time when there is none.
func (p *Pass) NextWake() (at time.Time) {
	for _, op := range p.ops {
		if !op.future.done && !op.wake.IsZero() && (at.IsZero() || op.wake.Before(at)) {
			at = op.wake
		}
	}
	return at
}

// Resolve gives op its outcome. The branches that wait for it move at the next Run.
func (p *Pass) Resolve(op *Op, out Outcome, state []byte, at time.Time) {
	if op.future.done {
		return // it was abandoned meanwhile
	}
	op.Outcome, op.State = out, state
	op.future.finish(at)
	if op.future.seq == 0 {
		p.seq++
		op.future.seq = p.seq
	}
	if out == Failure {
		p.failures = append(p.failures, failed{&op.future, op.branch.path})
	}
}

// StartSleep tells that the sleep op is recorded to end at wake.
func (p *Pass) StartSleep(op *Op, wake time.Time) {
	op.wake = wake
	p.wakeIfDue(op)
}

// Advance tells the engine's time and ends the sleeps that are over by then. Before the frontier check it does nothing: the history is as
// of the time that New was given, and what was recorded after that may have come before the end of a sleep.
func (p *Pass) Advance(now time.Time) {
	if !p.live || !now.After(p.now) {
		return
	}
	p.now = now
	for _, op := range p.ops {
		if !op.future.done && !op.wake.IsZero() {
			p.wakeIfDue(op)
		}
	}
}

// wakeIfDue ends a sleep whose time has come. Its time is the wake time, not the time at which somebody looked: the same
// on every replay.
func (p *Pass) wakeIfDue(op *Op) {
	if !p.now.Before(op.wake) {
		p.Resolve(op, Value, nil, op.wake)
	}
}

// failed is the failure of a branch, or of an operation of it.
type failed struct {
	*Future
	path string // of the branch
}

// Unobserved returns the first failure of an operation or a branch whose outcome nobody has waited for; nil if there is none.
// Those of branches that have lost a race do not count: a replay from the decision does not run them.
func (p *Pass) Unobserved() *Future {
	for _, f := range p.failures {
		if !f.observed && !p.isDropped(f.path) {
			return f.Future
		}
	}
	return nil
}

// Result returns what the workflow returned.
func (p *Pass) Result() ([]byte, error) {
	if p.foreign.Load() {
		return nil, ErrForeignContext
	}
	if p.deaf {
		return nil, ErrDeaf
	}
	return p.result, p.root.end.err
}

// Divergence returns how the code and the records disagree; nil unless Run returned Diverged.
func (p *Pass) Divergence() *Divergence { return p.divergence }

// Stop ends the pass: the coroutines of parked branches are unwound, their deferred calls run. Nothing may be called
// after it. It returns when no coroutine is left.
func (p *Pass) Stop() {
	p.stopped = true
	for _, b := range p.branches {
		if !b.end.done {
			b.unwind()
		}
	}
}
