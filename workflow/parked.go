package workflow

import (
	"container/list"
	"sync"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// parked keeps suspended passes in memory, so that a run that comes back to the worker which suspended it goes on where it
// was, without a replay. At most limit are kept, and about maxBytes of memory; the one that was parked longest goes first. A pass that is
// not here any more costs a replay and nothing else.
type parked struct {
	limit, maxBytes int

	mu     sync.Mutex
	passes map[store.ID]*list.Element // of parkedPass
	oldest *list.List
	bytes  int
	closed bool
}

type parkedPass struct {
	*pass
	bytes int
}

func newParked(limit, maxBytes int) *parked {
	return &parked{limit: limit, maxBytes: maxBytes, passes: make(map[store.ID]*list.Element), oldest: list.New()}
}

// branchBytes is about what a branch takes beside the values that it holds: its goroutine's stack, and what knows of it.
const branchBytes = 8 << 10

// size estimates what a suspended pass holds in memory: what its workflow may have kept of its input and its history, and its branches.
func (p *pass) size() int {
	return len(p.claimed.Params) + p.history.bytes + p.replay.Branches()*branchBytes
}

// put parks p, or closes it where there is no room for it.
func (k *parked) put(p *pass) {
	for _, out := range k.add(p) {
		out.close()
	}
}

func (k *parked) add(p *pass) (out []*pass) {
	k.mu.Lock()
	defer k.mu.Unlock()
	size := p.size()
	if k.closed || k.limit <= 0 || size > k.maxBytes {
		return []*pass{p}
	}
	if e, ok := k.passes[p.claimed.Task]; ok {
		out = append(out, k.remove(e))
	}
	k.passes[p.claimed.Task] = k.oldest.PushBack(parkedPass{p, size})
	k.bytes += size
	for k.oldest.Len() > k.limit || k.bytes > k.maxBytes {
		out = append(out, k.remove(k.oldest.Front()))
	}
	return out
}

func (k *parked) remove(e *list.Element) *pass {
	p := k.oldest.Remove(e).(parkedPass)
	delete(k.passes, p.claimed.Task)
	k.bytes -= p.bytes
	return p.pass
}

// take returns the pass of a run that was just claimed, if it is parked here and nobody else has had the run since: every
// claim raises the token by one, and so does everything that takes a run or its records away.
func (k *parked) take(c store.Claimed) *pass {
	k.mu.Lock()
	e, ok := k.passes[c.Task]
	if !ok {
		k.mu.Unlock()
		return nil
	}
	p := k.remove(e)
	k.mu.Unlock()
	if c.Token != p.claimed.Token+1 || c.Attempt != p.claimed.Attempt {
		p.close()
		return nil
	}
	return p
}

// close closes all passes; none is parked any more.
func (k *parked) close() {
	k.mu.Lock()
	k.closed = true
	var out []*pass
	for k.oldest.Len() > 0 {
		out = append(out, k.remove(k.oldest.Front()))
	}
	k.mu.Unlock()
	for _, p := range out {
		p.close()
	}
}

// resume has a parked pass go on under its new claim, with the outcomes that were recorded for its waits meanwhile.
func (p *pass) resume(c store.Claimed, outcomes []replay.Record) {
	p.claimed, p.seen = c, c.Claimed
	p.over, p.suspended, p.fresh = false, false, false
	p.ran, p.replayed = 0, 0
	p.served(outcomes)
}
