package workflow

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// claimer claims runs of one queue for a session and starts a pass for each.
type claimer struct {
	name      string
	session   *session
	engine    store.Engine
	committer *committer
	wake      <-chan struct{} // there may be work
	poll      time.Duration
	log       *slog.Logger
	alarm     chan struct{} // a run that was suspended here is due

	mu     sync.Mutex
	claims map[int64]int // runs that have not ended, by claim number
	done   []int64       // claims that have ended, to be told with the next one

	// Of the claimer's goroutine: a claim's answer was lost, so until doubtUntil the database may believe us to hold
	// runs that no pass knows of. The server may also notice late that the connection is gone, hence for a while.
	doubtUntil, lastRelease time.Time
}

// How long and how often to look for runs of a claim whose answer was lost.
const (
	doubtFor     = time.Minute
	releaseEvery = time.Second
)

// maxClaim bounds a claim call.
const maxClaim = 256

// keepDone is how many ended claims an idle claimer keeps to itself at most.
const keepDone = 32

// gatherFor is how long a claimer waits for more places while there is more work than places.
const gatherFor = 2 * time.Millisecond

// run claims until ctx ends. Database errors are waited out.
func (c *claimer) run(ctx context.Context) {
	failures := 0
	busy := false // the last claim got all it asked for
	idle := false // the flag is up
	streak := 0   // claims with a result, one after the other
	looks := 0    // claims without one since there was a reason to look
	for ctx.Err() == nil {
		room := c.reserve(ctx, busy)
		if room == 0 {
			return
		}
		got, err := c.claim(ctx, room, idle)
		c.release(room - got)
		busy = got == room
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, db.ErrWorkerLost) {
			c.log.Error("workflow: worker lost its lease; its runs go to other workers", "error", err)
			c.session.leaseLost()
			return
		}
		if err != nil {
			failures++
			c.log.Warn("workflow: claim not done, trying again", "queue", c.name, "error", err)
			pause(ctx, backoff(failures))
			continue
		}
		failures = 0
		if got > 0 {
			if streak++; idle && streak == steady {
				c.setIdle(ctx, false)
				idle = false
			}
			looks = 0
			if (idle || streak >= steady) && !busy && got < smallClaim {
				pause(ctx, trickle)
				looks = 1
			}
			continue
		}
		streak = 0
		if !idle {
			// The flag goes up before the last look: who spawns after that look sees the flag and notifies.
			c.setIdle(ctx, true)
			idle, looks = true, 0
			continue
		}
		var again time.Duration
		if looks < len(looksAgain) {
			again = looksAgain[looks]
		} else {
			again = c.untilDue(ctx)
		}
		looks++
		if c.wait(ctx, again) {
			looks = 0
		}
	}
}

// looksAgain is when a claimer that was given a reason to look, and found nothing, looks again. Who spawned before the flag was
// up may commit after the look, and has not notified; and a task that was just spawned may be locked for a moment by a client
// that begins to watch it.
var looksAgain = [...]time.Duration{2 * time.Millisecond, 10 * time.Millisecond}

// Where work keeps coming in drops, the next claim waits for trickle, so that it gets more than a drop: a claim for one costs
// nearly as much as a claim for sixteen.
const (
	trickle    = time.Millisecond
	smallClaim = 16
)

// steady is how many claims with a result, one after the other, end idleness. Lowering and raising the flag are commits, which
// a task now and then should not cost.
const steady = 3

// reserve waits for a free place for a pass and takes all that are free. While there is more work than places it waits a
// little for half of them, because a claim for many costs hardly more than a claim for one.
func (c *claimer) reserve(ctx context.Context, busy bool) int {
	slots := c.session.passSlots
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	n := 1
	if busy {
		enough := time.NewTimer(gatherFor)
		defer enough.Stop()
		for gathering := true; gathering && n < min(cap(slots)/2, maxClaim); {
			select {
			case slots <- struct{}{}:
				n++
			case <-enough.C:
				gathering = false
			case <-ctx.Done():
				c.release(n)
				return 0
			}
		}
	}
	for ; n < maxClaim; n++ {
		select {
		case slots <- struct{}{}:
		default:
			return n
		}
	}
	return n
}

func (c *claimer) release(n int) {
	for range n {
		<-c.session.passSlots
	}
}

// releaseUnknown hands back runs of a claim whose answer was lost. It runs between two claims, so every claim that was
// answered is known.
func (c *claimer) releaseUnknown(ctx context.Context) error {
	now := time.Now()
	if now.After(c.doubtUntil) || now.Sub(c.lastRelease) < releaseEvery {
		return nil
	}
	c.mu.Lock()
	// Those that have ended and were not told yet are known too: a run of theirs may have come back with a later claim.
	known := slices.AppendSeq(slices.Clone(c.done), maps.Keys(c.claims))
	c.mu.Unlock()
	if err := c.engine.ReleaseUnknown(ctx, known); err != nil {
		return err
	}
	c.lastRelease = now
	return nil
}

