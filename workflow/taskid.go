package workflow

import (
	"encoding/hex"
	"fmt"
)

// TaskID identifies a task: a UUID whose order is that of spawning.
type TaskID [16]byte

// ParseTaskID reads the usual text form of a UUID.
func ParseTaskID(s string) (TaskID, error) {
	var id TaskID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("workflow: %q is not a task id: write it as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", s)
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return TaskID{}, fmt.Errorf("workflow: %q is not a task id: %w", s, err)
	}
	return id, nil
}

// String returns the usual text form.
func (id TaskID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText returns the usual text form, so that a TaskID can be part of a payload.
func (id TaskID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the usual text form.
func (id *TaskID) UnmarshalText(text []byte) error {
	parsed, err := ParseTaskID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
