package workflow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Heartbeat tells how far a running step has come. The details are stored, about once a second at most, and are what
// [LastHeartbeat] returns in the next attempt, whether this one fails or its worker dies: a step that takes an hour need not
// begin again at the start. The error says that the step should stop: its context has ended.
//
//	start, _ := workflow.LastHeartbeat[int](ctx)
//	for i := start; i < len(rows); i++ {
//		...
//		if err := workflow.Heartbeat(ctx, i+1); err != nil {
//			return err
//		}
//	}
//
// A step that declares a [HeartbeatTimeout] has failed when it does not call Heartbeat for that long.
//
// The details of a step with a transaction of its own outlive a failed attempt and not its worker, as nothing else of
// that attempt is left then.
func Heartbeat[T any](ctx context.Context, details T) error {
	step, ok := ctx.Value(stepContextKey{}).(*stepContext)
	if !ok {
		return errors.New("workflow: Heartbeat was called outside a step: call it with the context that the step was given")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	data, err := payload[T]{what: "the heartbeat of step " + step.Step}.encode(details)
	if err != nil {
		return err
	}
	step.progress.beat(data)
	return nil
}

// LastHeartbeat returns the details that an earlier attempt at the running step has given to [Heartbeat] last. ok is false when there
// are none, or none that fit T, and outside a step.
func LastHeartbeat[T any](ctx context.Context) (details T, ok bool) {
	step, inside := ctx.Value(stepContextKey{}).(*stepContext)
	if !inside || step.progress.before == nil {
		return details, false
	}
	details, err := payload[T]{what: "the heartbeat of step " + step.Step}.decode(step.progress.before)
	return details, err == nil
}

// heartbeatEvery is how often the details of a step are stored at most.
const heartbeatEvery = time.Second

// progress is what an attempt tells between its start and its end.
type progress struct {
	before []byte // of earlier attempts
	of     *attempt

	mu    sync.Mutex
	last  []byte
	told  time.Time
	timer *time.Timer // what came since then is told when it fires

	limit   time.Duration // after which silence is too long; 0: it never is, or was
	silence *time.Timer
	ended   bool
}

// watch calls silent when nothing has come for the limit, and then, if the attempt has not ended within stepGrace, gone.
func (p *progress) watch(limit time.Duration, silent, gone func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	p.silence = time.AfterFunc(limit, func() {
		p.mu.Lock()
		first := p.limit > 0
		if first && !p.ended {
			p.limit = 0
			p.silence.Reset(stepGrace)
		}
		over := p.ended
		p.mu.Unlock()
		switch {
		case over:
		case first:
			silent()
		default:
			gone()
		}
	})
}

func (p *progress) beat(details []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = details
	if p.limit > 0 {
		p.silence.Reset(p.limit)
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(max(heartbeatEvery-time.Since(p.told), 0), func() {
			p.mu.Lock()
			details := p.last
			p.told, p.timer = time.Now(), nil
			p.mu.Unlock()
			p.of.beat(details)
		})
	}
}

// end returns the latest details, and tells nothing from now on.
func (p *progress) end() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.ended = true; p.silence != nil {
		p.silence.Stop()
	}
	if p.last == nil {
		return p.before
	}
	return p.last
}

// beat notes the details of a running attempt, and has them stored.
func (p *pass) beat(a attempted) {
	if r, ok := p.running[a.op]; !ok || r.attempt != a.attempt {
		return
	}
	p.keepDetails(a.op, a.details)
	if p.bound(a.op).runTx != nil {
		return
	}
	// The attempt has not been made yet: after a crash it is made again.
	f := failure{Name: "$Heartbeat", Attempts: a.attempt - 1, Heartbeat: a.details}
	p.pend(a.op, f, p.session.clock.now())
}

// pend has it recorded how far a step has come that has no outcome yet.
func (p *pass) pend(op *replay.Op, f failure, now time.Time) {
	p.record(replay.Record{
		Name: op.Name, Kind: replay.Step, Outcome: replay.Pending, Fingerprint: op.Fingerprint, Time: now, State: encodeFailure(f),
	})
}

func (p *pass) keepDetails(op *replay.Op, details []byte) {
	if details == nil {
		return
	}
	if p.details == nil {
		p.details = make(map[*replay.Op][]byte)
	}
	p.details[op] = details
}

// record queues a record for commit, in place of a pending one of the same step that was not on its way yet.
func (p *pass) record(rec replay.Record) {
	if p.details != nil {
		for i := range p.records {
			if p.records[i].Name == rec.Name {
				p.records[i] = rec
				return
			}
		}
	}
	p.records = append(p.records, rec)
}
