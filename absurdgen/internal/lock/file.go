package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A File is a whole lock.
type File struct {
	Entries []Entry // sorted by kind and name
}

// An Entry is one workflow, step, event, inbox, state or payload type, or the record that a change was accepted.
type Entry struct {
	Kind    string // one of kinds
	Name    string // durable name, or path.Name of a type
	Package string // where it is declared; empty for types and acceptances
	Attrs   []Attr // sorted by key
	Ops     []Op   // of a workflow; the fields of a type
}

// An Attr is one property of an entry.
type Attr struct{ Key, Value string }

// An Op is one durable operation, or a block of them. For a type it is a field and its type.
type Op struct {
	Kind string
	Name string // empty for blocks
	Ops  []Op
}

const (
	head    = "# What each workflow does durably. Written by absurdgen; commit it."
	version = "format 1"
)

// Sort puts entries and attributes in order.
func (f *File) Sort() {
	for i := range f.Entries {
		slices.SortFunc(f.Entries[i].Attrs, func(a, b Attr) int { return cmp.Compare(a.Key, b.Key) })
	}
	slices.SortFunc(f.Entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
}

// Find returns the entry of that kind and name, or nil.
func (f *File) Find(kind, name string) *Entry {
	for i := range f.Entries {
		if e := &f.Entries[i]; e.Kind == kind && e.Name == name {
			return e
		}
	}
	return nil
}

// Attr returns the value of a property, or nothing.
func (e *Entry) Attr(key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// Format writes the file. Parse reads the same back.
func (f *File) Format() []byte {
	f.Sort()
	var b strings.Builder
	b.WriteString(head + "\n" + version + "\n")
	for _, e := range f.Entries {
		b.WriteString("\n" + word(e.Kind) + " " + word(e.Name))
		if e.Package != "" {
			b.WriteString(" " + word(e.Package))
		}
		for _, a := range e.Attrs {
			b.WriteString(" " + a.Key + "=" + word(a.Value))
		}
		b.WriteString("\n")
		writeOps(&b, e.Ops, 1)
	}
	return []byte(b.String())
}

func writeOps(b *strings.Builder, ops []Op, depth int) {
	for _, op := range ops {
		b.WriteString(strings.Repeat("\t", depth) + word(op.Kind))
		if op.Name != "" {
			b.WriteString(" " + word(op.Name))
		}
		b.WriteString("\n")
		writeOps(b, op.Ops, depth+1)
	}
}

// Tree returns operations as they stand below an entry.
func Tree(ops []Op) string {
	var b strings.Builder
	writeOps(&b, ops, 1)
	return b.String()
}

// word quotes text that would not be read back as one word.
func word(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || r == '"' || r == '=' || r == '#' || !unicode.IsPrint(r)
	}) {
		return strconv.Quote(text)
	}
	return text
}

// A SyntaxError is a line that Parse cannot read.
type SyntaxError struct {
	Line int
	What string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// Parse reads a file. Its error is a *SyntaxError.
func Parse(text []byte) (*File, error) {
	f := &File{}
	var stack []*[]Op // where the next operation of each depth goes
	versioned := false
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		fail := func(what string) (*File, error) { return nil, &SyntaxError{Line: i + 1, What: what} }
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !versioned {
			if line != version {
				return fail("the file begins with " + strconv.Quote(version))
			}
			versioned = true
			continue
		}
		body := strings.TrimLeft(line, "\t")
		depth := len(line) - len(body)
		words, ok := split(body)
		if !ok || len(words) == 0 {
			return fail("the line is not made of words")
		}
		if depth > 0 {
			if depth > len(stack) || len(words) > 2 {
				return fail("the operation stands under nothing, or has too many words")
			}
			op := Op{Kind: words[0].text}
			if len(words) == 2 {
				op.Name = words[1].text
			}
			into := stack[depth-1]
			if last := &f.Entries[len(f.Entries)-1]; last.Kind == "type" && slices.ContainsFunc(last.Ops, func(o Op) bool { return o.Kind == op.Kind }) {
				return fail("the field " + strconv.Quote(op.Kind) + " stands here twice")
			}
			*into = append(*into, op)
			stack = append(stack[:depth], &(*into)[len(*into)-1].Ops)
			continue
		}
		e, ok := entry(words)
		if !ok {
			return fail("the line is not an entry")
		}
		if f.Find(e.Kind, e.Name) != nil {
			return fail(e.Kind + " " + e.Name + " stands here twice")
		}
		f.Entries = append(f.Entries, e)
		stack = []*[]Op{&f.Entries[len(f.Entries)-1].Ops}
	}
	if !versioned {
		return nil, &SyntaxError{Line: 1, What: "the file begins with " + strconv.Quote(version)}
	}
	f.Sort()
	return f, nil
}

func kinds() []string {
	return []string{"accepted", "event", "inbox", "state", "step", "type", "workflow"}
}

func entry(words []token) (e Entry, ok bool) {
	if len(words) < 2 || words[0].key != "" || words[1].key != "" || !slices.Contains(kinds(), words[0].text) {
		return e, false
	}
	e.Kind, e.Name = words[0].text, words[1].text
	rest := words[2:]
	if len(rest) > 0 && rest[0].key == "" {
		e.Package, rest = rest[0].text, rest[1:]
	}
	for _, w := range rest {
		if w.key == "" || e.Attr(w.key) != "" {
			return e, false
		}
		e.Attrs = append(e.Attrs, Attr{Key: w.key, Value: w.text})
	}
	return e, true
}

type token struct{ key, text string }

// split reads words, key=word among them.
func split(line string) (words []token, ok bool) {
	for line != "" {
		var t token
		if i := strings.IndexAny(line, "= \""); i > 0 && line[i] == '=' {
			t.key, line = line[:i], line[i+1:]
		}
		if strings.HasPrefix(line, `"`) {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, false
			}
			line = line[len(quoted):]
			t.text, _ = strconv.Unquote(quoted)
		} else {
			end := strings.IndexByte(line, ' ')
			if end < 0 {
				end = len(line)
			}
			t.text, line = line[:end], line[end:]
			if t.text == "" || t.text != word(t.text) {
				return nil, false
			}
		}
		words = append(words, t)
		if line != "" {
			if line[0] != ' ' || len(line) == 1 {
				return nil, false
			}
			line = line[1:]
		}
	}
	return words, true
}
