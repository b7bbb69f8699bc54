package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// Spawn is a task to be made.
type Spawn struct {
	Name    string
	Params  []byte
	Options SpawnOptions
}

// SpawnOptions are the options of a task. The zero value is none.
type SpawnOptions struct {
	Headers        map[string]string
	MaxDelay       time.Duration
	MaxDuration    time.Duration
	IdempotencyKey string
	Fingerprint    int64 // of the input, where there is a key
	Priority       int
	StartAt        *time.Time
}

// None reports whether no option is set.
func (o SpawnOptions) None() bool {
	doc, err := o.document()
	return doc == nil && err == nil
}

// document returns the options as spawn_tasks takes them; nil for none.
func (o SpawnOptions) document() (json.RawMessage, error) {
	doc := make(map[string]any)
	if len(o.Headers) > 0 {
		doc["headers"] = o.Headers
	}
	cancellation := make(map[string]int64)
	if o.MaxDelay > 0 {
		cancellation["max_delay"] = seconds(o.MaxDelay)
	}
	if o.MaxDuration > 0 {
		cancellation["max_duration"] = seconds(o.MaxDuration)
	}
	if len(cancellation) > 0 {
		doc["cancellation"] = cancellation
	}
	if o.IdempotencyKey != "" {
		doc["idempotency_key"] = o.IdempotencyKey
		doc["fingerprint"] = o.Fingerprint
	}
	if o.Priority != 0 {
		doc["priority"] = o.Priority
	}
	if o.StartAt != nil {
		doc["start_at"] = o.StartAt.UTC()
	}
	if len(doc) == 0 {
		return nil, nil
	}
	return json.Marshal(doc)
}

// seconds rounds up: a limit is never shorter than it was asked for.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Spawned is a task that was made, or found. Created is false when its idempotency key was known.
type Spawned struct {
	ID      ID
	Created bool
}

// SpawnAll makes tasks, all of them or none, and answers in their order.
func SpawnAll(ctx context.Context, conn db.DBTX, queue string, tasks []Spawn) ([]Spawned, error) {
	p := db.SpawnTasksParams{
		Queue: queue, Names: make([]string, len(tasks)), Params: make([]json.RawMessage, len(tasks)), Options: make([]json.RawMessage, len(tasks)),
	}
	for i, s := range tasks {
		options, err := s.Options.document()
		if err != nil {
			return nil, err
		}
		p.Names[i], p.Params[i], p.Options[i] = s.Name, s.Params, options
	}
	rows, err := db.New().SpawnTasks(ctx, conn, p)
	if err != nil {
		return nil, db.Err(err)
	}
	spawned := make([]Spawned, len(tasks))
	for _, r := range rows {
		spawned[r.Ord-1] = Spawned{ID: r.TaskID.Bytes, Created: r.Created}
	}
	return spawned, nil
}

// Emit makes an event known.
func Emit(ctx context.Context, conn db.DBTX, queue, name string, payload []byte) error {
	_, err := db.New().EmitEvents(ctx, conn, db.EmitEventsParams{
		Queue: queue, Names: []string{name}, Payloads: []json.RawMessage{payload},
	})
	return db.Err(err)
}

// CreateQueue creates a queue, unless it is there.
func CreateQueue(ctx context.Context, conn db.DBTX, name string) error {
	return db.Err(db.New().CreateQueue(ctx, conn, name))
}

// State is the state of a task.
type State string

// The final states.
const (
	Completed      State = "completed"
	Failed         State = "failed"
	CancelledState State = "cancelled"
)

// Outcome is where a task stands.
type Outcome struct {
	State   State
	Attempt int
	Result  []byte
	Failure []byte
}

// Watch returns where a task stands, and has its end notified if it has not ended. It returns nil for an unknown task.
func Watch(ctx context.Context, conn db.DBTX, queue string, task ID) (*Outcome, error) {
	rows, err := db.New().WatchTask(ctx, conn, db.WatchTaskParams{Queue: queue, Task: pgtype.UUID{Bytes: task, Valid: true}})
	if err != nil || len(rows) == 0 {
		return nil, db.Err(err)
	}
	r := rows[0]
	return &Outcome{State: State(r.State), Attempt: int(r.Attempt), Result: r.Result, Failure: r.Failure}, nil
}

// TerminateTask cancels an open task at once. A task that has ended stays as it is.
func TerminateTask(ctx context.Context, conn db.DBTX, queue string, task ID) error {
	return db.Err(db.New().CancelTask(ctx, conn, db.CancelTaskParams{Queue: queue, TaskID: pgtype.UUID{Bytes: task, Valid: true}}))
}

// RetryTask gives a failed task another attempt. known is false for an unknown task.
func RetryTask(ctx context.Context, conn db.DBTX, queue string, task ID) (known bool, err error) {
	rows, err := db.New().RetryTaskNow(ctx, conn, db.RetryTaskNowParams{Queue: queue, Task: pgtype.UUID{Bytes: task, Valid: true}})
	return len(rows) > 0, db.Err(err)
}
