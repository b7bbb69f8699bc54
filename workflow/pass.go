package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// pass drives one pass: it starts what the workflow wants, hands the outcomes back, and has them committed.
//
// An outcome goes to its branch as soon as it is queued for commit, so that a body that runs on to its end joins the same
// flush. But no step starts until every outcome handed out so far is committed: durable before the next effect.
type pass struct {
	session *session
	queue   *claimer
	claimed store.Claimed
	flow    Binding
	info    *passInfo
	began   time.Time

	ctx    context.Context // the session's: ends when the lease is lost or the shutdown deadline is over
	steps  context.Context // of the steps: ctx, as the middleware has left it
	replay *replay.Pass

	returned returned

	running map[*replay.Op]running // attempts in flight
	starts  []stepStart            // wanted, and waiting for the commit of what was handed out
	retries map[*replay.Op]retryAt // between two attempts
	waiting map[string]*replay.Op  // open waits for events, messages and children, by checkpoint
	details map[*replay.Op][]byte  // of heartbeats

	records    []replay.Record // outcomes handed out and not on their way to the database yet
	pending    map[string]bool // recorded steps that are between two attempts
	children   []store.Child   // to be made with them
	unwanted   []string        // records of children that are to end
	answer     chan committed
	sent       *store.Unit // on its way, or refused
	committing bool

	recorded []recordedStep // steps whose outcomes are among records
	onWay    []recordedStep // those that are on their way
	failure  []byte         // with which the task has failed

	history       history
	ran, replayed int
	blocked       string    // why this worker cannot go on with the task; empty: it can
	lookAt        time.Time // when the pass looks at its waits again; see watch
	news          bool      // one of them has an outcome
	placed        bool      // it has one of the places for passes
	failing, over bool
	endedAs       PassEnd
	suspended     bool // the run sleeps, and the pass may go on when it comes back
}

type stepStart struct {
	op      *replay.Op
	attempt int
}

type retryAt struct {
	attempt int
	at      time.Time
}

// holdFor is how long a pass is held in memory for a short sleep or backoff, instead of suspending its run and being claimed
// and replayed again.
const holdFor = 250 * time.Millisecond

func newPass(s *session, q *claimer, c store.Claimed, flow Binding, history []replay.Record) *pass {
	p := &pass{
		session: s, queue: q, claimed: c, flow: flow, ctx: s.stepCtx,
		info:     &passInfo{task: c.Task, generation: c.Generation, tenant: c.Tenant, queue: q.name, registry: s.registry, workflow: c.Name, log: s.log, headers: c.Headers},
		returned: returned{some: make(chan struct{}, 1)},
		running:  make(map[*replay.Op]running),
		answer:   make(chan committed, 1),
	}
	for _, r := range history {
		switch {
		case r.Outcome == replay.Pending:
			p.setPending(r.Name)
		case r.Kind == replay.Step:
			p.replayed++
		}
	}
	p.count(history...)
	p.replay = replay.New(replay.Config{
		History: history,
		Start:   c.FirstStarted,
		Now:     c.Claimed,
		Body: func(b *replay.Branch) ([]byte, error) {
			return flow.runFlow(b, p.info, c.Params)
		},
	})
	return p
}

// run drives the pass until it ends or its run sleeps.
func (p *pass) run() {
	p.began = time.Now()
	defer func() {
		if !p.over { // a Goexit in the workflow ends this goroutine too
			p.block("the workflow called runtime.Goexit, as testing.T.FailNow does: return an error instead")
		}
	}()
	for {
		now := p.session.clock.now()
		p.replay.Advance(now)
		p.retryDue(now)
		status := p.replay.Run()
		p.drop(p.replay.Abandoned())
		if status == replay.Parked && p.claimed.CancelRequested && !p.replay.Cancelled() {
			p.observeCancel(now)
			continue
		}
		p.records = append(p.records, p.replay.Decisions()...)
		switch {
		case status == replay.Diverged:
			p.block(p.divergence())
			return
		case status == replay.Done:
			p.planDetached(now)
			p.finish()
			return
		}
		if p.plan() {
			continue // a sleep was over before it began
		}
		switch {
		case p.blocked != "":
			p.block(p.blocked)
			return
		case p.history.reached(p.session.history, 1):
			p.overflow()
			return
		}
		stopping := p.session.stopping()
		hold, timer := p.hold(now)
		if !p.committing {
			quiet := len(p.running) == 0
			stuck := quiet && timer.IsZero() && len(p.starts)+len(p.waiting) == 0
			switch {
			case stuck && len(p.records) == 0:
				p.block("the branches of the workflow wait for each other, or for a race of no branches: nothing can wake it")
				return
			case quiet && !hold && len(p.starts) == 0 && !stuck:
				p.end(&store.Unit{Action: store.Suspend, Due: timer, Waits: p.openWaits()}, PassSuspended)
				return
			case quiet && stopping:
				p.end(&store.Unit{Action: store.Release}, PassReleased)
				return
			case !stopping && due(p.nextLook(now), now):
				if !p.watch(timer, now) {
					return
				}
				continue
			case len(p.records) > 0 || p.info.notes.fresh:
				p.commit(&store.Unit{Action: store.Record})
			case !stopping:
				p.startSteps()
			}
		}
		if !p.await(now, timer, stopping) {
			return
		}
	}
}

