package replay

import "fmt"

// Divergence says how the code and the records disagree: either one record does not fit what was asked for under its name
// (Mismatch), or records were not asked for at all (Recorded).
type Divergence struct {
	Name     string // of the record that does not fit
	Mismatch string // why it does not fit; empty: records were not reached
	Caller   []uintptr

	Recorded []Record // recorded, but not reached by the code
	Reached  []*Op    // reached by the code, but not recorded
}

// take looks a record up and marks it as asked for. Pending records are no outcome: they are handed to the operation as its
// prior attempt, or as the child that it waits for.
func (p *Pass) take(name string) (*entry, bool) {
	e, ok := p.history[name]
	if !ok {
		return nil, false
	}
	e.asked = true
	return e, true
}

func (p *Pass) serve(op *Op, e *entry) {
	switch {
	case e.Outcome == Pending:
		op.Prior = &e.Record
		op.Served = e.Kind == Child // it is on its way
	case op.Kind == Sleep:
		op.Served = true
		op.wake = e.Wake
		op.future.seq = e.seq
		p.wakeIfDue(op)
	default:
		op.Served = true
		op.future.seq = e.seq
		p.Resolve(op, e.Outcome, e.State, e.Time)
	}
}

// mismatch says why the record cannot be the outcome of op. Inputs are compared only where operations are paired by
// order, under a repeated name: there a mix-up would go unnoticed. Comparing them everywhere would turn every field added
// to a payload into a divergence.
func mismatch(e *entry, op *Op, repeat bool) string {
	if e.Kind != op.Kind {
		return fmt.Sprintf("recorded as a %s, the code asks for a %s", e.Kind, op.Kind)
	}
	if e.Kind == Sleep && e.Wake.IsZero() {
		return "the record holds no wake time"
	}
	if repeat && e.Fingerprint != 0 && op.Fingerprint != 0 && e.Fingerprint != op.Fingerprint {
		return "recorded with another input; a repeated name is paired by order, so give the step a key"
	}
	return ""
}

func (p *Pass) diverge(d *Divergence) {
	if p.divergence == nil {
		p.divergence = d
	}
}

// frontier compares what was recorded with what was asked for, when every branch has been served all it can be.
func (p *Pass) frontier() *Divergence {
	var missed []Record
	for _, e := range p.order {
		// A call of Changed may go once the old side is gone: what it decided shows in the other records.
		if e.asked || e.Outcome == Pending && e.Kind != Child || e.Superseded || e.Kind == Patch || p.isDropped(pathOf(e.Name)) {
			continue
		}
		missed = append(missed, e.Record)
	}
	if missed == nil {
		return nil
	}
	d := &Divergence{Recorded: missed}
	for _, op := range p.ops {
		if !op.Served {
			d.Reached = append(d.Reached, op)
		}
	}
	return d
}
