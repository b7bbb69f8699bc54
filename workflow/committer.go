package workflow

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// committer gathers what passes want written and writes it in groups: while one flush waits for the disk, the next gathers.
// A pass has at most one unit on the way, so units never have to be kept in order.
type committer struct {
	engine  store.Engine
	queue   string
	flushed func(FlushInfo) // may be nil
	log     *slog.Logger
	in      chan *commit
	crowded chan struct{} // a crowd waits
}

// crowd is how many waiting units make another flush worth its commit while one is on its way.
const crowd = 64

// maxFlush bounds a flush: enough to make the cost of a commit small, not so much that the first unit waits for the last.
const (
	maxFlush      = 512
	maxFlushBytes = 8 << 20
)

type commit struct {
	unit   *store.Unit
	answer chan<- committed // has room for one
	again  int              // how often it was put back
	resend bool             // it may have been written already: an answer was lost
}

// committed is the answer to a commit. err is set when this very unit cannot be stored.
type committed struct {
	answer store.Answer
	err    error
}

func newCommitter(e store.Engine, queue string, flushed func(FlushInfo), log *slog.Logger) *committer {
	return &committer{engine: e, queue: queue, flushed: flushed, log: log, in: make(chan *commit, maxFlush), crowded: make(chan struct{}, 1)}
}

// handIn takes a unit, unless done is closed first.
func (c *committer) handIn(u *commit, done <-chan struct{}) {
	select {
	case c.in <- u:
	case <-done:
		return
	}
	if len(c.in) >= crowd {
		poke(c.crowded)
	}
}

// help flushes beside run where one flush at a time cannot keep up, until ctx ends.
func (c *committer) help(ctx context.Context) {
	for {
		select {
		case <-c.crowded:
		case <-ctx.Done():
			return
		}
		select {
		case first := <-c.in:
			c.flush(ctx, c.gather(first))
		default:
		}
	}
}

// run flushes until ctx ends.
func (c *committer) run(ctx context.Context) {
	for {
		select {
		case first := <-c.in:
			c.flush(ctx, c.gather(first))
		case <-ctx.Done():
			return
		}
	}
}

// gather takes all that is waiting, within the bounds of a flush.
func (c *committer) gather(first *commit) []*commit {
	batch := append(make([]*commit, 0, 64), first)
	for size := first.unit.Size(); len(batch) < maxFlush && size < maxFlushBytes; {
		select {
		case next := <-c.in:
			batch = append(batch, next)
			size += next.unit.Size()
		default:
			return batch
		}
	}
	return batch
}

// flush writes the batch and gives every unit its answer, unless ctx ends first.
func (c *committer) flush(ctx context.Context, batch []*commit) {
	units := make([]*store.Unit, len(batch))
	resend := false
	for i, b := range batch {
		units[i] = b.unit
		resend = resend || b.resend
	}
	for attempt := 1; ; attempt++ {
		began := time.Now()
		answers, err := c.engine.Commit(ctx, units, resend)
		if c.flushed != nil {
			c.flushed(FlushInfo{Queue: c.queue, Units: len(units), Elapsed: time.Since(began), Err: err})
		}
		switch {
		case err == nil:
			c.deliver(ctx, batch, answers)
			return
		case ctx.Err() != nil:
			return
		case (dataError(err) || engineRefusal(err)) && len(batch) == 1:
			batch[0].answer <- committed{err: err}
			return
		}
		if repeated(err) && !resend {
			resend = true
			continue
		}
		c.log.Warn("workflow: commit not done, trying again", "units", len(batch), "attempt", attempt, "error", err)
		switch {
		case refusal(err) && len(batch) > 1:
			// One of the units is refused. Halving leaves it alone in the end, and the others unharmed.
			c.flush(ctx, batch[:len(batch)/2])
			c.flush(ctx, batch[len(batch)/2:])
			return
		case refusal(err):
			// For no fault of its data: it may be taken later, and holds nobody up meanwhile.
			c.putBack(ctx, batch[0], backoff(batch[0].again))
			return
		case outage(err):
			// An answer means that the transaction was rolled back. Without one it may have been committed.
			if _, answered := errors.AsType[*pgconn.PgError](err); !answered {
				resend = true
				for _, b := range batch {
					b.resend = true
				}
			}
		}
		if !pause(ctx, backoff(attempt)) {
			return
		}
	}
}

// deliver hands out the answers; units that were busy go back to the queue a little later, apart from the batch.
func (c *committer) deliver(ctx context.Context, batch []*commit, answers []store.Answer) {
	for i, b := range batch {
		if answers[i] == store.Busy {
			c.putBack(ctx, b, busyPause<<min(b.again, 6))
			continue
		}
		b.answer <- committed{answer: answers[i]}
	}
}

func (c *committer) putBack(ctx context.Context, b *commit, after time.Duration) {
	b.again++
	time.AfterFunc(after, func() { c.handIn(b, ctx.Done()) })
}

// busyPause is how long a unit waits whose row was locked, for the first time; each time twice as long, up to 64 times. Mostly
// it is a client that has begun to watch the task, and done at once.
const busyPause = time.Millisecond

// dataError reports whether the server refused the data itself: a value out of range, JSON that jsonb cannot hold or that
// is nested too deep. Sending it again cannot help.
func dataError(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "54"))
}

// repeated reports whether a record of the same name was there already.
func repeated(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505"
}

// engineRefusal reports whether the engine itself refused the unit: for a child on an unknown queue, or with options that are not
// valid.
func engineRefusal(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pg.Code, "AB")
}

// refusal reports whether the server answered that it will not do this, and not only that it cannot do it now.
func refusal(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && !outage(err) && pg.Code != "40P01" && pg.Code != "40001"
}

// backoff returns how long to wait after the given failed attempt at something the database should do.
func backoff(attempt int) time.Duration {
	return jitter(min(20*time.Millisecond<<min(attempt, 8), 3*time.Second))
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
