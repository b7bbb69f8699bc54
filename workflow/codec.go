package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/absurdgen/absurdgen/workflow/codec"
)

// MaxPayload is the largest payload in bytes, encoded: the input of a task or a step, the outcome of a step, an event.
const MaxPayload = 2 << 20

// usualPayload is what most payloads fit in, encoded.
const usualPayload = 256

// payload writes and reads the JSON of one kind of payload: with the generated codec of its type, or else by reflection. what
// names the payload in errors; its contents never appear in them.
type payload[T any] struct {
	what  string
	codec codec.Codec[T]
}

func (p payload[T]) with(c codec.Codec[T]) payload[T] {
	p.codec = c
	return p
}

// encode returns the JSON of v; null where there is no payload.
func (p payload[T]) encode(v T) ([]byte, error) {
	if _, none := any(v).(None); none {
		return []byte("null"), nil
	}
	data, err := p.append(v)
	if err != nil {
		return nil, fmt.Errorf("workflow: %s cannot be encoded: %w", p.what, err)
	}
	if len(data) > MaxPayload {
		return nil, fmt.Errorf("workflow: %s has %d bytes, the limit is %d: pass a reference to it instead", p.what, len(data), MaxPayload)
	}
	return data, nil
}

func (p payload[T]) append(v T) ([]byte, error) {
	if p.codec.Append != nil {
		return p.codec.Append(make([]byte, 0, usualPayload), v)
	}
	data, err := json.Marshal(v)
	if err == nil && hasNUL(data) {
		err = errors.New(`it holds a NUL character ("\u0000"), which PostgreSQL cannot store in jsonb`)
	}
	return data, err
}

// decode reads the JSON of a T. No payload at all is the zero value.
func (p payload[T]) decode(data []byte) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	var err error
	if p.codec.Decode != nil {
		err = p.codec.Decode(data, &v)
	} else {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		return v, fmt.Errorf("workflow: %s cannot be decoded: %w", p.what, err)
	}
	return v, nil
}

// hasNUL reports whether the JSON text holds the escape of a NUL: \u0000 behind an even number of backslashes.
func hasNUL(data []byte) bool {
	for rest := data; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		slashes := 0
		for j := i - 1; j >= 0 && rest[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return true
		}
		rest = rest[i+1:]
	}
}

// fingerprint tells inputs apart. It is taken from the encoder's bytes, because stored jsonb comes back reordered. It is
// never 0, which stands for no fingerprint.
func fingerprint(data []byte) int64 {
	h := fnv.New64a()
	h.Write(data)
	if sum := int64(h.Sum64()); sum != 0 {
		return sum
	}
	return 1
}
