package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// judged is a board of one order that came out right, and the ledger for it.
func judged() (*board, []effect) {
	o := orders.Order{ID: "A", Cents: 700, Items: []orders.Item{{SKU: "x"}, {SKU: "x"}, {SKU: "y"}}, ReminderSeconds: 1}
	b := newBoard([]orders.Order{o})
	p := b.orders[0]
	p.task = workflow.TaskID{1}
	p.shipment = orders.Shipment{ChargeID: "c", Bins: []orders.Bin{{SKU: "x", Name: "b1"}, {SKU: "x", Name: "b2"}, {SKU: "y", Name: "b3"}}}
	key := func(s string) string { return p.task.String() + "/0/" + s }
	return b, []effect{
		{Kind: charged, Key: key("charge"), Cents: 700, Answer: "c"},
		{Kind: reserved, Key: key("x"), Subject: "x", Answer: "b1", Repeats: 2},
		{Kind: reserved, Key: key("x#2"), Subject: "x", Answer: "b2"},
		{Kind: reserved, Key: key("y"), Subject: "y", Answer: "b3", Repeats: 1},
		{Kind: mailed, Key: key("mail"), Subject: "A", Answer: "m"},
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	b, ledger := judged()
	// Somebody else's task is nobody's business.
	ledger = append(ledger, effect{Kind: charged, Key: workflow.TaskID{9}.String() + "/0/charge", Cents: 1, Repeats: 7})
	v := judge(b, ledger)
	want := verdict{expected: 5, seen: 5, repeats: 3, kinds: map[effectKind]int{charged: 1, reserved: 3, mailed: 1}}
	if diff := cmp.Diff(want, v, cmp.AllowUnexported(verdict{})); diff != "" {
		t.Error(diff)
	}
}

func TestJudgeComplains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(p *progress, ledger []effect) []effect
		want  string
	}{
		{"charged twice", func(p *progress, l []effect) []effect {
			twice := l[0]
			twice.Key += "!"
			return append(l, twice)
		}, "1 charge too many"},
		{"not charged", func(p *progress, l []effect) []effect { return l[1:] }, "1 charge missing"},
		{"another amount", func(p *progress, l []effect) []effect {
			l[0].Cents++
			return l
		}, "charge"},
		{"an item not packed", func(p *progress, l []effect) []effect { return append(l[:3:3], l[4]) }, "1 reserve missing of y"},
		{"an item packed twice", func(p *progress, l []effect) []effect { return append(l, l[3]) }, "1 reserve too many of y"},
		{"a mail too many", func(p *progress, l []effect) []effect { return append(l, l[4]) }, "1 mail too many of A"},
		{"a refund", func(p *progress, l []effect) []effect {
			return append(l, effect{Kind: refunded, Key: l[0].Key + "!", Subject: "c"})
		}, "1 refund too many of c"},
		{"failed", func(p *progress, l []effect) []effect {
			p.err = workflow.ErrCancelled
			return l
		}, "cancelled"},
		{"somebody else's charge", func(p *progress, l []effect) []effect {
			p.shipment.ChargeID = "d"
			return l
		}, `the charge "d"`},
		{"a bin lost", func(p *progress, l []effect) []effect {
			p.shipment.Bins = p.shipment.Bins[1:]
			return l
		}, "2 bins for 3 items"},
		{"bins out of order", func(p *progress, l []effect) []effect {
			p.shipment.Bins[1], p.shipment.Bins[2] = p.shipment.Bins[2], p.shipment.Bins[1]
			return l
		}, "item 2"},
		{"a bin made up", func(p *progress, l []effect) []effect {
			p.shipment.Bins[0].Name = "b9"
			return l
		}, `"b9"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, ledger := judged()
			v := judge(b, c.spoil(b.orders[0], ledger))
			if text := strings.Join(v.complaints, "\n"); !strings.Contains(text, "order A: ") || !strings.Contains(text, c.want) {
				t.Errorf("complaints: %q, want %q", text, c.want)
			}
		})
	}
}
