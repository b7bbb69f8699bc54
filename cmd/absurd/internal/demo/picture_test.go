package demo

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

func TestPicture(t *testing.T) {
	t.Parallel()
	items := func(n int) []orders.Item { return make([]orders.Item, n) }
	s := &stage{screen: &screen{out: io.Discard, style: newStyle(false)}, board: newBoard([]orders.Order{
		{ID: "cut", Cents: 105, Items: items(3), ReminderSeconds: 2},
		{ID: "large", Cents: 100_001, Items: items(1)},
		{ID: "many", Cents: 1, Items: items(40)},
		{ID: "done", Cents: 1, Items: items(1)},
	})}
	a, b := &child{name: "worker A"}, &child{name: "worker B"}
	step := func(p *progress, worker *child, name string, n int, ended bool) {
		r := report{Task: p.task, Step: name, Checkpoint: fmt.Sprint(name, n), Key: fmt.Sprint(p.ID, name, n)}
		s.board.started(worker, r)
		if ended {
			s.board.ended(worker, r)
		}
	}
	for i, p := range s.board.orders {
		s.board.spawned(p, workflow.TaskID{byte(i)}, time.Now())
		step(p, a, orders.Charge.Name(), 0, true)
	}
	cut, large, many, finished := s.board.orders[0], s.board.orders[1], s.board.orders[2], s.board.orders[3]
	step(cut, a, orders.Pack.Name(), 0, true)
	step(cut, a, orders.Pack.Name(), 1, false)
	s.board.passed(report{Task: large.task, Pass: workflow.PassSuspended})
	for n := range 7 {
		step(many, b, orders.Pack.Name(), n, true)
	}
	step(finished, a, orders.Pack.Name(), 0, true)
	s.finished(outcome{progress: finished, at: time.Now().Add(time.Second)})
	s.killed = a
	s.board.lost(a)
	want := []string{
		"",
		"  order    amount  charge approval  pack         remind  state",
		"  cut        1.05  #                #x.          .       lost with worker A",
		"  large   1000.01  #      waits     .                    sleeping",
		"  many       0.01  #                7 of 40              running on worker B",
		"  done       0.01  #                #                    completed",
		"",
		"  side effects: 50 asked for, 0 done   . not yet  > in hand  x cut off  # done",
	}
	if diff := cmp.Diff(want, s.picture()); diff != "" {
		t.Error(diff)
	}
}

// The picture fits a terminal, however many orders there are, and shows those that are not finished.
func TestPictureOfManyOrders(t *testing.T) {
	t.Parallel()
	var list []orders.Order
	for i := range 100 {
		list = append(list, orders.Order{ID: fmt.Sprintf("o%03d", i), Cents: 1, Items: make([]orders.Item, 1)})
	}
	s := &stage{screen: &screen{out: io.Discard, style: newStyle(false)}, board: newBoard(list)}
	for _, p := range s.board.orders[:95] {
		p.elapsed = time.Second
	}
	lines := s.picture()
	text := strings.Join(lines, "\n")
	if len(lines) > maxPictured || !strings.Contains(text, "o095") || !strings.Contains(text, "o099") || !strings.Contains(text, "more") {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
}
