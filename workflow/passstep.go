package workflow

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// stepStart is a step that starts when all outcomes handed out so far are committed.
type stepStart struct {
	op      *replay.Op
	attempt int
}

// retryAt is when a step is tried again.
type retryAt struct {
	attempt int
	at      time.Time
}

// bound returns what a step runs: the function of a one-off step, or the registered one.
func (p *pass) bound(op *replay.Op) Binding {
	call := op.Arg.(*stepCall)
	if call.inline != nil {
		return *call.inline
	}
	return p.session.registry.steps[call.name]
}

// planStep has the step started, or tried again when its time comes if an earlier pass has recorded that it is between two
// attempts.
func (p *pass) planStep(op *replay.Op, now time.Time) {
	if op.Prior == nil {
		p.starts = append(p.starts, stepStart{op, 1})
		return
	}
	var prior failure
	err := json.Unmarshal(op.Prior.State, &prior)
	p.keepDetails(op, prior.Heartbeat)
	if err != nil || prior.Next == nil || !prior.Next.After(now) {
		p.starts = append(p.starts, stepStart{op, prior.Attempts + 1})
		return
	}
	p.retry(op, retryAt{prior.Attempts + 1, *prior.Next})
}

func (p *pass) retry(op *replay.Op, r retryAt) {
	if p.retries == nil {
		p.retries = make(map[*replay.Op]retryAt)
	}
	p.retries[op] = r
}

// retryDue moves the steps whose backoff is over to those that start.
func (p *pass) retryDue(now time.Time) {
	for op, r := range p.retries {
		if !now.Before(r.at) {
			delete(p.retries, op)
			p.starts = append(p.starts, stepStart{op, r.attempt})
		}
	}
}

func (p *pass) startSteps() {
	for _, s := range p.starts {
		a, r := p.newAttempt(s)
		p.running[s.op] = r
		go a.run()
	}
	clear(p.starts)
	p.starts = p.starts[:0]
}

// take deals with the end of an attempt.
func (p *pass) take(a attempted) {
	if a.beat {
		p.beat(a)
		return
	}
	r, ok := p.running[a.op]
	if !ok || r.attempt != a.attempt {
		return // the attempt was given up already
	}
	if a.err != nil && p.ctx.Err() != nil {
		return // it may have failed because it was told to stop: it counts as one that has not ended
	}
	r.giveUp()
	delete(p.running, a.op)
	if a.tx.Answer != "" && a.tx.Answer != store.OK {
		p.refused(a.tx.Answer)
		return
	}
	now := p.session.clock.now()
	bound := p.bound(a.op)
	cut := a.err != nil && p.replay.Cancelled() && !a.op.Shielded
	again := a.err != nil && !cut && a.attempt < bound.step.policy.attempts && !IsPermanent(a.err)
	info := StepInfo{Task: p.claimed.Task, Step: bound.step.name, Checkpoint: a.op.Name, Attempt: a.attempt, Generation: p.claimed.Generation}
	if hook := p.session.hooks.StepEnded; hook != nil {
		hook(info, StepResult{Elapsed: a.elapsed, Err: a.err, Final: !again})
	}
	rec := replay.Record{Name: a.op.Name, Kind: replay.Step, Outcome: replay.Value, Fingerprint: a.op.Fingerprint, Time: now, State: a.output}
	switch {
	case a.tx.Outcome != nil: // recorded already
		p.ran++
		p.tellRecorded([]recordedStep{{info, a.err}})
		p.count(*a.tx.Outcome)
		p.replay.Resolve(a.op, a.tx.Outcome.Outcome, a.tx.Outcome.State, a.tx.Outcome.Time)
		return
	case a.err == nil:
		p.ran++
		p.settle(a.op, rec)
		p.noteRecorded(info, nil)
		return
	case cut: // it was told to end, and has not done what it was to do
		p.replay.Cut(a.op, now)
		return
	}
	f := newFailure(a.err)
	f.Attempts = a.attempt
	if sp, ok := errors.AsType[*stepPanic](a.err); ok {
		f.Stack = storable(string(sp.stack))
	}
	if !again {
		p.ran++
		f.Permanent = IsPermanent(a.err)
		rec.Outcome, rec.State = replay.Failure, encodeFailure(f)
		p.settle(a.op, rec)
		p.noteRecorded(info, a.err)
		return
	}
	next := bound.step.policy.next(a.err, a.attempt, now)
	p.info.logger().Info("workflow: step failed, trying again", "step", a.op.Name, "attempt", a.attempt, "next", next, "error", a.err)
	p.retry(a.op, retryAt{a.attempt + 1, next})
	p.keepDetails(a.op, a.details)
	if next.Sub(now) > holdFor || a.details != nil {
		f.Next, f.Heartbeat = &next, a.details
		p.pend(a.op, f, now)
	}
}

// settle hands an outcome to its branch and queues it for commit.
func (p *pass) settle(op *replay.Op, rec replay.Record) {
	p.record(rec)
	delete(p.details, op)
	p.replay.Resolve(op, rec.Outcome, rec.State, rec.Time)
}

func encodeFailure(f failure) []byte {
	data, err := json.Marshal(f)
	if err != nil { // a struct of texts and numbers
		panic("workflow: " + err.Error())
	}
	return data
}
