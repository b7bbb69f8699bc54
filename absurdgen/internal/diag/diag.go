// Package diag holds what every stage of the generator says about a user's mistake: where it is, which mistake
// it is, what is wrong and what to write instead.
package diag

import (
	"fmt"
	"go/token"
)

// A Problem is one mistake. Positions are resolved, and made relative, only when it is reported.
type Problem struct {
	Pos     token.Pos // of the offending argument, not of the declaration
	Place             // instead of Pos, for a file that was not parsed
	Slug    Slug
	Subject string // what the mistake is about, as "step charge"; may be empty
	What    string // one line: what is wrong and why
	Fix     string // one line: what to write instead; may be empty
	Notes   []Note // other places that take part
}

// A Place is a position in a file that no stage has parsed.
type Place struct {
	File         string
	Line, Column int
}

// A Note is a second position of a Problem.
type Note struct {
	Pos  token.Pos
	Text string
}

// New returns a problem without a subject; the stage that knows the declaration fills it in.
func New(pos token.Pos, slug Slug, fix, what string, args ...any) Problem {
	return Problem{Pos: pos, Slug: slug, What: fmt.Sprintf(what, args...), Fix: fix}
}

// With returns p with one more note.
func (p Problem) With(pos token.Pos, text string) Problem {
	p.Notes = append(p.Notes[:len(p.Notes):len(p.Notes)], Note{Pos: pos, Text: text})
	return p
}
