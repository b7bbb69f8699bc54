package demo

import "fmt"

// table is the account of every order, in the end.
func (s *stage) table() []string {
	const format = "%-*s  %-10s  %-9s  %8s  %9s  %14s  %6s"
	width := s.idWidth()
	head := fmt.Sprintf(format, width, "order", "task", "state", "attempts", "steps run", "steps replayed", "time")
	lines := []string{"", s.screen.style.faint(head)}
	for _, p := range s.board.orders {
		lines = append(lines, fmt.Sprintf(format, width, p.ID, shortID(p), p.state, fmt.Sprint(p.attempts),
			fmt.Sprint(p.run), fmt.Sprint(p.replayed), fmt.Sprintf("%.1fs", p.elapsed.Seconds())))
	}
	return append(lines, "")
}

// shortID is the end of the task's id: it begins with the time, and so with the same digits for all tasks.
func shortID(p *progress) string {
	id := p.task.String()
	return ".." + id[len(id)-8:]
}

// summary says in words what the table and the ledger come to.
func (s *stage) summary(v verdict) []string {
	run, replayed := 0, 0
	for _, p := range s.board.orders {
		run += p.run
		replayed += p.replayed
	}
	return []string{
		fmt.Sprintf("steps: %d asked for, %d run (%d ran again after the kill), %d replayed from their records",
			v.expected, run, max(0, run-v.expected), replayed),
		fmt.Sprintf("side effects: %d expected, %d seen (%s, %s, %s, %s); the gateway dropped %s",
			v.expected, v.seen, plural(v.kinds[charged], "charge"), plural(v.kinds[reserved], "item")+" packed",
			plural(v.kinds[mailed], "reminder"), plural(v.kinds[refunded], "refund"), plural(v.repeats, "repeat")),
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
