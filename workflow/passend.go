package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// finish commits what the workflow returned.
func (p *pass) finish() {
	result, err := p.replay.Result()
	if err == nil {
		err = p.unobserved()
	}
	switch {
	case err == nil:
		p.end(&store.Unit{Action: store.Complete, Payload: result}, PassCompleted)
		return
	case p.endsCancelled(err):
		p.cancelled(err)
		return
	case p.continues(err):
		return
	case isInputError(err):
		p.block("the task's input does not fit the code: " + err.Error())
		return
	}
	err = p.continueMisuse(err)
	f := newFailure(err)
	f.Records = failedRecords(err)
	if pe, ok := errors.AsType[*replay.PanicError](err); ok {
		f.Name, f.Stack = "panic", storable(string(pe.Stack))
	}
	policy := &p.flow.flow.policy
	// An error that wraps no recorded failure comes out of every replay in the same way: another attempt cannot change it.
	if p.claimed.Attempt < policy.attempts && len(f.Records) > 0 && !IsPermanent(err) && !p.replay.Cancelled() {
		due := policy.next(err, p.claimed.Attempt, p.session.clock.now())
		p.end(&store.Unit{Action: store.Retry, Payload: encodeFailure(f), Due: due, Removed: f.Records}, PassRetried)
		return
	}
	p.end(&store.Unit{Action: store.Fail, Payload: encodeFailure(f)}, PassFailed)
}

// unobserved returns the error of something that failed and that the workflow never waited for: an error is not lost.
func (p *pass) unobserved() error {
	f := p.replay.Unobserved()
	switch {
	case f == nil:
		return nil
	case f.Op() != nil:
		return fmt.Errorf("workflow: nobody awaited the future of a failed %s: %w", f.Op().Kind, recordedError(f.Op()))
	}
	return fmt.Errorf("workflow: nobody awaited the future of a failed branch: %w", f.Err())
}

func isInputError(err error) bool {
	_, ok := errors.AsType[*inputError](err)
	return ok
}

// block parks the run because this code cannot go on with it. Nothing is lost: it is tried again later, and other code may
// take it. What this pass has not committed yet is left out, because the code that made it is in doubt.
func (p *pass) block(reason string) {
	p.forget()
	p.park(reason)
}

// park is block with what has not been committed.
func (p *pass) park(reason string) {
	p.info.logger().Error("workflow: task blocked", "reason", reason)
	delay := min(jitter(2*time.Second<<min(p.claimed.Token, 8)), 5*time.Minute)
	f := failure{Name: "$Blocked", Message: storable(reason), Code: p.session.code}
	p.end(&store.Unit{Action: store.Block, Payload: encodeFailure(f), Due: p.session.clock.now().Add(delay)}, PassBlocked)
}

// forget drops what has not been handed in for commit.
func (p *pass) forget() {
	p.records, p.recorded, p.children, p.unwanted = nil, nil, nil, nil
	p.info.notes = notes{}
}

// divergence puts the disagreement of code and records into words: what was recorded, what the code asks for, what to do.
func (p *pass) divergence() string {
	d := p.replay.Divergence()
	var b strings.Builder
	fmt.Fprintf(&b, "workflow %s and the records of this task disagree.", p.claimed.Name)
	if d.Mismatch != "" {
		fmt.Fprintf(&b, "\n  %q at %s: %s.", d.Name, position(d.Caller), d.Mismatch)
	} else {
		b.WriteString("\n  recorded, but not reached by the code:")
		for _, r := range d.Recorded {
			fmt.Fprintf(&b, "\n    %s %q", r.Kind, r.Name)
		}
		b.WriteString("\n  reached by the code, but not recorded:")
		for _, op := range d.Reached {
			fmt.Fprintf(&b, "\n    %s %q at %s", op.Kind, op.Name, position(op.Caller))
		}
		if len(d.Reached) == 0 {
			b.WriteString("\n    nothing: the workflow ended before it came to them")
		}
	}
	b.WriteString("\n  what to do: roll the code back, or gate the change with workflow.Changed so that tasks which were past it keep to the old" +
		" order, or give the changed workflow a new name and keep the old function until its tasks are done.")
	return b.String()
}

// commit sends a unit on its way, with all records that are due.
func (p *pass) commit(u *store.Unit) {
	u.Task, u.Token, u.Records, u.Children, u.Unwanted = p.claimed.Task, p.claimed.Token, p.records, p.children, p.unwanted
	for _, r := range p.records {
		u.Renews = u.Renews || p.pending[r.Name]
		if r.Outcome == replay.Pending {
			p.setPending(r.Name)
		}
	}
	if n := &p.info.notes; n.fresh {
		u.Published, u.Attributes = n.take(published), n.take(attribute)
		n.fresh = false
	}
	p.onWay, p.recorded = p.recorded, nil
	p.failure = nil
	if u.Action == store.Fail {
		p.failure = u.Payload
	}
	p.records, p.children, p.unwanted = nil, nil, nil
	p.count(u.Records...)
	p.committing, p.sent = true, u
	p.queue.committer.handIn(&commit{unit: u, answer: p.answer}, p.session.lost.Done())
}

