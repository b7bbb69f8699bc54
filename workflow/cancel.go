package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// DefaultCleanupTime is how long a cancelled task may clean up.
const DefaultCleanupTime = time.Minute

// CancelOption is an option of [Task.Cancel].
type CancelOption func(*cancelOptions)

type cancelOptions struct{ cleanup time.Duration }

// CleanupTime says how long the task may clean up before it is ended as by [Task.Terminate]. The default is [DefaultCleanupTime].
func CleanupTime(d time.Duration) CancelOption { return func(o *cancelOptions) { o.cleanup = d } }

// Cancel asks the task to end. Its workflow is woken, and each of its branches gets [ErrCancelled] from its first durable call that
// has no outcome yet, and from every one after it. A step whose function runs is given the time to return: its context is
// cancelled, with [ErrCancelled] as the cause. The workflow may undo what it has done with [Cleanup]. Then it is cancelled if it
// returns an error that wraps ErrCancelled; completed if it returns a result all the same; and failed if it returns another
// error. Its children are asked too. A task that has never started is cancelled at once, and one that has ended stays as it is.
func (t Task[Out]) Cancel(ctx context.Context, opts ...CancelOption) error {
	if t.client == nil {
		return errNoClient
	}
	var o cancelOptions
	for _, opt := range opts {
		opt(&o)
	}
	if o.cleanup < 0 {
		return fmt.Errorf("workflow: task %s was not cancelled: a clean-up time of %v is negative: use Terminate for a task that should not clean up", t.ID, o.cleanup)
	}
	var known bool
	err := again(ctx, func() (err error) {
		known, err = t.client.on(ctx).RequestCancel(ctx, t.queue, t.ID, o.cleanup)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("workflow: task %s was not cancelled: %w", t.ID, hint(err))
	case !known:
		return t.notFound()
	}
	return nil
}

// Terminate ends the task at once, without asking it: it is cancelled, and so are its children and theirs. A worker that runs it
// learns so soon: then the contexts of its steps end, and nothing of it is written. A task that has ended stays as it is.
func (t Task[Out]) Terminate(ctx context.Context) error {
	if t.client == nil {
		return errNoClient
	}
	var known bool
	err := again(ctx, func() (err error) {
		known, err = t.client.on(ctx).Terminate(ctx, t.queue, t.ID)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("workflow: task %s was not terminated: %w", t.ID, hint(err))
	case !known:
		return t.notFound()
	}
	return nil
}

// Cleanup returns a context for the same branch whose calls are made also after the task was cancelled: to undo what has been done.
//
//	hold, err := Reserve.Do(ctx, order)
//	...
//	if _, err := Charge.Do(ctx, order); err != nil {
//		_ = Release.Do(workflow.Cleanup(ctx), hold) // runs, whatever err is
//		return err
//	}
//
// Clean-up is durable like everything else: after a crash it goes on. It ends when its time is over (see [CleanupTime]), wherever
// it is. Branches that [Go] makes with the context are as it is.
func Cleanup(ctx Context) Context {
	shielded := *ctx.sealed()
	shielded.shielded = true
	return &shielded
}

// observeCancel has the workflow see that it is cancelled.
func (p *pass) observeCancel(now time.Time) {
	for op, r := range p.running {
		if !op.Shielded {
			r.stop(ErrCancelled)
		}
	}
	p.replay.Cancel(now, func(op *replay.Op) bool {
		_, runs := p.running[op]
		return runs
	})
	p.drop(p.replay.Abandoned())
}

// look asks what has become of the task, because the worker was told that it was cancelled or asked to end: any commit does. A
// task that was asked to end may be cancelled at once while it cleans up, so one that runs steps asks again.
func (p *pass) look() {
	if p.committing || p.claimed.CancelRequested && len(p.running) == 0 {
		return // the answer is on its way, or the next commit brings it
	}
	p.commit(&store.Unit{Action: store.Record})
}

// cancelled ends the pass of a workflow that was asked to end and has returned err.
func (p *pass) cancelled(err error) {
	u := &store.Unit{Action: store.Cancel}
	if err != ErrCancelled { //nolint:errorlint // anything that wraps it says more
		f := newFailure(err)
		f.Records = failedRecords(err)
		u.Payload = encodeFailure(f)
	}
	p.end(u, PassCancelled)
}

// endsCancelled reports whether a workflow that returned err has ended because it was asked to.
func (p *pass) endsCancelled(err error) bool {
	return p.replay.Cancelled() && (errors.Is(err, ErrCancelled) || errors.Is(err, replay.ErrDeaf))
}
