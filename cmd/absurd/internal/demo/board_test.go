package demo

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// play is a board of one order with six items, and two workers to act on it.
type play struct {
	*board
	task workflow.TaskID
	a, b *child
}

func newPlay() *play {
	o := orders.Order{ID: "A", Cents: 1}
	for i := range 6 {
		o.Items = append(o.Items, orders.Item{SKU: fmt.Sprint(i)})
	}
	p := &play{board: newBoard([]orders.Order{o}), task: workflow.TaskID{1}, a: &child{name: "A"}, b: &child{name: "B"}}
	p.spawned(p.orders[0], p.task, p.orders[0].began)
	return p
}

func (p *play) step(n int) report {
	return report{Task: p.task, Step: orders.Pack.Name(), Checkpoint: fmt.Sprint(n), Key: fmt.Sprint(p.task, "/0/", n), Attempt: 1}
}

func (p *play) start(w *child, n int) { p.started(w, p.step(n)) }
func (p *play) effect(n int)          { p.effected(p.step(n)) }
func (p *play) end(w *child, n int)   { p.ended(w, p.step(n)) }

// Seven effects are asked for. From four on it is time, if three of a worker's calls are between effect and record and there is a
// record behind them; from five on, any one call is enough.
func TestVictim(t *testing.T) {
	t.Parallel()
	p := newPlay()
	expect := func(when string, want *child) {
		t.Helper()
		if got := p.victim(); got != want {
			t.Errorf("%s: %v", when, got)
		}
	}
	for n := range 3 {
		p.start(p.a, n)
		p.effect(n)
	}
	expect("less than half is done", nil)
	p.start(p.a, 3)
	p.effect(3)
	expect("half is done, and nothing recorded", nil)
	p.end(p.a, 0)
	expect("half is done, one is recorded, three are in hand", p.a)
	p.end(p.a, 1)
	expect("only two are in hand", nil)
	p.start(p.a, 4)
	expect("a call that the gateway has not heard of", nil)
	p.end(p.a, 2)
	p.end(p.a, 3)
	p.effect(4)
	expect("two thirds are done", p.a)
	p.start(p.b, 5)
	p.start(p.b, 6)
	p.effect(5)
	p.effect(6)
	expect("the other has more in hand", p.b)
	p.end(p.a, 4)
	p.end(p.b, 5)
	p.end(p.b, 6)
	expect("nothing is in hand", nil)
}

// What a killed worker had in hand is cut off; the other takes over and runs it again.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	p := newPlay()
	p.start(p.a, 0)
	p.end(p.a, 0)
	p.start(p.a, 1)
	p.effect(1)
	p.start(p.a, 2)
	var names []string
	for _, c := range p.lost(p.a) {
		names = append(names, c.checkpoint)
	}
	if diff := cmp.Diff([]string{"1", "2"}, names); diff != "" {
		t.Error(diff)
	}
	o := p.orders[0]
	if n := o.count(orders.Pack.Name(), cutOff); n != 2 || len(p.inHand) != 0 {
		t.Errorf("%d cut off, %d in hand", n, len(p.inHand))
	}

	if _, _, ok := p.ranAgain(p.step(1).Key); ok {
		t.Error("it ran again before anybody said so")
	}
	again := p.step(1)
	again.Repeat = true
	p.effected(again) // the gateway may be the first to say so
	if _, _, ok := p.ranAgain(p.step(1).Key); ok {
		t.Error("it ran again before the worker said so")
	}
	if _, takenOver := p.started(p.b, p.step(1)); !takenOver {
		t.Error("worker B did not take over")
	}
	if c, _, ok := p.ranAgain(p.step(1).Key); !ok || c.worker != p.b {
		t.Errorf("%v, %+v", ok, c)
	}
	if _, _, ok := p.ranAgain(p.step(1).Key); ok {
		t.Error("it is told twice")
	}
	if _, takenOver := p.started(p.b, p.step(2)); takenOver {
		t.Error("worker B took over twice")
	}
	p.end(p.b, 1)
	p.end(p.b, 2)
	p.passed(report{Task: p.task, Pass: workflow.PassCompleted, Attempt: 1, Replayed: 1})
	if o.run != 5 || o.replayed != 1 || o.attempts != 1 || o.state != "completed" || o.count(orders.Pack.Name(), done) != 3 {
		t.Errorf("%+v", o)
	}
}

// A task that another worker goes on with after a wait was not taken over.
func TestResumeIsNotTakeOver(t *testing.T) {
	t.Parallel()
	p := newPlay()
	p.start(p.a, 0)
	p.end(p.a, 0)
	p.passed(report{Task: p.task, Pass: workflow.PassSuspended, Attempt: 1})
	if _, takenOver := p.started(p.b, p.step(1)); takenOver {
		t.Error("taken over")
	}
	if p, _ := p.started(p.b, report{Task: workflow.TaskID{9}}); p != nil {
		t.Error("a task of somebody else is on the board")
	}
	p.effected(report{Key: workflow.TaskID{9}.String() + "/0/x", Repeat: true})
	if len(p.effects) != 0 || len(p.repeats) != 0 {
		t.Errorf("an effect for somebody else is on the board: %v, %v", p.effects, p.repeats)
	}
}
