package codec

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"time"
)

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
		from := json.NewDecoder(bytes.NewReader(raw))
		if d.strict {
			from.DisallowUnknownFields()
		}
		if err := from.Decode(v); err != nil {
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
