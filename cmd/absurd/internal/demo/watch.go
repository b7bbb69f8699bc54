package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// outcome is what the client got for a task.
type outcome struct {
	*progress
	shipment orders.Shipment
	err      error
	at       time.Time
}

// How often the picture is drawn, and what silence means: a clerk need not wait for a report that a killed worker could not
// send any more, and a demo that has stopped moving is broken.
const (
	frame     = 100 * time.Millisecond
	clerkIdle = 2 * time.Second
	stalled   = 30 * time.Second
)

// watch listens to everybody, kills when the moment has come, approves, and returns when all tasks have ended.
func (s *stage) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := s.await(ctx)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	heard, approved := time.Now(), time.Now()
	for open := len(s.board.orders); open > 0; {
		select {
		case m := <-s.messages:
			heard = time.Now()
			if err := s.take(m); err != nil {
				return err
			}
		case r := <-results:
			heard = time.Now()
			s.finished(r)
			open--
		case now := <-tick.C:
			silence := now.Sub(heard)
			if silence > stalled+s.longestReminder() {
				return fmt.Errorf("nothing has happened for %v, and %s not finished", silence.Round(time.Second), s.unfinished())
			}
			if now.Sub(approved) > 3*frame {
				approved = now
				if err := s.approve(ctx, silence > clerkIdle); err != nil {
					return err
				}
			}
			s.screen.draw(s.picture())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// dismiss has the workers stop that are left, and hears them out: the results came from the database, which may be quicker than a
// worker's last report.
func (s *stage) dismiss(ctx context.Context) error {
	for _, c := range s.children {
		if c == s.killed || c.name == gatewayName {
			continue
		}
		c.dismiss()
		for gone := false; !gone; {
			select {
			case m := <-s.messages:
				if gone = m.gone && m.from == c; gone {
					continue
				}
				if err := s.take(m); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// await waits for the result of every task.
func (s *stage) await(ctx context.Context) <-chan outcome {
	results := make(chan outcome, len(s.board.orders))
	for _, p := range s.board.orders {
		go func() {
			var shipment orders.Shipment
			task, err := orders.Fulfil.Attach(ctx, s.client, p.task)
			if err == nil {
				shipment, err = task.Result(ctx)
			}
			results <- outcome{p, shipment, err, time.Now()}
		}()
	}
	return results
}

// take deals with what a child has to say.
func (s *stage) take(m message) error {
	switch {
	case m.gone && m.from == s.killed:
		s.bury()
	case m.gone:
		return m.from.failure()
	case m.Kind == stepStarted:
		if p, takenOver := s.board.started(m.from, m.report); takenOver {
			s.aside("%s  %s takes over, and replays what is recorded", p.ID, m.from.name)
		}
		s.tellRepeat(m.Key)
	case m.Kind == stepEnded:
		s.stepEnded(m)
	case m.Kind == passEnded:
		s.passEnded(m)
	case m.Kind == effectSeen:
		s.board.effected(m.report)
		s.tellRepeat(m.Key)
	}
	if s.killed == nil {
		return s.killAtTheRightMoment()
	}
	return nil
}

// tellRepeat says that a step runs again, when both the worker and the gateway have said so.
func (s *stage) tellRepeat(key string) {
	if c, p, ok := s.board.ranAgain(key); ok {
		s.aside("%s  %s runs again on %s, under the same key: the gateway drops the repeat", p.ID, short(c.checkpoint), c.worker.name)
	}
}

// killAtTheRightMoment kills a worker as soon as it would hurt.
func (s *stage) killAtTheRightMoment() error {
	victim := s.board.victim()
	if victim == nil {
		return nil
	}
	if err := victim.kill(); err != nil {
		return fmt.Errorf("%s cannot be killed: %w", victim.name, err)
	}
	s.killed = victim
	return nil
}

// bury says what the killed worker was in the middle of, once its last reports are read.
func (s *stage) bury() {
	const most = 8
	lost := s.board.lost(s.killed)
	s.screen.tell("%s", s.screen.style.bad(fmt.Sprintf("kill -9 %d: %s is gone, in the middle of", s.killed.pid(), s.killed.name)))
	for i, c := range lost {
		if i == most {
			s.screen.detail("and %d more", len(lost)-most)
			break
		}
		what := "the gateway has done it, and the answer was on its way"
		if !s.board.effects[c.key] {
			what = "the gateway has not heard of it yet"
		}
		s.screen.detail("%s  %-24s %s", c.order.ID, short(c.checkpoint), what)
	}
	s.screen.tell("nobody tells the other worker; it notices when the lease of %v is over", lease)
	s.buried = true
}

func (s *stage) stepEnded(m message) {
	p := s.board.ended(m.from, m.report)
	switch {
	case p == nil:
	case m.Error != "":
		s.screen.tell("%s  %s failed (attempt %d): %s", p.ID, short(m.Checkpoint), m.Attempt, m.Error)
	case m.Step == orders.Charge.Name():
		s.screen.note("%s  charged %s (%s)", p.ID, amount(p.Cents), m.from.name)
	case m.Step == orders.Pack.Name() && p.count(m.Step, done) == len(p.Items):
		s.screen.note("%s  %s packed (%s)", p.ID, plural(len(p.Items), "item"), m.from.name)
	case m.Step == orders.Remind.Name():
		s.screen.note("%s  reminder sent (%s)", p.ID, m.from.name)
	}
}

func (s *stage) passEnded(m message) {
	p := s.board.passed(m.report)
	switch {
	case p == nil:
	case m.Pass == workflow.PassBlocked || m.Pass == workflow.PassFailed || m.Pass == workflow.PassRetried:
		s.screen.tell("%s  the pass on %s ended: %s", p.ID, m.from.name, m.Pass)
	case m.Pass != workflow.PassSuspended:
	case p.waitsForApproval():
		s.screen.note("%s  waits for a clerk, holding no worker", p.ID)
	case p.ReminderSeconds > 0:
		s.screen.note("%s  sleeps %ds before its reminder, holding no worker", p.ID, p.ReminderSeconds)
	}
}

// approve plays the clerk, who begins once the killed worker's share has been taken over, or else when nothing moves any more.
// The clerk is outside of every workflow, and knows the order's id and nothing of tasks.
func (s *stage) approve(ctx context.Context, idle bool) error {
	s.clerk = s.clerk || idle || s.buried && !s.orphaned()
	share := 1 + len(s.board.orders)/20 // so that it can be watched, and ends soon
	for _, p := range s.board.orders {
		if p.approved || p.Cents <= orders.ApprovalLimit || !idle && !(s.clerk && p.waitsForApproval()) {
			continue
		}
		if err := orders.ApprovalEvent.Emit(ctx, s.client, orders.Approval{OrderID: p.ID, OK: true}); err != nil {
			return err
		}
		p.approved = true
		s.aside("%s  the clerk approves %s: process %d emits %s", p.ID, amount(p.Cents), os.Getpid(), orders.ApprovalEvent.Name())
		if share--; share == 0 {
			break
		}
	}
	return nil
}

// aside tells something that is of interest the first times, and on a terminal only then.
func (s *stage) aside(format string, args ...any) {
	const enough = 24
	if s.asides++; s.asides > enough {
		s.screen.note(format, args...)
		return
	}
	s.screen.tell(format, args...)
}

// orphaned reports whether there are orders that nobody has taken over yet.
func (s *stage) orphaned() bool {
	for _, p := range s.board.orders {
		if p.state == "running" && p.worker == s.killed {
			return true
		}
	}
	return false
}

func (s *stage) finished(r outcome) {
	p := r.progress
	p.shipment, p.err, p.elapsed = r.shipment, r.err, r.at.Sub(p.began)
	if p.err == nil {
		p.state = "completed" // also when the report of it was cut off
		s.screen.note("%s  completed", p.ID)
	} else {
		p.state = "failed"
		s.screen.tell("%s  %s", p.ID, s.screen.style.bad(p.err.Error()))
	}
}

func (p *progress) finished() bool { return p.elapsed > 0 }

func (s *stage) longestReminder() time.Duration {
	longest := 0
	for _, p := range s.board.orders {
		longest = max(longest, p.ReminderSeconds)
	}
	return time.Duration(longest) * time.Second
}

func (s *stage) unfinished() string {
	var ids []string
	for _, p := range s.board.orders {
		if !p.finished() {
			ids = append(ids, p.ID+" ("+p.state+")")
		}
	}
	if len(ids) == 1 {
		return ids[0] + " is"
	}
	return strings.Join(ids, ", ") + " are"
}

// short is a checkpoint's name without the branch that it was made in.
func short(checkpoint string) string {
	return checkpoint[strings.LastIndex(checkpoint, "/")+1:]
}
