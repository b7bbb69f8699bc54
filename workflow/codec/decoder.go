package codec

import "strings"

// maxDepth is the depth at which encoding/json gives up too.
const maxDepth = 10000

// A Decoder reads one JSON value. Its first error stops it: every method called after that does nothing, so that generated
// code asks for the error once, in Finish.
type Decoder struct {
	src    []byte
	pos    int
	depth  int
	strict bool   // unknown fields are refused
	keyPos int    // where the last key begins
	buf    []byte // holds strings with escapes
	err    *Error
}

// NewDecoder returns a decoder for src, which it does not change.
func NewDecoder(src []byte) Decoder { return Decoder{src: src} }

// NewStrictDecoder returns a decoder for src that refuses fields which the type has not.
func NewStrictDecoder(src []byte) Decoder { return Decoder{src: src, strict: true} }

// Finish ends decoding and returns the first error, with its place in the type called name.
func (d *Decoder) Finish(name string) error {
	if d.err == nil {
		if d.peek(); d.pos < len(d.src) {
			d.fail(d.pos, "more text behind the value")
		}
	}
	if d.err == nil {
		return nil
	}
	d.err.Path = name + pathAt(d.src, d.err.Offset)
	return d.err
}

func (d *Decoder) fail(at int, what string) {
	if d.err == nil {
		d.err = &Error{Offset: at, What: what}
	}
	d.pos = len(d.src) // so that every loop ends
}

func (d *Decoder) failWith(at int, what string, err error) {
	d.fail(at, what)
	if d.err.Offset == at && d.err.What == what {
		d.err.Err = err
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (d *Decoder) peek() byte {
	for d.pos < len(d.src) {
		switch c := d.src[d.pos]; c {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

// expected fails because the next value is of another kind.
func (d *Decoder) expected(want string) {
	c := d.peek()
	switch kind := kindOf(c); {
	case d.pos >= len(d.src):
		d.fail(d.pos, "expected "+want+", got the end of the text")
	case kind == "":
		d.fail(d.pos, "expected "+want+", got text that is not JSON")
	default:
		at := d.pos
		if d.Skip(); d.err == nil {
			d.fail(at, "expected "+want+", got "+kind)
		}
	}
}

func kindOf(c byte) string {
	switch {
	case c == '"':
		return "string"
	case c == '{':
		return "object"
	case c == '[':
		return "array"
	case c == 't' || c == 'f':
		return "bool"
	case c == 'n':
		return "null"
	case c == '-' || '0' <= c && c <= '9':
		return "number"
	}
	return ""
}

// Null reads null when it is next.
func (d *Decoder) Null() bool { return d.peek() == 'n' && d.literal("null") }

func (d *Decoder) literal(text string) bool {
	if len(d.src)-d.pos < len(text) || string(d.src[d.pos:d.pos+len(text)]) != text {
		d.fail(d.pos, "the text is not JSON")
		return false
	}
	d.pos += len(text)
	return true
}

// Object begins an object and reports whether it has a field. null counts as an object without fields.
func (d *Decoder) Object() bool {
	more, _ := d.begin('{', '}', "object")
	return more
}

// Map begins an object and reports whether it has a field, and whether it is null.
func (d *Decoder) Map() (more, null bool) { return d.begin('{', '}', "object") }

// Array begins an array and reports whether it has an element, and whether it is null.
func (d *Decoder) Array() (more, null bool) { return d.begin('[', ']', "array") }

func (d *Decoder) begin(open, end byte, kind string) (more, null bool) {
	switch d.peek() {
	case open:
	case 'n':
		return false, d.literal("null")
	default:
		d.expected(kind)
		return false, false
	}
	if d.depth++; d.depth > maxDepth {
		d.fail(d.pos, "the value is nested too deeply")
		return false, false
	}
	d.pos++
	if d.peek() == end {
		d.pos++
		d.depth--
		return false, false
	}
	return d.err == nil, false
}

// NextField goes on behind a field's value and reports whether there is another.
func (d *Decoder) NextField() bool { return d.next('}') }

// NextElem goes on behind an element and reports whether there is another.
func (d *Decoder) NextElem() bool { return d.next(']') }

func (d *Decoder) next(end byte) bool {
	switch d.peek() {
	case ',':
		d.pos++
		return true
	case end:
		d.pos++
		d.depth--
	default:
		d.fail(d.pos, "the text is not JSON")
	}
	return false
}

// Key reads a field's name and the colon behind it. The name is valid until the next call.
func (d *Decoder) Key() []byte {
	if d.peek() != '"' {
		d.fail(d.pos, "the text is not JSON")
		return nil
	}
	d.keyPos = d.pos
	key := d.text()
	if d.peek() != ':' {
		d.fail(d.pos, "the text is not JSON")
		return nil
	}
	d.pos++
	return key
}

// Once refuses a field that came before. Each field of a struct has a bit of its own.
func (d *Decoder) Once(seen *uint64, bit uint) {
	if *seen&(1<<bit) != 0 {
		d.Duplicate()
	}
	*seen |= 1 << bit
}

// Duplicate refuses the key that was read last, because it came before.
func (d *Decoder) Duplicate() {
	if d.err == nil {
		d.fail(d.keyPos, "a field comes twice")
	}
}

// Unknown skips the value of a field that the type does not have, or refuses it if the decoder is strict. A field that differs from one of names only in case is
// refused: json.Unmarshal would take it, but only until a field of exactly that name is added.
func (d *Decoder) Unknown(key []byte, names ...string) {
	if d.err != nil {
		return
	}
	for _, name := range names {
		if len(key) >= len(name)/3 && strings.EqualFold(string(key), name) {
			d.fail(d.keyPos, "a field differs in case from "+name)
			return
		}
	}
	if d.strict {
		d.fail(d.pos, "the type has no such field")
		return
	}
	d.Skip()
}

// raw reads any value and returns where it begins, and its text.
func (d *Decoder) raw() (at int, text []byte) {
	d.peek()
	at = d.pos
	d.Skip()
	if d.err != nil {
		return at, nil
	}
	return at, d.src[at:d.pos]
}

// Skip reads any value and forgets it.
func (d *Decoder) Skip() {
	switch c := d.peek(); {
	case c == '"':
		d.text()
	case c == '{':
		for more := d.Object(); more; more = d.NextField() {
			d.Key()
			d.Skip()
		}
	case c == '[':
		for more, _ := d.Array(); more; more = d.NextElem() {
			d.Skip()
		}
	case c == 't':
		d.literal("true")
	case c == 'f':
		d.literal("false")
	case c == 'n':
		d.literal("null")
	case kindOf(c) == "number":
		d.number()
	default:
		d.fail(d.pos, "the text is not JSON")
	}
}
