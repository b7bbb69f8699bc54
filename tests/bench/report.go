package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// report returns what was measured, in Markdown.
func (b *benchmark) report() string {
	var s strings.Builder
	fmt.Fprintf(&s, "PostgreSQL %s, %d cores shared by server and client, unix socket; %s", b.server.Version, runtime.NumCPU(), strings.Join(durability(b.settings), ", "))
	fmt.Fprintf(&s, ".\nMedians of %d interleaved runs; load average of the machine before and after: %s, %s.", b.reps, b.loads[0], b.loads[1])
	if b.scale != 1 {
		fmt.Fprintf(&s, " Sizes were multiplied by %g.", b.scale)
	}
	s.WriteString("\n\n")
	b.writeRates(&s)
	b.writeCosts(&s)
	b.writePromises(&s)
	return s.String()
}

// durability returns the settings that a reader wants to know: the defaults, then what was set by flags and so won.
func durability(extra map[string]string) []string {
	told := []string{"fsync=on", "synchronous_commit=on"}
	for name, value := range extra {
		told = append(told, name+"="+value)
	}
	slices.Sort(told[2:])
	return told
}

func (b *benchmark) writeRates(s *strings.Builder) {
	s.WriteString("| work | ours | DBOS | River |\n|---|---:|---:|---:|\n")
	for _, r := range plan {
		if b.results[r.id] == nil {
			continue
		}
		fmt.Fprintf(s, "| %s: %s", r.id, r.title)
		for _, system := range systems {
			s.WriteString(" | " + b.cell(r, system))
		}
		s.WriteString(" |\n")
	}
}

// cell is what a row says of a system: its rate, or its latency.
func (b *benchmark) cell(r row, system string) string {
	f, ok := b.figures(r.id, system)
	switch {
	case !ok && b.unavailable(r.id, system) != "":
		return "not available: " + b.unavailable(r.id, system)
	case !ok:
		return "–"
	case r.unit != "":
		return thousands(f.rate) + " " + plurals[r.unit] + "/s"
	}
	text := fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", f.p50, f.p99)
	if r.work == "W5 events" {
		text = fmt.Sprintf("%.2f s; ", f.seconds) + text
	}
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		text += fmt.Sprintf("; %s %.2f", name, f.values[name])
	}
	return text
}

var plurals = map[string]string{"task": "tasks", "step": "steps", "child": "children"}

func (b *benchmark) writeCosts(s *strings.Builder) {
	s.WriteString("\nWhat one task or step costs. Commits are those that write; WAL is counted after a checkpoint, full-page images apart.\n\n")
	s.WriteString("| work | system | server CPU ms | client CPU ms | commits | statements | WAL bytes | full-page bytes |\n|---|---|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range plan {
		for _, system := range systems {
			if f, ok := b.figures(r.id, system); ok && r.unit != "" {
				fmt.Fprintf(s, "| %s, a %s | %s | %.3f | %.3f | %.3f | %.2f | %s | %s |\n", r.id, r.unit, system,
					f.each.ServerCPU, f.client, f.each.Commits, f.each.Statements, thousands(f.each.WAL), thousands(f.each.FullPages))
			}
		}
	}
}

func (b *benchmark) writePromises(s *strings.Builder) {
	s.WriteString("\n| must hold in one run | floor | target | measured | |\n|---|---:|---:|---:|---|\n")
	for _, p := range promises {
		measured, ok := p.measured(b)
		if !ok {
			continue
		}
		bound := func(n float64) string {
			if p.floor == 0 {
				return "–"
			}
			return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", n), "0"), ".")
		}
		fmt.Fprintf(s, "| %s | %s | %s | %.2f | %s |\n", p.text, bound(p.floor), bound(p.target), measured, p.verdict(measured))
	}
}

// thousands writes a whole number with commas.
func thousands(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// The measured section of the page lies between these lines.
const (
	sectionBegin = "<!-- measured: written by make bench -->"
	sectionEnd   = "<!-- end of measured -->"
)

// publish rewrites the measured section of the page, and the plot beside it.
func (b *benchmark) publish(report string) error {
	page, err := os.ReadFile(b.doc)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), sectionBegin)
	_, after, also := strings.Cut(rest, sectionEnd)
	if !ok || !also {
		return fmt.Errorf("%s has no measured section: put the lines %q and %q into it", b.doc, sectionBegin, sectionEnd)
	}
	plot := strings.TrimSuffix(b.doc, filepath.Ext(b.doc)) + ".svg"
	if err := os.WriteFile(plot, []byte(b.plot()), 0o644); err != nil {
		return err
	}
	text := before + sectionBegin + "\n\n![Rates beside DBOS and River](" + filepath.Base(plot) + ")\n\n" + report + "\n" + sectionEnd + after
	return os.WriteFile(b.doc, []byte(text), 0o644)
}