// await waits for the next thing to happen. timer is when the pass can move by itself. It reports whether the pass goes on.
func (p *pass) await(now, timer time.Time, stopping bool) bool {
	var due <-chan time.Time
	at := timer // a step may hold the pass in memory for longer than that
	if look := p.nextLook(now); !look.IsZero() && !stopping && (at.IsZero() || look.Before(at)) {
		at = look
	}
	if !at.IsZero() {
		t := time.NewTimer(max(at.Sub(now), clockSlip))
		defer t.Stop()
		due = t.C
	}
	stop := p.session.stop
	if stopping {
		stop = nil
	}
	select {
	case <-p.returned.some:
		p.takeReturned()
		return !p.over
	case c := <-p.answer:
		return p.accepted(c)
	case <-due:
	case <-stop:
	case <-p.ctx.Done():
		p.interrupted()
		return false
	}
	return true
}

// takeReturned takes all attempts that have ended, so that they share a commit.
func (p *pass) takeReturned() {
	ends, told := p.returned.take()
	for _, a := range ends {
		if p.over {
			return
		}
		p.take(a)
	}
	if told && !p.over {
		p.look()
	}
}

// plan looks at what the workflow newly wants. It reports whether the workflow can move again at once.
func (p *pass) plan() (moved bool) {
	now := p.session.clock.now()
	for _, op := range p.replay.Wants() {
		switch call := op.Arg.(type) {
		case *stepCall:
			if p.bound(op).step == nil {
				p.blocked = "step " + call.name + " is not registered with this worker: call the Register function of its package" +
					" (" + position(op.Caller) + ")"
				return false
			}
			p.planStep(op, now)
		case *sleepCall:
			wake := call.at
			if wake.IsZero() {
				wake = op.Asked.Add(call.d)
			}
			// To the database's precision, so that this pass and every replay see the same time.
			wake = wake.UTC().Truncate(time.Microsecond)
			state, _ := json.Marshal(wake)
			p.records = append(p.records, replay.Record{Name: op.Name, Kind: replay.Sleep, Outcome: replay.Value, Time: now, State: state})
			p.replay.StartSleep(op, wake)
			moved = moved || !now.Before(wake)
		case *childCall:
			p.planChild(op, call, now)
		case *waitCall:
			p.wait(op)
		}
	}
	return moved
}

func (p *pass) wait(op *replay.Op) {
	if p.waiting == nil {
		p.waiting = make(map[string]*replay.Op)
	}
	p.waiting[op.Name] = op
}

// openWaits returns the waits that the run sleeps on, in the order of asking.
func (p *pass) openWaits() []store.Wait {
	waits := make([]store.Wait, 0, len(p.waiting))
	if len(p.waiting) == 0 {
		return waits
	}
	for _, op := range p.replay.Open() {
		call, ok := op.Arg.(*waitCall)
		if !ok {
			continue
		}
		w := store.Wait{Name: op.Name, Kind: op.Kind, Event: call.name}
		if call.timeout > 0 {
			// From the branch's time and not from now: a replay comes to the same deadline.
			w.Timeout = op.Asked.Add(call.timeout)
		}
		waits = append(waits, w)
	}
	return waits
}

// bound returns what a step runs: the function of a one-off step, or the registered one.
func (p *pass) bound(op *replay.Op) Binding {
	call := op.Arg.(*stepCall)
	if call.inline != nil {
		return *call.inline
	}
	return p.session.registry.steps[call.name]
}

// drop stops what branches wanted that have lost a race or were cancelled.
func (p *pass) drop(abandoned []*replay.Op) {
	for _, op := range abandoned {
		if r, ok := p.running[op]; ok {
			r.giveUp()
			delete(p.running, op)
		}
		delete(p.retries, op)
		if _, ok := op.Arg.(*childCall); ok && p.waiting[op.Name] == op {
			p.unwanted = append(p.unwanted, op.Name)
		}
		delete(p.details, op)
		delete(p.waiting, op.Name)
		p.starts = slices.DeleteFunc(p.starts, func(s stepStart) bool { return s.op == op })
	}
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

// hold returns the earliest moment at which the pass can move by itself, and whether that is so near that it waits for it
// in memory. The zero time means that only an event can move it.
func (p *pass) hold(now time.Time) (hold bool, at time.Time) {
	at = p.replay.NextWake()
	for _, r := range p.retries {
		if at.IsZero() || r.at.Before(at) {
			at = r.at
		}
	}
	return !at.IsZero() && at.Sub(now) <= holdFor, at
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
		p.recorded = append(p.recorded, recordedStep{info, nil})
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
		p.recorded = append(p.recorded, recordedStep{info, a.err})
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
