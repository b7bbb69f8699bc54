package demo

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// board is what the stage manager knows from the reports: of each order how far it is, and who does what. It is a plain data
// structure, fed with one report after the other.
type board struct {
	orders  []*progress
	byTask  map[workflow.TaskID]*progress
	inHand  map[call]*progress // function calls that have started and not ended
	effects map[string]bool    // keys for which the gateway has done something
	repeats map[string]bool    // keys of which it has dropped a repeat
	total   int                // effects that the orders ask for
}

// call is a function call of a step by a worker.
type call struct {
	worker     *child
	key        string // the idempotency key
	checkpoint string
}

// progress is what is known of one order.
type progress struct {
	orders.Order
	task    workflow.TaskID
	began   time.Time
	elapsed time.Duration // set when the result is there

	state    string // in the engine's words: pending, running, sleeping, completed, failed
	worker   *child // the last that ran it
	attempts int
	run      int // function calls of steps, with those that were cut off
	replayed int // steps served from their records, over all passes
	approved bool

	calls map[string]callState // by checkpoint
	steps map[string]string    // step by checkpoint

	shipment orders.Shipment
	err      error
}

// callState is how far a step is.
type callState int

const (
	calling callState = iota + 1
	cutOff
	done
)

func newBoard(list []orders.Order) *board {
	b := &board{
		byTask:  make(map[workflow.TaskID]*progress),
		inHand:  make(map[call]*progress),
		effects: make(map[string]bool),
		repeats: make(map[string]bool),
	}
	for _, o := range list {
		b.orders = append(b.orders, &progress{Order: o, calls: make(map[string]callState), steps: make(map[string]string)})
		b.total += len(expectedEffects(o))
	}
	return b
}

// spawned notes the task of an order.
func (b *board) spawned(p *progress, id workflow.TaskID, now time.Time) {
	p.task, p.state, p.began = id, "pending", now
	b.byTask[id] = p
}

// started notes that a worker calls a step's function.
func (b *board) started(worker *child, r report) (p *progress, takenOver bool) {
	p = b.byTask[r.Task]
	if p == nil {
		return nil, false
	}
	takenOver = p.worker != nil && p.worker != worker && p.state == "running"
	p.worker, p.state = worker, "running"
	p.attempts = max(p.attempts, 1) // the report of the pass may never come
	p.run++
	p.calls[r.Checkpoint], p.steps[r.Checkpoint] = calling, r.Step
	b.inHand[callOf(worker, r)] = p
	return p, takenOver
}

// ended notes that the function has returned.
func (b *board) ended(worker *child, r report) *progress {
	delete(b.inHand, callOf(worker, r))
	p := b.byTask[r.Task]
	if p != nil && r.Error == "" {
		p.calls[r.Checkpoint] = done
	}
	return p
}

// passed notes that a pass has ended.
func (b *board) passed(r report) *progress {
	p := b.byTask[r.Task]
	if p == nil {
		return nil
	}
	p.attempts = max(p.attempts, r.Attempt)
	p.replayed += r.Replayed
	switch r.Pass {
	case workflow.PassCompleted:
		p.state = "completed"
	case workflow.PassFailed:
		p.state = "failed"
	case workflow.PassSuspended:
		p.state = "sleeping"
	case workflow.PassBlocked:
		p.state = "blocked"
	case workflow.PassReleased, workflow.PassRetried:
		p.state = "pending"
	}
	return p
}

// effected notes what the gateway has done or dropped, if it was for one of the orders.
func (b *board) effected(r report) {
	task, _, _ := strings.Cut(r.Key, "/")
	if id, err := workflow.ParseTaskID(task); err != nil || b.byTask[id] == nil {
		return
	}
	b.effects[r.Key] = true
	if r.Repeat {
		b.repeats[r.Key] = true
	}
}

// ranAgain reports whether the worker's call in hand has repeated an effect that the gateway has dropped. What the worker and
// the gateway say about it comes in any order, so it is asked after each of them, and answers with the call once.
func (b *board) ranAgain(key string) (c call, p *progress, ok bool) {
	if b.repeats[key] {
		for c, p := range b.inHand {
			if c.key == key {
				delete(b.repeats, key)
				return c, p, true
			}
		}
	}
	return call{}, nil, false
}

// victim returns the worker to kill, or nil if it is not the moment yet. Half of the work must be done, and the worker must be in
// the middle of steps of which the gateway has had the effect but the record is not written, with records behind them to
// replay. When two thirds are done any one step will do, so that the moment comes with any orders.
func (b *board) victim() *child {
	n := len(b.effects)
	if n*2 < b.total {
		return nil
	}
	late, enough := n*3 >= b.total*2, 3
	if late {
		enough = 1
	}
	count := make(map[*child]int)
	for c, p := range b.inHand {
		if b.effects[c.key] && (late || p.hasRecords()) {
			count[c.worker]++
		}
	}
	var victim *child
	for c, n := range count {
		if n >= enough && (victim == nil || n > count[victim] || n == count[victim] && c.name < victim.name) {
			victim = c
		}
	}
	return victim
}

// cut is a call that nobody will end, and its order.
type cut struct {
	call
	order *progress
}

// lost notes that a worker is gone and returns the calls that it had in hand, in the order of the orders.
func (b *board) lost(worker *child) []cut {
	var list []cut
	for c, p := range b.inHand {
		if c.worker == worker {
			p.calls[c.checkpoint] = cutOff
			list = append(list, cut{c, p})
			delete(b.inHand, c)
		}
	}
	slices.SortFunc(list, func(x, y cut) int {
		return cmp.Or(
			cmp.Compare(slices.Index(b.orders, x.order), slices.Index(b.orders, y.order)),
			cmp.Compare(x.key, y.key))
	})
	return list
}

// hasRecords reports whether some step of the order has ended.
func (p *progress) hasRecords() bool {
	for _, state := range p.calls {
		if state == done {
			return true
		}
	}
	return false
}

// count returns how many calls of the step are in the given state.
func (p *progress) count(step string, s callState) int {
	n := 0
	for checkpoint, state := range p.calls {
		if state == s && p.steps[checkpoint] == step {
			n++
		}
	}
	return n
}

// waitsForApproval reports whether the order needs a clerk who has not looked at it yet.
func (p *progress) waitsForApproval() bool {
	return p.Cents > orders.ApprovalLimit && !p.approved && p.state == "sleeping"
}

func callOf(worker *child, r report) call {
	return call{worker: worker, key: r.Key, checkpoint: r.Checkpoint}
}