func (p *pass) setPending(name string) {
	if p.pending == nil {
		p.pending = make(map[string]bool)
	}
	p.pending[name] = true
}

// committed waits for the answer to the unit on its way, if there is one. It reports whether the pass goes on.
func (p *pass) committed() bool {
	if !p.committing {
		return true
	}
	select {
	case c := <-p.answer:
		return p.accepted(c)
	case <-p.session.lost.Done():
		p.ended(PassLost)
		return false
	}
}

// accepted looks at the answer to a unit. It reports whether the pass goes on.
func (p *pass) accepted(c committed) bool {
	p.committing = false
	if c.err != nil {
		p.unstorable(c.err)
		return false
	}
	p.sent = nil // a parked pass keeps nothing of it
	switch {
	case c.answer == store.OK || c.answer == store.News:
		p.tellRecorded(p.onWay)
		p.news = p.news || c.answer == store.News
		return true
	case c.answer == store.Requested:
		p.tellRecorded(p.onWay)
		p.claimed.CancelRequested = true
		return true
	default:
		p.refused(c.answer)
	}
	return false
}

// refused ends a pass whose run is not its own any more.
func (p *pass) refused(answer store.Answer) {
	if answer == store.Gone {
		p.endSteps(ErrCancelled)
		p.ended(PassCancelled)
	} else {
		p.ended(PassLost)
	}
}

// end commits the last unit of the pass.
func (p *pass) end(u *store.Unit, end PassEnd) {
	if !p.committed() {
		return
	}
	p.commit(u)
	if end == PassCompleted || end == PassFailed || end == PassCancelled {
		p.waitAside()
	}
	if !p.committed() {
		return
	}
	if u.Action == store.Suspend || u.Action == store.Retry {
		p.queue.wakeAt(u.Due, p.session.clock.now())
		p.suspended = u.Action == store.Suspend
	}
	p.session.ended(p.claimed.Task, u.Action, u.Payload)
	p.ended(end)
}

// waitAside lets another pass run. This one runs no more code of the user's: all that is left is to wait until the task's end is in
// the database. At most as many passes wait aside as there are places; where they are that many, because nothing can be written, the
// others keep their places, and no more runs are claimed. A pass after which another one of the same task follows keeps its place in
// any case, so that the hooks have told of its steps before that one starts any.
func (p *pass) waitAside() {
	if p.aside {
		return
	}
	select {
	case p.session.aside <- struct{}{}:
		p.aside = true
		p.queue.release(1)
	default:
	}
}

// leavePlace gives back the place that the pass has, or that aside.
func (p *pass) leavePlace() {
	if p.aside {
		p.aside = false
		<-p.session.aside
		return
	}
	p.queue.release(1)
}

// unstorable fails the task whose data the database refuses: only this task, and with the reason.
func (p *pass) unstorable(err error) {
	if p.failing {
		p.info.logger().Error("workflow: the failure of a task cannot be stored", "error", err)
		p.ended(PassLost)
		return
	}
	reason := err.Error()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		reason = pg.Message // the detail would quote the payload
	}
	if errors.Is(err, db.ErrUnknownQueue) && len(p.sent.Children) > 0 {
		p.forgetChildren()
		p.park("a child cannot be made: " + reason)
		return
	}
	p.failing = true
	f := failure{Name: "$Unstorable", Message: storable("an outcome cannot be stored: " + reason)}
	p.forget()
	p.end(&store.Unit{Action: store.Fail, Payload: encodeFailure(f)}, PassFailed)
}

// forgetChildren drops what has not been committed but for what steps have come to: one that has run is not to run again with each
// try at making the children.
func (p *pass) forgetChildren() {
	records, recorded := slices.Concat(p.sent.Records, p.records), slices.Concat(p.onWay, p.recorded)
	p.forget()
	for _, r := range records {
		if r.Kind == replay.Step {
			p.record(r)
		}
	}
	p.recorded = recorded
}

// interrupted ends a pass whose steps were told to stop. When the lease is lost nothing may be written any more. When the
// shutdown deadline is over the run is handed back with what steps have come to until now; those that have not ended run again elsewhere.
func (p *pass) interrupted() {
	if p.session.lost.Err() != nil {
		p.ended(PassLost)
		return
	}
	if p.takeReturned(); p.over {
		return
	}
	p.end(&store.Unit{Action: store.Release}, PassReleased)
}

func (p *pass) ended(end PassEnd) {
	p.over, p.endedAs = true, end
	p.tellEnded(end)
	if hook := p.session.hooks.PassEnded; hook != nil {
		hook(PassInfo{
			Task: p.claimed.Task, Workflow: p.claimed.Name, Attempt: p.claimed.Attempt, End: end,
			Ran: p.ran, Replayed: p.replayed, Elapsed: time.Since(p.began),
		})
	}
}

// endSteps lets the steps that still run know that nobody waits for them.
func (p *pass) endSteps(cause error) {
	for _, r := range p.running {
		r.stop(cause)
		r.giveUp()
	}
}

// close unwinds the workflow and lets the steps that still run know that nobody waits for them.
func (p *pass) close() {
	p.endSteps(nil)
	p.replay.Stop()
}
