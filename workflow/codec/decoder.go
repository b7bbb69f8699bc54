package codec

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// maxDepth is the depth at which encoding/json gives up too.
const maxDepth = 10000

// A Decoder reads one JSON value. Its first error stops it: every method called after that does nothing, so that generated
// code asks for the error once, in Finish.
type Decoder struct {
	src    []byte
	pos    int
	depth  int
	keyPos int    // where the last key begins
	buf    []byte // holds strings with escapes
	err    *Error
}

// NewDecoder returns a decoder for src, which it does not change.
func NewDecoder(src []byte) Decoder { return Decoder{src: src} }

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

// Unknown skips the value of a field that the type does not have. A field that differs from one of names only in case is
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
	d.Skip()
}

// Bool reads true or false. null leaves v alone, here and in all methods that follow.
func (d *Decoder) Bool(v *bool) {
	switch d.peek() {
	case 't':
		*v = d.literal("true")
	case 'f':
		if d.literal("false") {
			*v = false
		}
	case 'n':
		d.literal("null")
	default:
		d.expected("bool")
	}
}

// String reads a string.
func (d *Decoder) String(v *string) {
	switch d.peek() {
	case '"':
		*v = string(d.text())
	case 'n':
		d.literal("null")
	default:
		d.expected("string")
	}
}

// Bytes reads base64, or an array of numbers.
func (d *Decoder) Bytes(v *[]byte) {
	switch d.peek() {
	case '"':
		at := d.pos
		text := d.text()
		if d.err != nil {
			return
		}
		b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(b, text)
		if err != nil {
			d.fail(at, "expected base64")
			return
		}
		*v = b[:n]
	case '[':
		b := []byte{}
		for more, _ := d.Array(); more; more = d.NextElem() {
			var c byte
			Uint(d, &c)
			b = append(b, c)
		}
		*v = b
	case 'n':
		if d.literal("null") {
			*v = nil
		}
	default:
		d.expected("string")
	}
}

// Time reads RFC 3339 text.
func (d *Decoder) Time(v *time.Time) {
	at, raw := d.raw()
	if d.err == nil {
		if err := v.UnmarshalJSON(raw); err != nil {
			d.fail(at, "expected a time such as 2006-01-02T15:04:05Z")
		}
	}
}

// Number reads a number, or a string that holds one, as its text.
func (d *Decoder) Number(v *json.Number) {
	switch c := d.peek(); {
	case c == 'n':
		d.literal("null")
	case c == '"':
		at := d.pos
		text := d.text()
		if d.err != nil {
			return
		}
		if inner := NewDecoder(text); inner.number() == nil || inner.pos != len(text) {
			d.fail(at, "expected number, got string")
			return
		}
		*v = json.Number(text)
	case kindOf(c) == "number":
		*v = json.Number(d.number())
	default:
		d.expected("number")
	}
}

// Unmarshaler reads a value through its own UnmarshalJSON.
func (d *Decoder) Unmarshaler(v json.Unmarshaler) {
	at, raw := d.raw()
	if d.err == nil {
		if err := v.UnmarshalJSON(raw); err != nil {
			d.failWith(at, "the value cannot be read", err)
		}
	}
}

// Text reads a string through a type's own UnmarshalText.
func (d *Decoder) Text(v encoding.TextUnmarshaler) {
	switch d.peek() {
	case '"':
	case 'n':
		d.literal("null")
		return
	default:
		d.expected("string")
		return
	}
	at := d.pos
	text := d.text()
	if d.err == nil {
		if err := v.UnmarshalText(text); err != nil {
			d.failWith(at, "the value cannot be read", err)
		}
	}
}

// TextKey turns a key that was just read into a map key with an UnmarshalText of its own.
func (d *Decoder) TextKey(key []byte, v encoding.TextUnmarshaler) {
	if d.err == nil {
		at := d.keyPos
		if err := v.UnmarshalText(bytes.Clone(key)); err != nil {
			d.failWith(at, "a key cannot be read", err)
		}
	}
}

// Any reads a value by reflection. Generated code uses it only for types that it cannot name.
func (d *Decoder) Any(v any) {
	at, raw := d.raw()
	if d.err == nil {
		if err := json.Unmarshal(raw, v); err != nil {
			d.failWith(at, "the value cannot be read", err)
		}
	}
}

