package codec

import (
	"bytes"
	"errors"
	"strconv"
)

// A Codec writes and reads the JSON of one payload type.
type Codec[T any] struct {
	// Append writes v behind dst. On an error dst comes back as it was.
	Append func(dst []byte, v T) ([]byte, error)
	// Decode reads src into v, which starts as the zero value. On an error v holds what was read so far.
	Decode func(src []byte, v *T) error
	// Fingerprint changes when the JSON form of the type does.
	Fingerprint string
	// Schema is the JSON Schema of the type, draft 2020-12.
	Schema string
}

// An Error says what is wrong with a payload, and where. It holds none of the payload's values.
type Error struct {
	Path   string // from the type's name, as orders.Order.items[3].sku
	Offset int    // in the JSON text, in bytes
	What   string
	Err    error // of a marshaler; else nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Path + ": " + e.What + ": " + e.Err.Error()
	}
	return e.Path + ": " + e.What
}

// Unwrap returns the error of the marshaler that refused the value.
func (e *Error) Unwrap() error { return e.Err }

// Finish ends an Append: dst is what was written behind the first start bytes, err why it stopped. It finds the place of an
// error in type name, and refuses NUL.
func Finish(dst []byte, start int, name string, err error) ([]byte, error) {
	text := dst[start:]
	if err == nil {
		if at := indexNUL(text); at >= 0 {
			return dst[:start], &Error{Path: name + pathAt(text, at), Offset: at, What: "text holds NUL, which jsonb cannot store"}
		}
		return dst, nil
	}
	var e *Error
	if !errors.As(err, &e) || e.Path != "" {
		e = &Error{What: "the value cannot be written", Err: err}
	}
	e.Path, e.Offset = name+pathAt(text, len(text)), len(text)
	return dst[:start], e
}

// indexNUL finds the escape of NUL. A backslash that is itself escaped does not begin one.
func indexNUL(text []byte) int {
	const nul = `\u0000`
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(nul))
		if i < 0 {
			return -1
		}
		i += from
		slashes := 0
		for i-1-slashes >= 0 && text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// pathAt returns the way through text, which may break off, to the value at offset: .items[3].sku.
func pathAt(text []byte, offset int) string {
	type frame struct {
		array bool
		index int
		key   []byte
	}
	var stack []frame
	top := func() *frame { return &stack[len(stack)-1] }
	var last []byte // the string before a colon
	for i := 0; i < min(offset, len(text)); i++ {
		switch text[i] {
		case '{', '[':
			stack = append(stack, frame{array: text[i] == '['})
		case '}', ']':
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
		case ',':
			if len(stack) > 0 {
				top().index++
				top().key = nil
			}
		case ':':
			if len(stack) > 0 {
				top().key = last
			}
		case '"':
			begin := i
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			last = text[begin:min(i+1, len(text))]
		}
	}
	var path []byte
	for _, f := range stack {
		switch {
		case f.array:
			path = append(path, '[')
			path = strconv.AppendInt(path, int64(f.index), 10)
			path = append(path, ']')
		case len(f.key) >= 2 && isWord(f.key[1:len(f.key)-1]):
			path = append(path, '.')
			path = append(path, f.key[1:len(f.key)-1]...)
		case f.key != nil:
			path = append(path, '[')
			path = append(path, f.key...)
			path = append(path, ']')
		}
	}
	return string(path)
}

func isWord(name []byte) bool {
	for _, c := range name {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(name) > 0
}
