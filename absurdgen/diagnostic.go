package absurdgen

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

// A Diagnostic is one mistake in the user's code.
type Diagnostic struct {
	Slug    string    `json:"slug"` // names the kind of mistake, and stays the same over releases
	Subject string    `json:"subject,omitempty"`
	Message string    `json:"message"`
	Fix     string    `json:"fix,omitempty"` // what to write instead
	At      Position  `json:"at"`
	Related []Related `json:"related,omitempty"`
}

// Related is a second place that takes part in a mistake.
type Related struct {
	At      Position `json:"at"`
	Message string   `json:"message"`
}

// A Position is a place in a file. Line and Column count from 1; they are 0 where only the file is known.
type Position struct {
	File   string `json:"file,omitempty"` // relative to the directory of the run when it is inside, with slashes
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"` // in bytes
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (d Diagnostic) String() string {
	var b strings.Builder
	if d.At.File != "" {
		fmt.Fprintf(&b, "%s: ", d.At)
	}
	if d.Subject != "" {
		fmt.Fprintf(&b, "%s: ", d.Subject)
	}
	fmt.Fprintf(&b, "%s [%s]", d.Message, d.Slug)
	for _, r := range d.Related {
		fmt.Fprintf(&b, "\n\t%s: %s", r.At, r.Message)
	}
	if d.Fix != "" {
		b.WriteString("\n\t" + d.Fix)
	}
	return b.String()
}

// Diagnostics are all mistakes of a run, sorted by position. Run returns them as its error.
type Diagnostics []Diagnostic

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// resolve turns problems into sorted diagnostics without repeats.
func resolve(problems []diag.Problem, fset *token.FileSet, dir string) Diagnostics {
	var ds Diagnostics
	at := func(pos token.Pos) Position {
		p := fset.Position(pos)
		return Position{File: relative(dir, p.Filename), Line: p.Line, Column: p.Column}
	}
	for _, p := range problems {
		d := Diagnostic{Slug: string(p.Slug), Subject: p.Subject, Message: p.What, Fix: p.Fix, At: at(p.Pos)}
		if p.File != "" {
			d.At = Position{File: relative(dir, p.File), Line: p.Line, Column: p.Column}
		}
		for _, n := range p.Notes {
			if n.Pos.IsValid() {
				d.Related = append(d.Related, Related{At: at(n.Pos), Message: n.Text})
			}
		}
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			strings.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column),
			strings.Compare(a.String(), b.String()))
	})
	return slices.CompactFunc(ds, func(a, b Diagnostic) bool { return a.String() == b.String() })
}

// relative names file as seen from dir, or fully when it lies outside.
func relative(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsAbs(file) && filepath.IsLocal(rel) {
		file = rel
	}
	return filepath.ToSlash(file)
}
