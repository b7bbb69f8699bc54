package codec

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// plain says which bytes of a string json.Marshal writes as they are: printable ASCII but quotes, backslashes and the three
// signs that HTML gives a meaning.
var plain = func() (set [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		set[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return set
}()

// AppendString writes a JSON string.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	i := 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	if i < len(s) {
		return appendEscaped(dst, s, i, true)
	}
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendEscaped goes on from s[i], the first byte that is not plain.
func appendEscaped(dst []byte, s string, i int, html bool) []byte {
	start := 0
	for i < len(s) {
		c := s[i]
		if plain[c] || !html && (c == '<' || c == '>' || c == '&') {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '\\', '"':
				dst = append(dst, '\\', c)
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', '2', '0', '2', hex[r&0xF])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// AppendQuotedString writes a string field with the tag option string: a JSON string that holds a JSON string.
func AppendQuotedString(dst []byte, s string) []byte {
	inner := AppendString(nil, s)
	dst = append(dst, '"')
	return appendEscaped(dst, string(inner), 0, false)
}

// AppendBytes writes a byte slice as base64, and nil as null.
func AppendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// AppendFloat64 writes a number, and refuses those that JSON has no form for.
func AppendFloat64(dst []byte, f float64) ([]byte, error) { return appendFloat(dst, f, 64) }

// AppendFloat32 writes a number in the shortest form that reads back as the same float32.
func AppendFloat32(dst []byte, f float32) ([]byte, error) { return appendFloat(dst, float64(f), 32) }

func appendFloat(dst []byte, f float64, bits int) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, &Error{What: "the number is infinite or not a number, which JSON has no form for"}
	}
	abs := math.Abs(f)
	if bits == 64 && abs < 1e9 {
		if out, ok := appendDecimal(dst, f, abs); ok {
			return out, nil
		}
	}
	format := byte('f')
	if abs != 0 && (bits == 64 && (abs < 1e-6 || abs >= 1e21) || bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is written e-9
		dst = dst[:n-1]
	}
	return dst, nil
}

// appendDecimal writes numbers with up to three decimals, as prices and counts are. Such a number has at most 12 digits, and no
// other text of up to 15 stands for the same float64, so that this is also its shortest form.
func appendDecimal(dst []byte, f, abs float64) ([]byte, bool) {
	const scale = 1000
	n := int64(abs*scale + 0.5)
	if float64(n)/scale != abs {
		return dst, false
	}
	if math.Signbit(f) {
		dst = append(dst, '-')
	}
	dst = strconv.AppendInt(dst, n/scale, 10)
	if n %= scale; n > 0 {
		dst = append(dst, '.', byte('0'+n/100))
		if n %= 100; n > 0 {
			dst = append(dst, byte('0'+n/10))
			if n %= 10; n > 0 {
				dst = append(dst, byte('0'+n))
			}
		}
	}
	return dst, true
}

// AppendTime writes a time as RFC 3339 text. It refuses years of more than four digits.
func AppendTime(dst []byte, t time.Time) ([]byte, error) {
	dst = append(dst, '"')
	text, err := t.AppendText(dst)
	if err != nil {
		return dst[:len(dst)-1], err
	}
	return append(text, '"'), nil
}

// AppendNumber writes the text of a json.Number, and the empty one as 0.
func AppendNumber(dst []byte, n json.Number) ([]byte, error) {
	if n == "" {
		return append(dst, '0'), nil
	}
	d := NewDecoder([]byte(n))
	if d.number(); d.err != nil || d.pos != len(n) {
		return dst, &Error{What: "the text is not a number"}
	}
	return append(dst, n...), nil
}

// AppendMarshaler writes what a type's own MarshalJSON returns, made compact.
func AppendMarshaler(dst []byte, m json.Marshaler) ([]byte, error) {
	text, err := m.MarshalJSON()
	if err != nil {
		return dst, err
	}
	b := bytes.NewBuffer(dst)
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return dst, &Error{What: "MarshalJSON returned text that is not JSON"}
	}
	json.HTMLEscape(b, compact.Bytes())
	return b.Bytes(), nil
}

// AppendText writes what a type's own MarshalText returns, as a JSON string.
func AppendText(dst []byte, m encoding.TextMarshaler) ([]byte, error) {
	text, err := m.MarshalText()
	if err != nil {
		return dst, err
	}
	return AppendString(dst, string(text)), nil
}

// AppendAny writes a value by reflection. Generated code uses it only for types that it cannot name.
func AppendAny(dst []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	return append(dst, text...), nil
}

// IsZero reports whether v points to a zero value, by reflection. Generated code uses it only for omitzero on structs and
// arrays that cannot be compared.
func IsZero(v any) bool { return reflect.ValueOf(v).Elem().IsZero() }

// SortedKeys collects the keys of m into buf, in the order in which JSON writes them.
func SortedKeys[K ~string, V any](buf []K, m map[K]V) []K {
	for k := range m {
		buf = append(buf, k)
	}
	slices.Sort(buf)
	return buf
}

// SortedInts is SortedKeys for integers, which JSON writes as text and sorts as text.
func SortedInts[K ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64, V any](buf []K, m map[K]V) []K {
	for k := range m {
		buf = append(buf, k)
	}
	slices.SortFunc(buf, func(a, b K) int {
		var x, y [20]byte
		return bytes.Compare(appendKey(x[:0], a), appendKey(y[:0], b))
	})
	return buf
}

func appendKey[K ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](dst []byte, k K) []byte {
	if k < 0 {
		return strconv.AppendInt(dst, int64(k), 10)
	}
	return strconv.AppendUint(dst, uint64(k), 10)
}

// A TextKey is a map key with the text that its MarshalText gives.
type TextKey[K any] struct {
	Text string
	Key  K
}

// SortedTexts is SortedKeys for keys with a MarshalText of their own.
func SortedTexts[K interface {
	comparable
	encoding.TextMarshaler
}, V any](m map[K]V) ([]TextKey[K], error) {
	keys := make([]TextKey[K], 0, len(m))
	for k := range m {
		text, err := k.MarshalText()
		if err != nil {
			return nil, err
		}
		keys = append(keys, TextKey[K]{string(text), k})
	}
	slices.SortFunc(keys, func(a, b TextKey[K]) int { return cmp.Compare(a.Text, b.Text) })
	return keys, nil
}
