package workflow

import (
	"context"
	"errors"
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

// running is an attempt in flight, as its pass sees it.
type running struct {
	attempt  int
	stop     context.CancelCauseFunc // tells the function to end
	unwanted context.CancelFunc      // of a step with a transaction of its own: ends what is done for it besides; else nil
}

// giveUp lets the attempt know that nobody waits for it any more.
func (r running) giveUp() {
	if r.unwanted != nil {
		r.unwanted()
	}
	r.stop(nil)
}

// attempt is one call of a step's function. Its context ends when it is told to end, or given up.
type attempt struct {
	stepContext
	pass   *pass
	held   store.Held // the claim of the start: a step that its pass has given up may still run when the pass goes on under the next one
	op     *replay.Op
	bound  Binding
	wanted context.Context // of a step with a transaction of its own: ends when the attempt is given up
	ends   decision
}

func (p *pass) newAttempt(s stepStart) (*attempt, running) {
	a := &attempt{pass: p, op: s.op, bound: p.bound(s.op), held: store.Held{Task: p.claimed.Task, Token: p.claimed.Token}}
	r := running{attempt: s.attempt}
	parent := p.steps
	if a.bound.runTx != nil {
		a.wanted, r.unwanted = context.WithCancel(parent)
		parent = a.wanted
	}
	ctx, stop := context.WithCancelCause(parent)
	r.stop = stop
	a.stepContext = stepContext{Context: ctx, info: p.info, progress: progress{before: p.details[s.op], of: a}, StepInfo: StepInfo{
		Task:       p.claimed.Task,
		Step:       s.op.Arg.(*stepCall).name,
		Checkpoint: s.op.Name,
		Attempt:    s.attempt,
		Generation: p.info.generation,
	}}
	return a, r
}

// run calls the function and hands in how it ended. When the attempt's time is over it has failed, also if the function does not
// return: the pass takes the first answer for an attempt and drops a later one. The function keeps its slot until it does return.
func (a *attempt) run() {
	s := a.pass.session
	var ctx context.Context = &a.stepContext
	if a.bound.runTx != nil {
		if !enter(ctx, s.txSlots) {
			a.end(attempted{err: context.Cause(ctx)})
			return
		}
		defer leave(s.txSlots)
	}
	if !enter(ctx, s.stepSlots) {
		a.end(attempted{err: context.Cause(ctx)})
		return
	}
	defer leave(s.stepSlots)
	began, returned := time.Now(), false
	giveUp := func(over error) {
		if a.ends.giveUp() {
			a.end(attempted{elapsed: time.Since(began), err: over, details: a.progress.end()})
		}
	}
	if limit := a.bound.step.policy.timeout; limit > 0 {
		over := fmt.Errorf("the step did not end within its timeout of %v", limit)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, over)
		defer cancel()
		defer time.AfterFunc(limit+stepGrace, func() { giveUp(over) }).Stop()
	}
	if limit := a.bound.step.policy.heartbeat; limit > 0 {
		silent := &silentError{limit}
		cancellable, cancel := context.WithCancelCause(ctx)
		ctx = cancellable
		defer cancel(nil)
		a.progress.watch(limit, func() { cancel(silent) }, func() { giveUp(silent) })
	}
	if hook := s.hooks.StepStarted; hook != nil {
		hook(a.StepInfo)
	}
	var end attempted
	defer func() {
		// A panic is a failure of the attempt, and so is a Goexit: without an answer the pass would wait for ever.
		r := recover()
		if r == nil && !returned {
			r = "the step called runtime.Goexit, as testing.T.FailNow does: return an error instead"
		}
		if silent, ok := errors.AsType[*silentError](context.Cause(ctx)); ok && errors.Is(end.err, context.Canceled) {
			end.err = fmt.Errorf("%w (%w)", silent, end.err)
		}
		if r != nil {
			end.err = &stepPanic{value: r, stack: debug.Stack()}
		}
		end.elapsed, end.details = time.Since(began), a.progress.end()
		a.end(end)
	}()
	if a.bound.runTx != nil {
		end.tx, end.err = a.transact(ctx)
	} else {
		end.output, end.err = a.call(ctx)
	}
	returned = true
}

func (a *attempt) call(ctx context.Context) ([]byte, error) {
	input := a.op.Arg.(*stepCall).input
	if len(a.pass.session.middleware) == 0 {
		return a.bound.runStep(ctx, input)
	}
	return aroundStep(ctx, a.pass.session.middleware, a.StepInfo, func(ctx context.Context) ([]byte, error) { return a.bound.runStep(ctx, input) })
}

// end hands in how the attempt ended.
func (a *attempt) end(end attempted) {
	end.op, end.attempt = a.op, a.Attempt
	a.pass.returned.leave(end)
}

// beat hands in details of the attempt, which has not ended.
func (a *attempt) beat(details []byte) { a.end(attempted{beat: true, details: details}) }

// enter takes a slot, unless ctx ends first.
func enter(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}: // mostly; asking for ctx.Done costs a channel
		return true
	default:
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leave(slots <-chan struct{}) { <-slots }

// stepGrace is how long a function that minds its context may take to return after its time is over, and so to say
// something better than that.
const stepGrace = time.Second

// silentError is the failure of a step that has not called Heartbeat for too long.
type silentError struct{ limit time.Duration }

func (e *silentError) Error() string {
	return fmt.Sprintf("the step did not call workflow.Heartbeat for %v, its heartbeat timeout", e.limit)
}

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
