// Package jsonb knows in which form PostgreSQL gives back a document that was stored as jsonb: keys in another order and each
// once, numbers written out, other spaces. What a workflow sees of a value must not depend on whether it comes from the step
// that has just returned it or from its record, so values whose type keeps the text are brought into that form at once.
//
//	jsonb.Normalize([]byte(`{"bb":1e2,"a":[1.50,-0]}`)) // {"a": [1.50, 0], "bb": 100}
package jsonb

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Normalize returns the text in which PostgreSQL gives back doc. What is no JSON, or nothing that jsonb can hold, comes back as it is:
// the database will refuse it.
func Normalize(doc []byte) []byte {
	if !json.Valid(doc) {
		return doc
	}
	r := reader{rest: doc}
	out := r.value(make([]byte, 0, len(doc)+len(doc)/4))
	if r.refused {
		return doc
	}
	return out
}

// reader goes through a valid document.
type reader struct {
	rest    []byte
	refused bool // jsonb cannot hold it
}

func (r *reader) space() {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
}

// take reports whether the next character is c, and passes it if so.
func (r *reader) take(c byte) bool {
	r.space()
	if r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// value appends the next value to out.
func (r *reader) value(out []byte) []byte {
	r.space()
	switch c := r.rest[0]; {
	case c == '{':
		return r.object(out)
	case c == '[':
		return r.array(out)
	case c == '"':
		return appendString(out, r.string())
	case c == '-' || '0' <= c && c <= '9':
		return appendNumber(out, r.scalar())
	default: // true, false, null
		return append(out, r.scalar()...)
	}
}

func (r *reader) array(out []byte) []byte {
	r.take('[')
	out = append(out, '[')
	for n := 0; !r.take(']'); n++ {
		if n > 0 {
			r.take(',')
			out = append(out, ", "...)
		}
		out = r.value(out)
	}
	return append(out, ']')
}

type member struct {
	key   string
	value []byte
}

// object appends an object: shorter keys come first, those of one length in the order of their bytes, and of equal ones the last
// stays.
func (r *reader) object(out []byte) []byte {
	r.take('{')
	var members []member
	for n := 0; !r.take('}'); n++ {
		if n > 0 {
			r.take(',')
		}
		r.space()
		key := r.string()
		r.take(':')
		members = append(members, member{key, r.value(nil)})
	}
	slices.SortStableFunc(members, func(a, b member) int {
		if len(a.key) != len(b.key) {
			return len(a.key) - len(b.key)
		}
		return strings.Compare(a.key, b.key)
	})
	out = append(out, '{')
	first := true
	for i, m := range members {
		if i+1 < len(members) && members[i+1].key == m.key {
			continue
		}
		if !first {
			out = append(out, ", "...)
		}
		first = false
		out = append(append(appendString(out, m.key), ": "...), m.value...)
	}
	return append(out, '}')
}

// scalar passes what is neither a string nor a container.
func (r *reader) scalar() string {
	n := bytes.IndexAny(r.rest, ",]} \t\r\n")
	if n < 0 {
		n = len(r.rest)
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) string() string {
	n := 1
	for r.rest[n] != '"' {
		if r.rest[n] == '\\' {
			n++
		}
		n++
	}
	text := r.rest[:n+1]
	r.rest = r.rest[n+1:]
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1:n])
	}
	var s string
	json.Unmarshal(text, &s) //nolint:errcheck // it is valid
	// Half of a surrogate pair is no character.
	r.refused = r.refused || strings.ContainsRune(s, utf8.RuneError) && bytes.Contains(bytes.ToLower(text), []byte(`\ud`))
	return s
}

func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, `\b`...)
		case '\f':
			out = append(out, `\f`...)
		case '\n':
			out = append(out, `\n`...)
		case '\r':
			out = append(out, `\r`...)
		case '\t':
			out = append(out, `\t`...)
		default:
			if c < ' ' {
				const hex = "0123456789abcdef"
				out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				out = append(out, c)
			}
		}
	}
	return append(out, '"')
}

// mostDigits is how many digits a number may be written out to here. jsonb has room for 131,072 before the point, and 16,383 behind it.
const mostDigits = 150_000

// appendNumber appends a number without an exponent, with as many digits behind the point as were written.
func appendNumber(out []byte, text string) []byte {
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent := 0
	if power != "" {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil || exponent > mostDigits || exponent < -mostDigits {
			return append(out, text...)
		}
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	point := len(whole) + exponent // where it stands among the digits
	scale := max(len(fraction)-exponent, 0)
	switch {
	case point < 0:
		digits, point = strings.Repeat("0", -point)+digits, 0
	case point > len(digits):
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, fraction = strings.TrimLeft(digits[:point], "0"), digits[point:]
	if negative && strings.Trim(digits, "0") != "" {
		out = append(out, '-')
	}
	if whole == "" {
		whole = "0"
	}
	out = append(out, whole...)
	if scale > 0 {
		out = append(append(out, '.'), fraction...)
	}
	return out
}
