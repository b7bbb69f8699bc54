package replay

import (
	"strconv"
	"strings"
)

// race is a race that a branch waits for. It is decided when nothing else moves: of the branches that have ended by then,
// the one whose last outcome came first has won. So a replay that lacks the decision, but not the outcomes that led
// to it, comes to the same one.
type race struct {
	op       *Op
	children []*Branch
}

// Race makes a branch for each body and waits until one has ended; that one has won. The decision is recorded. The others get
// no further: they are dropped with all that they have started.
func (b *Branch) Race(caller func() []uintptr, bodies []func(*Branch) error) (winner int, end *Future, err error) {
	f, err := b.Start(Call{Kind: Race, Durable: "$race", Caller: caller})
	if err != nil {
		return 0, nil, err
	}
	r := &race{op: f.op}
	for _, body := range bodies {
		r.children = append(r.children, b.pass.newBranch(b.childPath(), b.now, body))
	}
	if !f.done {
		b.pass.races = append(b.pass.races, r)
	} else if n, ok := r.winner(); ok {
		r.drop(b.pass, n)
	} else {
		b.Diverge(f.op, "the recorded winner is not one of the branches")
	}
	if err := b.Wait(f); err != nil {
		return 0, nil, err
	}
	winner, _ = r.winner()
	end = &r.children[winner].end
	if err := b.Wait(end); err != nil {
		return 0, nil, err
	}
	return winner, end, nil
}

func (r *race) winner() (int, bool) {
	n, err := strconv.Atoi(string(r.op.State))
	return n, err == nil && n >= 0 && n < len(r.children)
}

// decideRaces decides the races of which a branch has ended. It reports whether there was one.
func (p *Pass) decideRaces() bool {
	decided := false
	open := p.races[:0]
	for _, r := range p.races {
		winner := -1
		for i, c := range r.children {
			if c.end.done && (winner < 0 || c.endedBefore(r.children[winner])) {
				winner = i
			}
		}
		if r.op.branch.dead || winner < 0 || p.othersEnd(r, winner) {
			if !r.op.branch.dead {
				open = append(open, r)
			}
			continue
		}
		decided = true
		p.decide(r.op, []byte(strconv.Itoa(winner)))
		r.drop(p, winner)
	}
	clear(p.races[len(open):])
	p.races = open
	return decided
}

// othersEnd reports whether another branch of the race waits for something that has ended by itself before the winner did, which is not
// recorded yet. The store is to say how: a task that was not looked at for a while has its races decided as if it had been.
func (p *Pass) othersEnd(r *race, winner int) bool {
	end := r.children[winner].now
	for _, op := range p.ops {
		if op.future.done || op.Deadline.IsZero() || !op.Deadline.Before(end) {
			continue
		}
		for i, c := range r.children {
			if path := op.branch.path; i != winner && (path == c.path || strings.HasPrefix(path, c.path+".")) {
				return true
			}
		}
	}
	return false
}

// endedBefore compares by the time of the last outcome, which for a sleep is its end, and then by the order of recording.
func (b *Branch) endedBefore(other *Branch) bool {
	if !b.now.Equal(other.now) {
		return b.now.Before(other.now)
	}
	return b.seq < other.seq
}

// decide gives an operation an outcome that the replay itself comes to, and has the driver record it.
func (p *Pass) decide(op *Op, state []byte) {
	rec := Record{Name: op.Name, Kind: op.Kind, Outcome: Value, Time: op.branch.now, State: state}
	p.decisions = append(p.decisions, rec)
	p.Resolve(op, Value, state, op.branch.now)
}

// Decisions returns the records of decisions that the pass has come to since the last call. They are committed before
// anything that follows from them.
func (p *Pass) Decisions() []Record {
	if !p.live {
		return nil
	}
	d := p.decisions
	p.decisions = nil
	return d
}

// drop ends the branches that have lost, and all branches that they have made.
func (r *race) drop(p *Pass, winner int) {
	for i, c := range r.children {
		if i != winner {
			p.dropped = append(p.dropped, c.path)
		}
	}
	for _, b := range p.branches {
		b.dead = b.dead || p.isDropped(b.path)
	}
	for _, op := range p.ops {
		if !op.future.done && p.isDropped(op.branch.path) { // also those of branches that have ended
			p.abandoned = append(p.abandoned, op)
			op.future.finish(p.now)
		}
	}
}

// Abandoned returns the operations that were dropped with their branches since the last call. The driver stops what it does
// for them; an outcome that arrives all the same is not recorded.
func (p *Pass) Abandoned() []*Op {
	a := p.abandoned
	p.abandoned = nil
	return a
}

// isDropped reports whether path is that of a branch that has lost a race, or of one made by such a branch.
func (p *Pass) isDropped(path string) bool {
	for _, d := range p.dropped {
		if path == d || strings.HasPrefix(path, d+".") {
			return true
		}
	}
	return false
}

// pathOf returns the branch path in a checkpoint name. Durable names begin with a letter or a $, paths with a digit.
func pathOf(name string) string {
	path, _, found := strings.Cut(name, "/")
	if !found || path == "" || path[0] < '0' || path[0] > '9' {
		return ""
	}
	return path
}
