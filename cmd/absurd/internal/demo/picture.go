package demo

import (
	"fmt"
	"strings"

	"github.com/absurdgen/absurdgen/examples/orders"
)

// picture is the board as it is drawn on a terminal: one line an order, one mark a step.
func (s *stage) picture() []string {
	const format = "  %-*s %9s  %-6s %-8s  %-12s %-6s  %s"
	width := s.idWidth()
	st := s.screen.style
	lines := []string{"", st.faint(fmt.Sprintf(format, width, "order", "amount", "charge", "approval", "pack", "remind", "state"))}
	shown, hidden := s.board.visible(maxPictured - 5)
	for _, p := range shown {
		lines = append(lines, fmt.Sprintf(format, width, p.ID, amount(p.Cents),
			st.row(p, orders.Charge.Name(), 1), st.approval(p), st.row(p, orders.Pack.Name(), len(p.Items)),
			st.row(p, orders.Remind.Name(), min(p.ReminderSeconds, 1)), s.stateOf(p)))
	}
	if hidden > 0 {
		lines = append(lines, st.faint(fmt.Sprintf("  and %d more", hidden)))
	}
	return append(lines, "", fmt.Sprintf("  side effects: %d asked for, %d done   %s not yet  %s in hand  %s cut off  %s done",
		s.board.total, len(s.board.effects), st.none, st.marks[calling], st.marks[cutOff], st.marks[done]))
}

// visible chooses the orders that fit: all, or else those that are not finished first.
func (b *board) visible(room int) (shown []*progress, hidden int) {
	if len(b.orders) <= room {
		return b.orders, 0
	}
	for _, finished := range []bool{false, true} {
		for _, p := range b.orders {
			if p.finished() == finished && len(shown) < room-1 {
				shown = append(shown, p)
			}
		}
	}
	return shown, len(b.orders) - len(shown)
}

// row draws the n uses of a step.
func (s style) row(p *progress, step string, n int) string {
	const room = 12
	ended, inHand, cut := p.count(step, done), p.count(step, calling), p.count(step, cutOff)
	if n > room {
		return fmt.Sprintf("%d of %d", ended, n)
	}
	row := strings.Repeat(s.marks[done], ended) + strings.Repeat(s.marks[calling], inHand) +
		strings.Repeat(s.marks[cutOff], cut)
	return row + strings.Repeat(s.none, max(0, n-ended-inHand-cut))
}

func (s style) approval(p *progress) string {
	switch {
	case p.Cents <= orders.ApprovalLimit:
		return ""
	case p.approved:
		return s.marks[done]
	case p.waitsForApproval():
		return "waits"
	}
	return s.none
}

func (s *stage) stateOf(p *progress) string {
	switch {
	case p.state == "completed":
		return s.screen.style.good(p.state)
	case p.state != "running" || p.worker == nil:
		return p.state
	case p.worker == s.killed:
		return s.screen.style.bad("lost with " + p.worker.name)
	}
	return "running on " + p.worker.name
}

// idWidth is the width of the column of order ids.
func (s *stage) idWidth() int {
	width := len("order")
	for _, p := range s.board.orders {
		width = max(width, len(p.ID))
	}
	return width
}

func amount(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
