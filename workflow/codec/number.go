package codec

import (
	"bytes"
	"strconv"
)

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
