package workflow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// attempted is how one attempt at a step ended.
type attempted struct {
	op      *replay.Op
	attempt int
	elapsed time.Duration
	beat    bool   // it has not ended: this is a heartbeat
	details []byte // of the latest heartbeat
	output  []byte
	err     error
	tx      store.Recorded // of a step with a transaction of its own: its outcome is recorded already, or the run is not ours
}

// attemptStep runs the step's function once and hands in how it ended. When the attempt's time is over it has failed, also
// if the function does not return: the pass takes the first answer for an attempt and drops a later one. The function keeps
// its slot until it does return.
//
// wanted ends when the attempt is given up; ctx, the function's, also when the function is only told to end.
func (p *pass) attemptStep(wanted, ctx context.Context, held store.Held, op *replay.Op, bound Binding, attempt int, details []byte) {
	notStarted := func() { p.handIn(wanted, attempted{op: op, attempt: attempt, err: context.Cause(ctx)}) }
	if bound.runTx != nil {
		if !enter(ctx, p.session.txSlots) {
			notStarted()
			return
		}
		defer leave(p.session.txSlots)
	}
	if !enter(ctx, p.session.stepSlots) {
		notStarted()
		return
	}
	defer leave(p.session.stepSlots)
	var ends decision
	call := op.Arg.(*stepCall)
	info := StepInfo{
		Task:       held.Task,
		Step:       call.name,
		Checkpoint: op.Name,
		Attempt:    attempt,
		Generation: p.info.generation,
	}
	step := &stepContext{StepInfo: info, pass: p.info}
	step.progress.before = details
	step.progress.tell = func(details []byte) {
		p.handIn(wanted, attempted{op: op, attempt: attempt, beat: true, details: details})
	}
	ctx = context.WithValue(ctx, stepContextKey{}, step)
	if headers := p.info.headerMap(); headers[TraceParent] != "" {
		ctx = context.WithValue(ctx, traceKey{}, headers)
	}
	if limit := bound.step.policy.timeout; limit > 0 {
		over := fmt.Errorf("the step did not end within its timeout of %v", limit)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, over)
		defer cancel()
		giveUp := time.AfterFunc(limit+stepGrace, func() {
			if ends.giveUp() {
				p.handIn(wanted, attempted{op: op, attempt: attempt, elapsed: limit, err: over, details: step.progress.end()})
			}
		})
		defer giveUp.Stop()
	}
	if hook := p.session.hooks.StepStarted; hook != nil {
		hook(info)
	}
	began, returned := time.Now(), false
	end := attempted{op: op, attempt: attempt}
	defer func() {
		// A panic is a failure of the attempt, and so is a Goexit: without an answer the pass would wait for ever.
		r := recover()
		if r == nil && !returned {
			r = "the step called runtime.Goexit, as testing.T.FailNow does: return an error instead"
		}
		if r != nil {
			end.err = &stepPanic{value: r, stack: debug.Stack()}
		}
		end.elapsed, end.details = time.Since(began), step.progress.end()
		p.handIn(wanted, end)
	}()
	if bound.runTx != nil {
		end.tx, end.err = p.transact(ctx, wanted, held, op, bound, &ends)
	} else {
		end.output, end.err = aroundStep(ctx, p.session.middleware, info, func(ctx context.Context) ([]byte, error) { return bound.runStep(ctx, call.input) })
	}
	returned = true
}

// enter takes a slot, unless ctx ends first.
func enter(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leave(slots <-chan struct{}) { <-slots }

// handIn gives the pass the end of an attempt, unless the attempt is given up by now: a parked pass takes nothing, and what was
// given up must not hold its slot until that goes on.
func (p *pass) handIn(wanted context.Context, a attempted) {
	select {
	case p.results <- a:
	case <-wanted.Done():
	}
}

// stepGrace is how long a function that minds its context may take to return after its time is over, and so to say
// something better than that.
const stepGrace = time.Second

// stepPanic is the failure of a step whose function panicked.
type stepPanic struct {
	value any
	stack []byte
}

func (e *stepPanic) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// jitter moves d by up to a fifth either way.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
