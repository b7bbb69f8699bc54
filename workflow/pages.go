package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// Lists read pages of the engine's list functions, each by the cursor that the one before ended with. They hold no connection between
// two pages, and cost what they show: nothing counts or walks the history.

// pageSize is how many rows are read at once: enough for a screen, little enough for a caller who stops after the first.
const pageSize = 100

// pages returns the rows of a list. load reads the page after a cursor; row converts a row, of which one that is not real has a cursor
// alone: it ends a page before it is full.
func pages[Row, T any](what string, from string, load func(after *string) ([]Row, error), row func(Row) (t T, cursor string, real bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		after := from
		for {
			rows, err := load(optionalText(after))
			if err != nil {
				yield(none, fmt.Errorf("workflow: the %s cannot be listed: %w", what, hint(db.Err(err))))
				return
			}
			more := len(rows) == pageSize
			for _, r := range rows {
				t, cursor, real := row(r)
				after = cursor
				if !real {
					more = true
				} else if !yield(t, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// listing returns what loads a page with a query. at gives its argument for the page after a cursor.
func listing[Arg, Row any](ctx context.Context, c *Client, query func(context.Context, db.DBTX, Arg) ([]Row, error), at func(after *string) Arg) func(*string) ([]Row, error) {
	return func(after *string) ([]Row, error) {
		conn, err := c.conn(ctx)
		if err != nil {
			return nil, err
		}
		return query(ctx, conn, at(after))
	}
}

// conn returns what lists are read on, and queues are changed on.
func (c *Client) conn(ctx context.Context) (db.DBTX, error) {
	conn := c.on(ctx).Conn()
	if conn == nil {
		return nil, fmt.Errorf("a store in memory lists tasks and nothing else (%w): in a test, Env.Records has the checkpoints of a task,"+
			" and db/embedded starts a database for what else is to be seen", errors.ErrUnsupported)
	}
	return conn, nil
}

// queueOr returns the queue to look at.
func queueOr(name string) string {
	if name == "" {
		return DefaultQueue
	}
	return name
}

func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// contained is a filter of what a JSON object has to contain; nil for none.
func contained(texts map[string]string) json.RawMessage {
	if len(texts) == 0 {
		return nil
	}
	data, _ := json.Marshal(texts) // texts are always JSON
	return data
}

// value returns what a pointer points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		return *p
	}
	return v
}

// moment is as value, in UTC.
func moment(p *time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.UTC()
}

// texts reads a JSON object of texts. Members that are none, which other programs may have set, keep their JSON.
func texts(object []byte) map[string]string {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil || len(members) == 0 {
		return nil
	}
	all := make(map[string]string, len(members))
	for name, data := range members {
		var text string
		if json.Unmarshal(data, &text) != nil {
			text = string(data)
		}
		all[name] = text
	}
	return all
}

// Failure says why a task or a run has failed, or is blocked. The zero value is that of one which is neither.
type Failure struct {
	Type    string // the type of the error, or a name that begins with "$" for what the engine says
	Message string
}

func failureOf(reason []byte) Failure {
	var f struct{ Name, Message string }
	if reason == nil || json.Unmarshal(reason, &f) != nil {
		return Failure{}
	}
	return Failure{Type: f.Name, Message: f.Message}
}

func optionalID(id TaskID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != TaskID{}} }
