package workflow

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/absurdgen/absurdgen/db"
)

// CreateQueue creates a queue, unless it is there already. A name has 1 to 57 bytes of UTF-8; for others it returns
// [ErrInvalidName].
func (c *Client) CreateQueue(ctx context.Context, name string) error {
	if name == "" || len(name) > maxQueueName || !utf8.ValidString(name) || strings.Contains(name, "\x00") {
		return fmt.Errorf("workflow: queue %.60q cannot be created: a name has 1 to %d bytes of UTF-8 and no NUL (%w)", name, maxQueueName, ErrInvalidName)
	}
	if err := c.store.CreateQueue(ctx, name); err != nil {
		return fmt.Errorf("workflow: queue %q cannot be created: %w", name, hint(err))
	}
	return nil
}

// maxQueueName is the engine's limit, in bytes.
const maxQueueName = 57

// PauseQueue lets no further run of a queue start, whichever worker asks, until [Client.ResumeQueue]. Spawns, events, sleeps and running runs
// go on. A queue belongs to no tenant: a client of one may not pause it.
func (c *Client) PauseQueue(ctx context.Context, name string) error {
	return c.changeQueue(ctx, name, "paused", func(conn db.DBTX) error { return db.New().PauseQueue(ctx, conn, name) })
}

// ResumeQueue ends a pause. A queue that is not paused stays as it is.
func (c *Client) ResumeQueue(ctx context.Context, name string) error {
	return c.changeQueue(ctx, name, "resumed", func(conn db.DBTX) error { return db.New().ResumeQueue(ctx, conn, name) })
}

// LimitQueue lets at most n runs of a queue run at once, over all workers; 0 takes the limit away. Tasks that sleep or wait do not count.
// Runs beyond a lowered limit go on.
func (c *Client) LimitQueue(ctx context.Context, name string, n int) error {
	limit := &[]int32{int32(min(max(n, -1), 1<<30))}[0]
	if n == 0 {
		limit = nil
	}
	return c.changeQueue(ctx, name, "limited", func(conn db.DBTX) error {
		return db.New().SetQueueLimit(ctx, conn, db.SetQueueLimitParams{Queue: name, MaxRunning: limit})
	})
}

func (c *Client) changeQueue(ctx context.Context, name, what string, change func(db.DBTX) error) error {
	conn, err := c.conn(ctx)
	if err == nil {
		err = db.Err(change(conn))
	}
	if err != nil {
		return fmt.Errorf("workflow: queue %q was not %s: %w", name, what, hint(err))
	}
	return nil
}

// QueueStats counts what is alive on a queue: for a client of one tenant, that tenant's tasks.
type QueueStats struct {
	Name    string
	Pending int // may start now
	Running int
	// Sleeping tasks wait for something; Scheduled ones, which are among them, have not started yet.
	Sleeping, Scheduled  int
	Blocked              int
	Waits                int // open waits of all tasks
	Workers, IdleWorkers int

	OldestPending time.Time // since when the oldest pending task may start; zero: none is
	NextDue       time.Time // when a timer is due next; zero: none is

	Paused bool
	Limit  int // of running runs; 0: none
}

// Queues returns what is alive on each queue, in the order of their names.
func (c *Client) Queues(ctx context.Context) ([]QueueStats, error) {
	stats, err := c.queueStats(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("workflow: the queues cannot be listed: %w", hint(db.Err(err)))
	}
	return stats, nil
}

// QueueStats returns what is alive on a queue.
func (c *Client) QueueStats(ctx context.Context, name string) (QueueStats, error) {
	stats, err := c.queueStats(ctx, &name)
	if err != nil {
		return QueueStats{}, fmt.Errorf("workflow: queue %q cannot be counted: %w", name, hint(db.Err(err)))
	}
	return stats[0], nil
}

func (c *Client) queueStats(ctx context.Context, name *string) ([]QueueStats, error) {
	conn, err := c.conn(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.New().QueueStatistics(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	stats := make([]QueueStats, len(rows))
	for i, r := range rows {
		stats[i] = QueueStats{
			Name: r.QueueName, Pending: int(r.Pending), Running: int(r.Running), Sleeping: int(r.Sleeping), Scheduled: int(r.Scheduled),
			Blocked: int(r.Blocked), Waits: int(r.Waits), Workers: int(r.Workers), IdleWorkers: int(r.IdleWorkers),
			OldestPending: moment(r.OldestPendingAt), NextDue: moment(r.NextDueAt), Paused: r.Paused, Limit: int(value(r.MaxRunning)),
		}
	}
	return stats, nil
}