// claim claims up to room runs and starts their passes. It returns how many. In idleness few claims that have ended are kept for
// later: to tell of them is a commit, and that beside the flush of a task that somebody waits for.
func (c *claimer) claim(ctx context.Context, room int, idle bool) (int, error) {
	if err := c.releaseUnknown(ctx); err != nil {
		return 0, err
	}
	c.mu.Lock()
	var done []int64
	if !idle || len(c.done) >= keepDone {
		done, c.done = c.done, nil
	}
	c.mu.Unlock()
	select {
	case <-c.wake: // what it tells of is there to be claimed now
	default:
	}

	began := time.Now()
	claimed, err := c.engine.Claim(ctx, room, done)
	if hook := c.session.hooks.Claimed; hook != nil && ctx.Err() == nil {
		hook(ClaimInfo{Queue: c.name, Asked: room, Got: len(claimed), Elapsed: time.Since(began), Err: err})
	}
	if err != nil {
		if _, answered := errors.AsType[*pgconn.PgError](err); !answered {
			c.doubtUntil = time.Now().Add(doubtFor)
		}
		// They may have been deleted or not; telling them again does no harm.
		c.mu.Lock()
		c.done = append(c.done, done...)
		c.mu.Unlock()
		return 0, err
	}
	if len(claimed) == 0 {
		return 0, nil
	}
	c.session.clock.set(claimed[0].Claimed)
	c.mu.Lock()
	for _, r := range claimed {
		c.claims[r.ClaimNo]++
	}
	c.mu.Unlock()

	passes := make([]*pass, len(claimed)) // those that were parked here
	outcomes, ok := c.load(ctx, claimed, passes)
	if !ok {
		// The session ends. What was claimed is handed back with the lease.
		for _, p := range passes {
			if p != nil {
				p.close()
			}
		}
		return 0, ctx.Err()
	}
	for i, r := range claimed {
		c.start(r, passes[i], outcomes[r.Task])
	}
	return len(claimed), nil
}

// load finds the parked passes of the claimed runs and loads what is missing: the outcomes of their waits, and all records
// of the other runs. It reports whether it could before ctx ended.
func (c *claimer) load(ctx context.Context, claimed []store.Claimed, passes []*pass) (map[store.ID][]replay.Record, bool) {
	var whole []store.ID
	var waits []store.Named
	for i, r := range claimed {
		passes[i] = c.session.parked.take(r)
		switch {
		case !r.HasRecords:
			continue
		case passes[i] == nil:
			whole = append(whole, r.Task)
			continue
		}
		for name := range passes[i].waiting {
			waits = append(waits, store.Named{Task: r.Task, Name: name})
		}
	}
	records := make(map[store.ID][]replay.Record)
	for attempt := 1; ; attempt++ {
		err := c.engine.Load(ctx, whole, records)
		if err == nil {
			whole = nil
			err = c.engine.LoadNamed(ctx, waits, records)
		}
		if err == nil {
			return records, true
		}
		if ctx.Err() == nil {
			c.log.Warn("workflow: records not loaded, trying again", "queue", c.name, "error", err)
		}
		if !pause(ctx, backoff(attempt)) {
			return nil, false
		}
	}
}

// start runs the pass of a claimed run: the parked one, or a new one.
func (c *claimer) start(r store.Claimed, parked *pass, records []replay.Record) {
	c.session.passes.Add(1)
	go func() {
		growStack()
		defer c.session.passes.Done()
		defer c.ended(r.ClaimNo)
		p := parked
		if p == nil {
			p = newPass(c.session, c, r, c.session.registry.flows[r.Name], records)
		} else {
			p.resume(r, records)
		}
		c.session.held.add(r.Task, p)
		defer func() {
			c.session.held.remove(r.Task, p)
			p.leavePlace()
			if p.suspended { // from here on it may be another goroutine's
				c.session.parked.put(p)
			} else {
				p.close()
			}
		}()
		p.runWithin(c.session.middleware)
	}()
}

// growStack makes room on the stack of a goroutine that has just begun. A pass would grow it step by step, each time with more on it to be
// copied, which was a tenth of a worker's time where tasks have one step.
//
//go:noinline
func growStack() {
	var frame [4 << 10]byte
	runtime.KeepAlive(&frame)
}

func (c *claimer) ended(claimNo int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[claimNo]--; c.claims[claimNo] == 0 {
		delete(c.claims, claimNo)
		c.done = append(c.done, claimNo)
	}
}

// setIdle raises or lowers the flag. Without it nobody notifies, and polling finds the work all the same.
func (c *claimer) setIdle(ctx context.Context, idle bool) {
	if err := c.engine.SetIdle(ctx, idle); err != nil && ctx.Err() == nil {
		c.log.Warn("workflow: idle flag not set; polling goes on", "queue", c.name, "error", err)
	}
}

// untilDue returns how long to wait without a notification: until the queue's next timer is due, or the next poll.
func (c *claimer) untilDue(ctx context.Context) time.Duration {
	wait := jitter(c.poll)
	due, err := c.engine.NextDue(ctx)
	if err == nil && !due.IsZero() {
		wait = min(wait, max(due.Sub(c.session.clock.now()), dueSoon))
	}
	return wait
}

// dueSoon is how long to wait for a timer that is due by our clock and was not moved by the claim: the server's clock is a little behind, or
// another worker has it locked.
const dueSoon = 5 * time.Millisecond

// wait waits until there may be work: a notification, a run that is due, or the given time. It reports whether it was one of
// the first two.
func (c *claimer) wait(ctx context.Context, d time.Duration) (woken bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.wake:
		return true
	case <-c.alarm:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// clockSlip is how far our idea of the server's clock may be ahead: who looks at the very moment may look too early.
const clockSlip = time.Millisecond

// wakeAt has the claimer look again when a run that was suspended here is due, so that short sleeps do not wait for the
// next poll. Runs that are due later than that are found by polling.
func (c *claimer) wakeAt(due, now time.Time) {
	if due.IsZero() || due.Sub(now) > time.Minute {
		return
	}
	time.AfterFunc(due.Sub(now)+clockSlip, func() { poke(c.alarm) })
}
