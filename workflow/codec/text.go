package codec

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text reads the string that begins at pos. The result is a part of src where the string has no escapes, else of buf.
func (d *Decoder) text() []byte {
	src, start := d.src, d.pos+1
	for i := start; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			d.pos = i + 1
			return src[start:i]
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			return d.slowText(start, i)
		}
	}
	d.fail(d.pos, "a string does not end")
	return nil
}

// slowText goes on at src[i], the first byte that is an escape, a control character or beyond ASCII.
func (d *Decoder) slowText(start, i int) []byte {
	src := d.src
	copied := start // what lies before it is in buf
	d.buf = d.buf[:0]
	for i < len(src) {
		switch c := src[i]; {
		case c == '"':
			d.pos = i + 1
			if copied == start {
				return src[start:i]
			}
			d.buf = append(d.buf, src[copied:i]...)
			return d.buf
		case c < ' ':
			d.fail(d.pos, "a string holds a control character")
			return nil
		case c == '\\':
			d.buf = append(d.buf, src[copied:i]...)
			n := d.escape(src[i:])
			if n == 0 {
				d.fail(d.pos, "a string holds an escape that JSON does not know")
				return nil
			}
			i += n
			copied = i
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(src[i:])
			if r == utf8.RuneError && size == 1 {
				d.fail(d.pos, "a string is not UTF-8")
				return nil
			}
			i += size
		}
	}
	d.fail(d.pos, "a string does not end")
	return nil
}

// escape appends what the escape at the start of s stands for and returns its length, or 0 when it is none.
func (d *Decoder) escape(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		d.buf = append(d.buf, c)
	case 'b':
		d.buf = append(d.buf, '\b')
	case 'f':
		d.buf = append(d.buf, '\f')
	case 'n':
		d.buf = append(d.buf, '\n')
	case 'r':
		d.buf = append(d.buf, '\r')
	case 't':
		d.buf = append(d.buf, '\t')
	case 'u':
		r := hex4(s)
		if r < 0 {
			return 0
		}
		if utf16.IsSurrogate(r) {
			if both := utf16.DecodeRune(r, hex4(s[6:])); both != utf8.RuneError {
				d.buf = utf8.AppendRune(d.buf, both)
				return 12
			}
			r = utf8.RuneError // half a pair, which json.Unmarshal replaces too
		}
		d.buf = utf8.AppendRune(d.buf, r)
		return 6
	default:
		return 0
	}
	return 2
}

// hex4 reads \uXXXX at the start of s, and returns -1 where there is none.
func hex4(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