// Quoted reads a field with the tag option string: read gets a decoder for the text inside the string. null leaves the
// field alone.
func (d *Decoder) Quoted() (inner Decoder, ok bool) {
	switch d.peek() {
	case '"':
		at := d.pos
		text := d.text()
		if d.err != nil {
			return inner, false
		}
		if c := byte(0); len(text) > 0 {
			if c = text[0]; kindOf(c) != "" && c != '{' && c != '[' {
				inner = NewDecoder(bytes.Clone(text))
				inner.keyPos = at
				return inner, true
			}
		}
		d.fail(at, "expected a value inside the string")
	case 'n':
		d.literal("null")
	default:
		d.expected("string")
	}
	return inner, false
}

// EndQuoted ends what Quoted began.
func (d *Decoder) EndQuoted(inner *Decoder) {
	if inner.err != nil || inner.pos != len(inner.src) {
		d.fail(inner.keyPos, "the string holds a value of another kind")
	}
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

// number reads the text of a number.
func (d *Decoder) number() []byte {
	start, i, src := d.pos, d.pos, d.src
	digits := func() bool {
		from := i
		for i < len(src) && '0' <= src[i] && src[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(src) && src[i] == '-' {
		i++
	}
	ok := false
	if i < len(src) && src[i] == '0' {
		i++
		ok = true
	} else {
		ok = digits()
	}
	if ok && i < len(src) && src[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		d.fail(d.pos, "the text is not JSON")
		return nil
	}
	d.pos = i
	return src[start:i]
}

// Int reads a whole number that fits into T.
func Int[T ~int | ~int8 | ~int16 | ~int32 | ~int64](d *Decoder, v *T) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		if c == 'n' {
			d.literal("null")
			return
		}
		d.expected("number")
		return
	}
	at := d.pos
	text := d.number()
	if d.err != nil {
		return
	}
	n, ok := small(text)
	if !ok {
		var err error
		if n, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			d.fail(at, wrongInteger(text))
			return
		}
	}
	if *v = T(n); int64(*v) != n {
		*v = 0
		d.fail(at, "the number is out of range")
	}
}

// Uint reads a whole number that fits into T.
func Uint[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](d *Decoder, v *T) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		if c == 'n' {
			d.literal("null")
			return
		}
		d.expected("number")
		return
	}
	at := d.pos
	text := d.number()
	if d.err != nil {
		return
	}
	var u uint64
	if n, ok := small(text); ok && text[0] != '-' {
		u = uint64(n)
	} else {
		var err error
		if u, err = strconv.ParseUint(string(text), 10, 64); err != nil {
			d.fail(at, wrongInteger(text))
			return
		}
	}
	if *v = T(u); uint64(*v) != u {
		*v = 0
		d.fail(at, "the number is out of range")
	}
}

// small reads up to 18 digits, which is nearly always enough.
func small(text []byte) (n int64, ok bool) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}

func wrongInteger(text []byte) string {
	if bytes.ContainsAny(text, ".eE") {
		return "expected a whole number"
	}
	return "the number is out of range"
}

// Float reads a number.
func Float[T ~float32 | ~float64](d *Decoder, v *T) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		if c == 'n' {
			d.literal("null")
			return
		}
		d.expected("number")
		return
	}
	at := d.pos
	text := d.number()
	if d.err != nil {
		return
	}
	bits := 64
	if T(1<<24+1) == T(1<<24) {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		d.fail(at, "the number is out of range")
		return
	}
	*v = T(f)
}

// IntKey turns a key that was just read into an integer.
func IntKey[T ~int | ~int8 | ~int16 | ~int32 | ~int64](d *Decoder, key []byte, v *T) {
	n, err := strconv.ParseInt(string(key), 10, 64)
	if *v = T(n); d.err == nil && (err != nil || int64(*v) != n) {
		d.fail(d.keyPos, "a key is not a number in range")
	}
}

// UintKey turns a key that was just read into an integer.
func UintKey[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](d *Decoder, key []byte, v *T) {
	n, err := strconv.ParseUint(string(key), 10, 64)
	if *v = T(n); d.err == nil && (err != nil || uint64(*v) != n) {
		d.fail(d.keyPos, "a key is not a number in range")
	}
}
