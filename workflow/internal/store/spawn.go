package store

import "time"

// Spawn is a task to be made.
type Spawn struct {
	Name    string
	Params  []byte
	Options SpawnOptions
	Abandon bool // a child that outlives its parent
}

// SpawnOptions are the options of a task. The zero value is none.
type SpawnOptions struct {
	Headers        map[string]string
	MaxDelay       time.Duration // in whole seconds, rounded up
	MaxDuration    time.Duration // in whole seconds, rounded up
	IdempotencyKey string
	Fingerprint    int64 // of the input, where there is a key
	Priority       int
	StartAt        *time.Time
	Delay          time.Duration // from now; StartAt goes before
	Tags           map[string]string
	Tenant         string
	UniqueKey      string    // while a task of this name with the key is open, that one is found
	Refuse         bool      // or else the spawn is refused
	Messages       []Message // sent to the task that is made or found
	Version        string    // of the workflow's code; with the shape hash it is no option that makes a task less plain
	ShapeHash      string
}

// None reports whether no option is set.
func (o *SpawnOptions) None() bool {
	return len(o.Headers) == 0 && o.MaxDelay <= 0 && o.MaxDuration <= 0 && o.IdempotencyKey == "" && o.Priority == 0 && o.StartAt == nil &&
		o.Delay <= 0 && len(o.Tags) == 0 && o.Tenant == "" && o.UniqueKey == "" && len(o.Messages) == 0
}

// Alone reports whether the spawn may wait for, or be refused because of, another task.
func (o *SpawnOptions) Alone() bool {
	return o.IdempotencyKey != "" || o.UniqueKey != "" || len(o.Messages) > 0
}

// Notes are what is known about a task beside its input, each a JSON object; nil: none.
type Notes struct{ Tags, Attributes, Published []byte }

// Spawned is a task that was made, or found. Created is false when its idempotency key was known.
type Spawned struct {
	ID      ID
	Created bool
}

// State is the state of a task in words.
type State string

// The states. A task is open in the first four, and stays as it is in the last three.
const (
	Pending   State = "pending"
	Running   State = "running"
	Sleeping  State = "sleeping"
	Blocked   State = "blocked"
	Completed State = "completed"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Outcome is where a task stands.
type Outcome struct {
	Name    string // of the workflow
	State   State
	Attempt int
	Result  []byte
	Failure []byte // why it failed, or why it is blocked
}
