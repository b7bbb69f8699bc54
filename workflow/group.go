package workflow

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// group has calls that come side by side share a statement and a commit. A lone call goes at once; what comes while a batch is
// on its way goes together with the next. One caller's request does not fail or hold up another's:
// when a batch is refused, each request of it is sent alone, beside the batches and with the patience that it may need.
type group[In, Out any] struct {
	// send carries out a batch. Unless it is patient it must be refused where it would have to wait for other transactions.
	send func(ctx context.Context, batch []In, patient bool) ([]Out, error)
	size func(In) int // in bytes

	mu      sync.Mutex
	flights int
	waiting []*grouped[In, Out]
	crowd   int           // a flight gathers until so many wait; 0: none does
	full    chan struct{} // closed when they do
}

// groupCrowd is how many waiting requests make a second batch go while the first is on its way.
const groupCrowd = 64

// groupGather is how long a batch waits for the callers of the one before it to come back with their next request: without
// it one of them would go alone, and all others would wait for that.
const groupGather = 100 * time.Microsecond

// maxGroup and maxGroupBytes bound a batch.
const (
	maxGroup      = 256
	maxGroupBytes = 4 << 20
)

// flightLimit is how long a batch may take. Each of its callers waits no longer than its own context says.
const flightLimit = time.Minute

type grouped[In, Out any] struct {
	ctx  context.Context
	in   In
	out  Out
	err  error
	done chan struct{}
}

// do sends the request and returns once its answer is there. When ctx ends first, it may have been carried out or not, as with
// any statement whose answer nobody waited for.
func (g *group[In, Out]) do(ctx context.Context, in In) (out Out, err error) {
	if err := ctx.Err(); err != nil {
		return out, err
	}
	r := &grouped[In, Out]{ctx: ctx, in: in, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	if g.crowd > 0 && len(g.waiting) >= g.crowd {
		g.crowd = 0
		close(g.full)
	}
	if g.flights == 0 || g.flights == 1 && len(g.waiting) >= groupCrowd {
		g.flights++
		go g.fly()
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		return r.out, r.err
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

// fly sends what waits until nothing does.
func (g *group[In, Out]) fly() {
	for last := 0; ; {
		g.gather(last)
		batch := g.next()
		if batch == nil {
			return
		}
		last = len(batch)
		// Not the context of one caller: the others do not depend on it.
		ctx, cancel := context.WithTimeout(context.Background(), flightLimit)
		err := g.carry(ctx, batch, false)
		cancel()
		if err == nil {
			continue
		}
		for _, r := range batch {
			go func() { _ = g.carry(r.ctx, []*grouped[In, Out]{r}, true) }() // who is patient gets every error
		}
	}
}

// gather waits a little where fewer requests wait than the last batch had, until as many do.
func (g *group[In, Out]) gather(last int) {
	g.mu.Lock()
	if last < 2 || len(g.waiting) >= last || g.crowd > 0 {
		g.mu.Unlock()
		return
	}
	full := make(chan struct{})
	g.crowd, g.full = last, full
	g.mu.Unlock()
	enough := time.NewTimer(groupGather)
	defer enough.Stop()
	select {
	case <-full:
	case <-enough.C:
		g.mu.Lock()
		if g.full == full {
			g.crowd = 0
		}
		g.mu.Unlock()
	}
}

func (g *group[In, Out]) next() []*grouped[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < min(len(g.waiting), maxGroup) && size < maxGroupBytes {
		size += g.size(g.waiting[n].in)
		n++
	}
	if n == 0 {
		g.waiting = nil
		g.flights--
		return nil
	}
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return batch
}

// carry sends the batch and answers every request in it, unless it returns an error: the batch was refused.
func (g *group[In, Out]) carry(ctx context.Context, batch []*grouped[In, Out], patient bool) error {
	requests := make([]In, len(batch))
	for i, r := range batch {
		requests[i] = r.in
	}
	outs, err := g.send(ctx, requests, patient)
	switch {
	case err != nil && !patient && refusal(err):
		return err
	case err != nil && !patient && ctx.Err() != nil: // no caller's context has ended
		err = fmt.Errorf("no answer within %v: is the database reachable, and is a connection of the pool free? (%w)", flightLimit, err)
	}
	for i, r := range batch {
		if r.err = err; err == nil {
			r.out = outs[i]
		}
		close(r.done)
	}
	return nil
}
