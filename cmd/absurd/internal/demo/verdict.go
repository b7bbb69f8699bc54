package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/examples/orders"
)

// deed is an effect as the orders ask for it, before anybody has given it a key.
type deed struct {
	kind    effectKind
	subject string
	cents   int64
}

// expectedEffects returns what an approved order asks of the gateway: one charge, one reservation an item, and a mail if it has
// a reminder. A refund is never expected, as the demo's clerk approves every order.
func expectedEffects(o orders.Order) []deed {
	list := []deed{{kind: charged, cents: o.Cents}}
	for _, it := range o.Items {
		list = append(list, deed{kind: reserved, subject: it.SKU})
	}
	if o.ReminderSeconds > 0 {
		list = append(list, deed{kind: mailed, subject: o.ID})
	}
	return list
}

// verdict holds the gateway's ledger against the orders.
type verdict struct {
	expected, seen int
	kinds          map[effectKind]int // effects seen
	repeats        int                // calls that the gateway dropped
	complaints     []string           // what is not as it should be, one line each
}

// judge compares. Effects of tasks that are not on the board are nobody's business: on a server of the user's there may be others.
func judge(b *board, ledger []effect) verdict {
	v := verdict{expected: b.total, kinds: make(map[effectKind]int)}
	byTask := make(map[string][]effect)
	for _, e := range ledger {
		id, _, _ := strings.Cut(e.Key, "/")
		byTask[id] = append(byTask[id], e)
	}
	for _, p := range b.orders {
		effects := byTask[p.task.String()]
		tally := make(map[deed]int) // expected minus seen
		for _, d := range expectedEffects(p.Order) {
			tally[d]++
		}
		for _, e := range effects {
			v.seen++
			v.repeats += e.Repeats
			v.kinds[e.Kind]++
			tally[deed{e.Kind, e.Subject, e.Cents}]--
		}
		for _, d := range slices.SortedFunc(maps.Keys(tally), func(x, y deed) int {
			return strings.Compare(string(x.kind)+x.subject, string(y.kind)+y.subject)
		}) {
			switch n := tally[d]; {
			case n > 0:
				v.complain(p, "%d %s missing%s", n, d.kind, of(d))
			case n < 0:
				v.complain(p, "%d %s too many%s", -n, d.kind, of(d))
			}
		}
		if p.err != nil {
			v.complain(p, "%v", p.err)
			continue
		}
		v.checkShipment(p, effects)
	}
	return v
}

// checkShipment compares an order's result with what the gateway has answered.
func (v *verdict) checkShipment(p *progress, effects []effect) {
	answered := func(k effectKind, subject, answer string) bool {
		return slices.ContainsFunc(effects, func(e effect) bool {
			return e.Kind == k && e.Answer == answer && (subject == "" || e.Subject == subject)
		})
	}
	if !answered(charged, "", p.shipment.ChargeID) {
		v.complain(p, "the result names the charge %q, which is none of its own", p.shipment.ChargeID)
	}
	if len(p.shipment.Bins) != len(p.Items) {
		v.complain(p, "the result has %d bins for %d items", len(p.shipment.Bins), len(p.Items))
		return
	}
	for i, bin := range p.shipment.Bins {
		if bin.SKU != p.Items[i].SKU || !answered(reserved, bin.SKU, bin.Name) {
			v.complain(p, "the result has %s in bin %q for item %d, which is %s", bin.SKU, bin.Name, i+1, p.Items[i].SKU)
		}
	}
}

func (v *verdict) complain(p *progress, format string, args ...any) {
	v.complaints = append(v.complaints, "order "+p.ID+": "+fmt.Sprintf(format, args...))
}

func of(d deed) string {
	if d.subject == "" {
		return ""
	}
	return " of " + d.subject
}
