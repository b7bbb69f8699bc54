package workflow

import (
	"context"
	"encoding/json"
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
	seen          time.Time // what its waits had come to then is known
	fresh         bool      // the store does not know of some of them
	news          bool      // one of them has an outcome
	aside         bool      // it has no place among those that run: see waitAside
	failing, over bool
	endedAs       PassEnd
	suspended     bool // the run sleeps, and the pass may go on when it comes back
}

// holdFor is how long a pass is held in memory for a short sleep or backoff, instead of suspending its run and being claimed
// and replayed again.
const holdFor = 250 * time.Millisecond

func newPass(s *session, q *claimer, c store.Claimed, flow Binding, history []replay.Record) *pass {
	p := &pass{
		session: s, queue: q, claimed: c, flow: flow, ctx: s.stepCtx, seen: c.Claimed,
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
		if !p.advance(now) {
			return
		}
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
			case !stopping && due(p.nextLook(now, hold), now):
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
		if !p.await(now, timer, hold, stopping) {
			return
		}
	}
}

// await waits for the next thing to happen. timer is when the pass can move by itself, hold says that it is waited for in memory. It
// reports whether the pass goes on.
func (p *pass) await(now, timer time.Time, hold, stopping bool) bool {
	var due <-chan time.Time
	at := timer // a step may hold the pass in memory for longer than that
	if look := p.nextLook(now, hold); !look.IsZero() && !stopping && !p.committing && (at.IsZero() || look.Before(at)) {
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
