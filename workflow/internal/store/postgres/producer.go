package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// producer is a store.Producer on a pool, a connection or a transaction.
type producer struct {
	conn   db.DBTX
	tenant string // whose a task without a tenant is, and an event; empty: that of the session
}

// On returns what spawns, emits and sends on conn, such as a transaction of the caller's. Tasks that say no tenant, and events, are those
// of the given one; empty: of the session's. Messages go where the session's rights reach.
func On(conn db.DBTX, tenant string) store.Producer { return producer{conn, tenant} }

func (p producer) Spawn(ctx context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, error) {
	arg := db.SpawnTasksParams{
		Queue: queue, Names: make([]string, len(tasks)), Params: make([]json.RawMessage, len(tasks)), Options: make([]json.RawMessage, len(tasks)),
	}
	for i := range tasks {
		o := tasks[i].Options
		o.Tenant = cmp.Or(o.Tenant, p.tenant)
		options, err := document(&o)
		if err != nil {
			return nil, err
		}
		arg.Names[i], arg.Params[i], arg.Options[i] = tasks[i].Name, tasks[i].Params, options
		if arg.Versions == nil && (o.Version != "" || o.ShapeHash != "") {
			arg.Versions, arg.Shapes = make([]string, len(tasks)), make([]string, len(tasks))
		}
		if arg.Versions != nil {
			arg.Versions[i], arg.Shapes[i] = o.Version, o.ShapeHash
		}
	}
	rows, err := db.New().SpawnTasks(ctx, p.conn, arg)
	if err != nil {
		return nil, db.Err(err)
	}
	spawned := make([]store.Spawned, len(tasks))
	for _, r := range rows {
		spawned[r.Ord-1] = store.Spawned{ID: r.TaskID.Bytes, Created: r.Created}
	}
	return spawned, nil
}

// document returns the options as spawn_tasks takes them; nil for none.
func document(o *store.SpawnOptions) (json.RawMessage, error) {
	if o.None() {
		return nil, nil
	}
	return json.Marshal(members(o))
}

// childDocument returns the options of a child as commit_passes takes them; nil for none.
func childDocument(c *store.Child) (json.RawMessage, error) {
	doc := members(&c.Options)
	if c.Abandon {
		doc["policy"] = "abandon"
	}
	if c.Options.Version != "" {
		doc["version"] = c.Options.Version
	}
	if c.Options.ShapeHash != "" {
		doc["shape_hash"] = c.Options.ShapeHash
	}
	if len(doc) == 0 {
		return nil, nil
	}
	return json.Marshal(doc)
}

func members(o *store.SpawnOptions) map[string]any {
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
	} else if o.Delay > 0 {
		doc["delay_ms"] = float64(o.Delay) / float64(time.Millisecond)
	}
	if len(o.Tags) > 0 {
		doc["tags"] = o.Tags
	}
	if o.Tenant != "" {
		doc["tenant"] = o.Tenant
	}
	if o.UniqueKey != "" {
		doc["unique_key"] = o.UniqueKey
		if o.Refuse {
			doc["unique"] = "refuse"
		}
	}
	if len(o.Messages) > 0 {
		messages := make([]map[string]any, len(o.Messages))
		for i, m := range o.Messages {
			messages[i] = map[string]any{"inbox": m.Inbox, "key": m.Key, "payload": json.RawMessage(m.Payload)}
		}
		doc["messages"] = messages
	}
	return doc
}

// seconds rounds up: a limit is never shorter than it was asked for.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func (p producer) Send(ctx context.Context, queue string, messages []store.Message) ([]store.Sent, error) {
	n := len(messages)
	arg := db.SendMessagesParams{
		Queue: queue, Tasks: make([]pgtype.UUID, n), Inboxes: make([]string, n), Keys: make([]string, n), Payloads: make([]json.RawMessage, n),
	}
	for i, m := range messages {
		arg.Tasks[i], arg.Inboxes[i], arg.Keys[i], arg.Payloads[i] = uuid(m.Task), m.Inbox, m.Key, m.Payload
	}
	rows, err := db.New().SendMessages(ctx, p.conn, arg)
	if err != nil {
		return nil, db.Err(err)
	}
	sent := make([]store.Sent, n)
	for _, r := range rows {
		sent[r.Ord-1] = store.Sent(r.Answer)
	}
	return sent, nil
}

func (p producer) Emit(ctx context.Context, queue string, events []store.Event, patience time.Duration) error {
	arg := db.EmitEventsParams{Queue: queue, Names: make([]string, len(events)), Payloads: make([]json.RawMessage, len(events))}
	for i, e := range events {
		arg.Names[i], arg.Payloads[i] = e.Name, e.Payload
	}
	if p.tenant != "" {
		arg.Tenant = &p.tenant
	}
	if ms := int32(patience.Milliseconds()); ms > 0 {
		arg.PatienceMs = &ms
	}
	_, err := db.New().EmitEvents(ctx, p.conn, arg)
	return db.Err(err)
}
