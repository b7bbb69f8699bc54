package replay

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// A cancel that the workflow has seen is a record: "$cancel", then "$cancel#2" and so on, whose state lists the operations that it
// cut short by name. Whatever is recorded under such a name later does not count: every replay cuts it short again. An
// operation without a record that is asked for after a cancel is cut short too, and needs no entry, because nothing is
// ever done for it. Shielded operations, which clean up, are not touched.
//
// A step whose function runs is not cut short before that has returned: a workflow that undoes what a step has done must not
// do so while it is being done.

const cancelRecord = "$cancel"

// ErrDeaf is how a pass ends whose workflow goes on asking for operations though it is told each time that it is cancelled.
var ErrDeaf = errors.New("the workflow was cancelled and does not end: it ignores the error that its durable calls return")

// maxUnheard is how many calls after a cancel, all refused, make a branch a deaf one.
const maxUnheard = 1000

// cut is one observed cancel.
type cut struct {
	at  time.Time
	seq int
}

// Cancelled reports whether a cancel has been observed.
func (p *Pass) Cancelled() bool { return p.cancels > 0 }

// Cancel has the workflow observe a cancel request: every open operation that is neither shielded nor kept is cut short, and so is
// every one that is asked for from now on. The branches see it at the next Run; the record is among the decisions. The operations
// are among the abandoned.
func (p *Pass) Cancel(at time.Time, keep func(*Op) bool) {
	var ops []*Op
	for _, op := range p.ops {
		if !op.future.done && !op.Shielded && op.Kind != Race && !keep(op) {
			ops = append(ops, op)
		}
	}
	p.cutShort(at, ops)
}

// Cut cuts one more operation short, after Cancel.
func (p *Pass) Cut(op *Op, at time.Time) {
	if !op.future.done {
		p.cutShort(at, []*Op{op})
	}
}

func (p *Pass) cutShort(at time.Time, ops []*Op) {
	p.cancels++
	name := cancelRecord
	if p.cancels > 1 {
		name += "#" + strconv.Itoa(p.cancels)
	}
	p.seq++
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = op.Name
		p.abandoned = append(p.abandoned, op)
		p.cut(op, cut{at, p.seq})
	}
	state, err := json.Marshal(names)
	if err != nil { // texts
		panic("replay: " + err.Error())
	}
	p.decisions = append(p.decisions, Record{Name: name, Kind: Cancel, Outcome: Value, Time: at, State: state})
}

func (p *Pass) cut(op *Op, c cut) {
	op.Outcome, op.State = Cut, nil
	op.future.seq = c.seq
	op.future.finish(c.at)
}

// readCancels takes the observed cancels from the history. What cannot be read cut nothing short.
func (p *Pass) readCancels() {
	for _, e := range p.order {
		if e.Kind != Cancel {
			continue
		}
		e.asked = true
		p.cancels++
		var names []string
		if json.Unmarshal(e.State, &names) != nil {
			continue
		}
		if p.cuts == nil {
			p.cuts = make(map[string]cut)
		}
		for _, name := range names {
			p.cuts[name] = cut{e.Time, e.seq}
		}
	}
}

// cancelled answers whether an operation that is asked for now is cut short; e is its record, if there is one.
func (p *Pass) cancelled(op *Op, e *entry) (cut, bool) {
	if op.Shielded || p.cancels == 0 {
		return cut{}, false
	}
	if c, listed := p.cuts[op.Name]; listed {
		return c, true
	}
	if e != nil && e.Outcome != Pending {
		return cut{}, false
	}
	// Of a branch that does not mind, no more is wanted.
	b := op.branch
	if b.unheard++; b.unheard > maxUnheard {
		p.deaf = true
		b.parkForever()
	}
	return cut{b.now, b.seq}, true
}
