package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
)

// MaxPayload is the largest payload in bytes, encoded: the input of a task or a step, the outcome of a step, an event.
const MaxPayload = 2 << 20

// encode returns the JSON of v. what names the payload in errors; the payload itself never appears in them.
func encode[T any](what string, v T) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("workflow: %s cannot be encoded: %w", what, err)
	}
	if len(data) > MaxPayload {
		return nil, fmt.Errorf("workflow: %s has %d bytes, the limit is %d: pass a reference to it instead", what, len(data), MaxPayload)
	}
	if hasNUL(data) {
		return nil, fmt.Errorf(`workflow: %s holds a NUL character ("\u0000"), which PostgreSQL cannot store in jsonb`, what)
	}
	return data, nil
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

// decode reads the JSON of a T. No payload at all is the zero value.
func decode[T any](what string, data []byte) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("workflow: %s cannot be decoded: %w", what, err)
	}
	return v, nil
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
