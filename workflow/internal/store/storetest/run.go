package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Run has a store pass every case. Each says one thing that the runtime relies on.
func Run(t *testing.T, make Maker) {
	all := cases()
	all["tenants meet nowhere"] = tenants
	run(t, make, all)
}

// RunAsTenant is as [Run], for a store that may use one tenant alone.
func RunAsTenant(t *testing.T, make Maker) { run(t, make, cases()) }

func run(t *testing.T, make Maker, cases map[string]func(*suite)) {
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(newSuite(t, make)) })
	}
}

// cases are those that hold for every store.
func cases() map[string]func(*suite) {
	return map[string]func(*suite){
		"claims are in order of priority, time and spawning": claimOrder,
		"a token proves one claim":                           tokens,
		"a lease that has ended fences its worker":           leases,
		"the tenth lost lease in a row fails the task":       poison,
		"a task that gets further outlives its workers":      longLived,
		"the first record of a name stays":                   firstRecord,
		"records keep the order of their commit":             recordOrder,
		"a retry removes failures and supersedes":            retries,
		"an event wakes, early or late":                      events,
		"a run that goes on learns of its waits":             watches,
		"a wait times out once":                              timeouts,
		"a message is received once, in order":               messages,
		"a unique key is free when its task has ended":       uniqueKeys,
		"notes replace those of the same name":               taskNotes,
		"a message leaves what wakes for another reason":     messagesWait,
		"a message leaves what a child's end wakes":          messagesBesideChildren,
		"a policy cancels in time":                           policies,
		"an idempotency key finds its task":                  keys,
		"one bad unit writes nothing of the batch":           badData,
		"a batch that is sent again is known":                resends,
		"an unknown claim is handed back":                    unknownClaims,
		"a blocked task waits for other code":                blockedTasks,
		"notifications come to those who are idle":           notices,
		"a child is made once and answers its parent":        children,
		"a child's end wakes whoever sleeps, or will":        childWakes,
		"a request to end goes to children, with a deadline": cancels,
		"a request to end gives a minute by default":         cancelDefault,
		"a termination ends descendants at once":             terminations,
		"an unwanted child is asked to end":                  unwanted,
		"continuing begins anew":                             continuing,
		"tasks are listed in pages, by filters":              lists,
	}
}

func claimOrder(s *suite) {
	late := s.Clock.Now().Add(time.Hour)
	var ids []store.ID
	for i, o := range []store.SpawnOptions{{Priority: 1}, {}, {StartAt: &late}, {}, {Priority: -1}} {
		ids = append(ids, s.spawn([]string{"a", "b"}[i%2], o))
	}
	order := func(claimed []store.Claimed) (order []int) {
		for _, c := range claimed {
			order = append(order, slices.Index(ids, c.Task))
		}
		return order
	}
	equal(s, "the first two", order(s.claim(s.engine, 2)), []int{4, 1})
	equal(s, "the rest that is due", order(s.claim(s.engine, 9)), []int{3, 0})
	due, err := s.engine.NextDue(s.ctx)
	s.must(err)
	equal(s, "next due", due, late)
	s.Clock.Advance(time.Hour)
	s.id, s.engine = s.worker() // the lease of the first has ended
	equal(s, "what starts later", order(s.claim(s.engine, 9)), []int{2})
}

func tokens(s *suite) {
	first := s.started(store.SpawnOptions{})
	equal(s, "release", s.commit(s.engine, first, store.Unit{Action: store.Release}), store.OK)
	second := s.claim(s.engine, 1)[0]
	if second.Token <= first.Token || second.Attempt != first.Attempt {
		s.Errorf("token %d attempt %d after token %d attempt %d", second.Token, second.Attempt, first.Token, first.Attempt)
	}
	equal(s, "under the old token", s.commit(s.engine, first, store.Unit{Action: store.Record, Records: []replay.Record{step("late", 'v')}}), store.Lost)
	_, other := s.worker()
	equal(s, "by another worker", s.commit(other, second, store.Unit{Action: store.Complete}), store.Lost)
	equal(s, "records", s.records(first.Task), []string{})
	s.terminate(first.Task)
	equal(s, "after a termination", s.commit(s.engine, second, store.Unit{Action: store.Complete}), store.Gone)
	s.terminate(first.Task)
	equal(s, "state", s.state(first.Task).State, store.Cancelled)
	known, err := s.Store.Terminate(s.ctx, s.Queue, store.ID{})
	s.must(err)
	equal(s, "an unknown task is known", known, false)
}

func leases(s *suite) {
	c := s.started(store.SpawnOptions{})
	s.Clock.Advance(lease - 2*time.Millisecond)
	alive, _, err := s.workers.Renew(s.ctx, s.id, lease)
	s.must(err)
	equal(s, "renewed in time", alive, true)
	s.Clock.Advance(lease)
	equal(s, "after the lease, taken over or not", s.commit(s.engine, c, store.Unit{Action: store.Complete}), store.Lost)
	alive, _, err = s.workers.Renew(s.ctx, s.id, lease)
	s.must(err)
	equal(s, "renewed late", alive, false)
	_, err = s.engine.Claim(s.ctx, 1, nil)
	s.refused(err, "AB008")
	_, err = s.workers.Join(s.ctx, s.id, s.Queue, []string{"a"}, "code")
	s.refused(err, "AB008")
	_, other := s.worker()
	swept, err := s.workers.Sweep(s.ctx, 10)
	s.must(err)
	equal(s, "swept", swept, []store.Swept{{Worker: s.id, Requeued: 1}})
	again := s.claim(other, 1)
	if len(again) != 1 || again[0].Task != c.Task || again[0].Attempt != 1 {
		s.Fatalf("claimed after the sweep: %v", again)
	}
	equal(s, "the new holder", s.commit(other, again[0], store.Unit{Action: store.Complete, Payload: []byte(`2`)}), store.OK)
	equal(s, "result", string(s.state(c.Task).Result), "2")
}

func poison(s *suite) {
	id := s.spawn("a", store.SpawnOptions{})
	for range 10 {
		_, e := s.worker()
		equal(s, "claimed", len(s.claim(e, 1)), 1)
		s.Clock.Advance(lease)
		_, err := s.workers.Sweep(s.ctx, 100)
		s.must(err)
	}
	o := s.state(id)
	if o.State != store.Failed || !strings.Contains(string(o.Failure), "$LostLease") {
		s.Errorf("%s %s, want a task that has failed with $LostLease", o.State, o.Failure)
	}
}

func longLived(s *suite) {
	id := s.spawn("a", store.SpawnOptions{})
	for n := range 25 {
		_, e := s.worker()
		claimed := s.claim(e, 1)
		equal(s, "claimed", len(claimed), 1)
		if n%9 == 8 {
			r := step(fmt.Sprint("step ", n), 'v')
			equal(s, "record", s.commit(e, claimed[0], store.Unit{Action: store.Record, Records: []replay.Record{r}}), store.OK)
		}
		r := step("pending", 'n') // is no outcome
		equal(s, "attempt", s.commit(e, claimed[0], store.Unit{Action: store.Record, Records: []replay.Record{r}, Renews: true}), store.OK)
		s.Clock.Advance(lease)
		_, err := s.workers.Sweep(s.ctx, 100)
		s.must(err)
	}
	equal(s, "state", s.state(id).State, store.Pending)
}

func firstRecord(s *suite) {
	c := s.started(store.SpawnOptions{})
	for _, r := range []replay.Record{step("x", 'n'), step("y", 'v'), step("x", 'f'), step("x", 'v'), step("y", 'n')} {
		equal(s, "record", s.commit(s.engine, c, store.Unit{Action: store.Record, Records: []replay.Record{r}, Renews: true}), store.OK)
	}
	_, err := s.engine.Commit(s.ctx, []*store.Unit{{Task: c.Task, Token: c.Token, Action: store.Record, Records: []replay.Record{step("y", 'v')}}}, false)
	s.refused(err, "23505")
	equal(s, "records", s.records(c.Task), []string{"v y", "f x"})
	named := make(map[store.ID][]replay.Record)
	s.must(s.engine.LoadNamed(s.ctx, []store.Named{{Task: c.Task, Name: "x"}, {Task: c.Task, Name: "z"}}, named))
	equal(s, "named", len(named[c.Task]), 1)
}

func recordOrder(s *suite) {
	c := s.started(store.SpawnOptions{})
	u := store.Unit{Action: store.Record, Records: []replay.Record{step("b", 'n'), step("d", 'n')}}
	equal(s, "two attempts", s.commit(s.engine, c, u), store.OK)
	u = store.Unit{Action: store.Record, Records: []replay.Record{step("a", 'v'), step("b", 'v'), step("c", 'v'), step("d", 'f'), step("e", 'v')}, Renews: true}
	equal(s, "outcomes, of which two replace them", s.commit(s.engine, c, u), store.OK)
	equal(s, "records", s.records(c.Task), []string{"v a", "v b", "v c", "f d", "v e"})
}

func retries(s *suite) {
	c := s.started(store.SpawnOptions{})
	before := []replay.Record{step("1/a", 'f'), step("1.2/b", 'v'), step("12/c", 'v'), step("1/d", 'v')}
	u := store.Unit{Action: store.Retry, Records: before, Removed: []string{"1/a", "1/d"}, Due: s.Clock.Now().Add(time.Second), Payload: []byte(`{}`)}
	equal(s, "retry", s.commit(s.engine, c, u), store.OK)
	equal(s, "records", s.records(c.Task), []string{"V 1.2/b", "v 12/c", "v 1/d"})
	equal(s, "before it is due", len(s.claim(s.engine, 1)), 0)
	s.Clock.Advance(time.Second)
	again := s.claim(s.engine, 1)[0]
	equal(s, "attempt", again.Attempt, 2)
	failure := []byte(`{"name": "E", "message": "no", "records": ["x"]}`)
	u = store.Unit{Action: store.Fail, Payload: failure, Records: []replay.Record{step("x", 'f'), step("y", 'v')}}
	equal(s, "fail", s.commit(s.engine, again, u), store.OK)
	known, err := s.Store.Retry(s.ctx, s.Queue, c.Task)
	s.must(err)
	equal(s, "known", known, true)
	equal(s, "records", s.records(c.Task), []string{"V 1.2/b", "v 12/c", "v 1/d", "V y"})
	equal(s, "attempt", s.claim(s.engine, 1)[0].Attempt, 3)
	_, err = s.Store.Retry(s.ctx, s.Queue, c.Task)
	s.refused(err, "P0001")
	known, err = s.Store.Retry(s.ctx, s.Queue, store.ID{})
	s.must(err)
	equal(s, "an unknown task is known", known, false)
}

func events(s *suite) {
	c := s.started(store.SpawnOptions{})
	s.emit("early")
	s.must(s.Store.Emit(s.ctx, s.Queue, []store.Event{{Name: "early", Payload: []byte(`2`)}, {Name: "beside"}, {Name: "beside", Payload: []byte(`2`)}}, time.Second))
	u := store.Unit{Action: store.Suspend, Waits: []store.Wait{wait("w1", "early", time.Time{}), wait("w2", "late", time.Time{}), wait("w3", "beside", time.Time{})}}
	equal(s, "suspend", s.commit(s.engine, c, u), store.OK)
	equal(s, "an event that was there", s.state(c.Task).State, store.Pending)
	c = s.claim(s.engine, 1)[0]
	s.emit("late")
	equal(s, "records of a running task", s.records(c.Task), []string{"v w1", "v w3", "v w2"})
	u = store.Unit{Action: store.Suspend, Waits: []store.Wait{wait("w4", "last", time.Time{})}}
	equal(s, "suspend", s.commit(s.engine, c, u), store.OK)
	equal(s, "state", s.state(c.Task).State, store.Sleeping)
	equal(s, "claimed", len(s.claim(s.engine, 1)), 0)
	s.emit("last")
	c = s.claim(s.engine, 1)[0]
	records := make(map[store.ID][]replay.Record)
	s.must(s.engine.Load(s.ctx, []store.ID{c.Task}, records))
	equal(s, "payload", string(records[c.Task][0].State), "1")
	s.refused(s.Store.Emit(s.ctx, s.Queue, []store.Event{{Name: "good"}, {Name: " "}}, 0), "AB006")
	s.refused(s.Store.Emit(s.ctx, "nowhere", []store.Event{{Name: "x"}}, 0), "AB004")
}

func watches(s *suite) {
	c := s.started(store.SpawnOptions{})
	soon := s.Clock.Now().Add(2 * time.Second)
	watch := func() store.Answer {
		u := store.Unit{Action: store.Watch, Waits: []store.Wait{wait("w1", "e", time.Time{}), wait("w2", "never", soon)}}
		return s.commit(s.engine, c, u)
	}
	equal(s, "nothing has come", watch(), store.OK)
	equal(s, "state", s.state(c.Task).State, store.Running)
	s.emit("e")
	equal(s, "an event has come", watch(), store.News)
	equal(s, "records", s.records(c.Task), []string{"v w1"})
	again := store.Unit{Action: store.Watch, Waits: []store.Wait{wait("w2", "never", soon)}}
	equal(s, "nothing new", s.commit(s.engine, c, again), store.OK)
	s.Clock.Advance(2 * time.Second)
	equal(s, "a time is up", s.commit(s.engine, c, again), store.News)
	equal(s, "records", s.records(c.Task), []string{"v w1", "t w2"})
	s.emit("never")
	s.emit("e2")
	_, err := s.Store.RequestCancel(s.ctx, s.Queue, c.Task, 0)
	s.must(err)
	again.Waits = []store.Wait{wait("w3", "e2", time.Time{})}
	equal(s, "a request, which comes before news", s.commit(s.engine, c, again), store.Requested)
	equal(s, "records", s.records(c.Task), []string{"v w1", "t w2", "v w3"})
	equal(s, "complete", s.commit(s.engine, c, store.Unit{Action: store.Complete}), store.Requested)
	equal(s, "under an old claim", watch(), store.Lost)
}

func timeouts(s *suite) {
	c := s.started(store.SpawnOptions{})
	soon := s.Clock.Now().Add(2 * time.Second)
	u := store.Unit{Action: store.Suspend, Due: soon.Add(time.Second), Waits: []store.Wait{wait("w", "e", soon), wait("v", "e2", time.Time{})}}
	equal(s, "suspend", s.commit(s.engine, c, u), store.OK)
	due, err := s.engine.NextDue(s.ctx)
	s.must(err)
	equal(s, "next due", due, soon)
	s.Clock.Advance(5 * time.Second)
	c = s.claim(s.engine, 1)[0]
	s.emit("e")
	s.emit("e2")
	equal(s, "records", s.records(c.Task), []string{"t w", "v v"})
	records := make(map[store.ID][]replay.Record)
	s.must(s.engine.Load(s.ctx, []store.ID{c.Task}, records))
	equal(s, "time of the timeout", records[c.Task][0].Time, soon)
}

func policies(s *suite) {
	delayed := s.spawn("c", store.SpawnOptions{MaxDelay: 2 * time.Second}) // nobody takes c
	c := s.started(store.SpawnOptions{MaxDuration: 3 * time.Second})
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend}), store.OK)
	s.Clock.Advance(2 * time.Second)
	s.claim(s.engine, 1)
	equal(s, "not started in time", s.state(delayed).State, store.Cancelled)
	equal(s, "still in time", s.state(c.Task).State, store.Sleeping)
	s.Clock.Advance(time.Second)
	_, err := s.workers.Sweep(s.ctx, 100)
	s.must(err)
	equal(s, "not done in time", s.state(c.Task).State, store.Cancelled)
}

func keys(s *suite) {
	o := store.SpawnOptions{IdempotencyKey: "k", Fingerprint: 1}
	first := s.spawn("a", o)
	equal(s, "the same key", s.spawn("a", o), first)
	if s.spawn("b", o) == first {
		s.Error("a key is that of one workflow")
	}
	o.Fingerprint = 2
	_, err := s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a"}, {Name: "a", Options: o}})
	s.refused(err, "AB007")
	equal(s, "tasks, of which one came with the refused", len(s.claim(s.engine, 9)), 2)
	_, err = s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Options: store.SpawnOptions{Priority: -101}}})
	s.refused(err, "AB005")
}

func badData(s *suite) {
	good, bad := s.started(store.SpawnOptions{}), s.started(store.SpawnOptions{})
	units := []*store.Unit{
		{Task: good.Task, Token: good.Token, Action: store.Complete},
		{Task: bad.Task, Token: bad.Token, Action: store.Complete, Payload: []byte(`"\u0000"`)},
	}
	_, err := s.engine.Commit(s.ctx, units, false)
	s.refused(err, "22P05")
	equal(s, "state of the other", s.state(good.Task).State, store.Running)
	_, err = s.engine.Commit(s.ctx, []*store.Unit{{Task: bad.Task, Token: bad.Token, Action: store.Complete, Payload: []byte(`{`)}}, false)
	s.refused(err, "22P02")
}

func resends(s *suite) {
	c := s.started(store.SpawnOptions{})
	u := &store.Unit{Task: c.Task, Token: c.Token, Action: store.Suspend, Records: []replay.Record{step("x", 'v')}, Due: s.Clock.Now().Add(time.Hour)}
	for _, resend := range []bool{false, true} {
		answers, err := s.engine.Commit(s.ctx, []*store.Unit{u}, resend)
		s.must(err)
		equal(s, "answer", answers[0], store.OK)
	}
	equal(s, "without saying that it is sent again", s.commit(s.engine, c, *u), store.Lost)
	equal(s, "records", s.records(c.Task), []string{"v x"})

	c = s.started(store.SpawnOptions{})
	_, err := s.Store.Terminate(s.ctx, s.Queue, c.Task)
	s.must(err)
	_, err = s.Store.Retry(s.ctx, s.Queue, c.Task)
	s.must(err)
	answers, err := s.engine.Commit(s.ctx, []*store.Unit{{Task: c.Task, Token: c.Token, Action: store.Complete, Payload: []byte(`1`)}}, true)
	s.must(err)
	equal(s, "what was never written, of a task that was cancelled and tried again", answers[0], store.Lost)
}

func unknownClaims(s *suite) {
	known := s.started(store.SpawnOptions{})
	lost := s.started(store.SpawnOptions{})
	s.must(s.engine.ReleaseUnknown(s.ctx, []int64{known.ClaimNo}))
	equal(s, "state of the known", s.state(known.Task).State, store.Running)
	equal(s, "state of the lost", s.state(lost.Task).State, store.Pending)
	equal(s, "a late answer", s.commit(s.engine, lost, store.Unit{Action: store.Complete}), store.Lost)
}

func notices(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	listening, heard, over := make(chan struct{}), make(chan string, 100), make(chan error, 1)
	go func() {
		over <- s.Store.Listen(ctx, func() { close(listening) }, func(n string) { heard <- n })
	}()
	select {
	case <-listening:
	case err := <-over:
		s.Fatal(err)
	}
	s.spawn("a", store.SpawnOptions{})
	s.must(s.engine.SetIdle(s.ctx, true))
	s.spawn("a", store.SpawnOptions{})
	equal(s, "notice", s.receive(heard), store.ReadyNotice(s.Queue))
	claimed := s.claim(s.engine, 2)
	s.state(claimed[0].Task) // watches it
	for _, c := range claimed {
		s.commit(s.engine, c, store.Unit{Action: store.Complete})
	}
	id := claimed[0].Task
	equal(s, "notice", s.receive(heard), store.EndedNotice(fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])))
	cancel()
	if err := <-over; err == nil {
		s.Error("Listen has ended without saying why")
	}
	equal(s, "more notices", len(heard), 0)
}

func blockedTasks(s *suite) {
	why := []byte(`{"message": "moved", "code": "code"}`)
	blocked, unknown := s.started(store.SpawnOptions{}), s.spawn("c", store.SpawnOptions{})
	due := s.Clock.Now().Add(time.Minute)
	equal(s, "block", s.commit(s.engine, blocked, store.Unit{Action: store.Block, Payload: why, Due: due}), store.OK)
	list := func() (lines []string) {
		tasks, err := s.Store.Blocked(s.ctx, s.Queue)
		s.must(err)
		for _, b := range tasks {
			line := fmt.Sprintf("%s %s %d %s", b.State, b.Name, b.Attempt, b.Reason)
			if !b.Due.IsZero() {
				line += " " + b.Due.Sub(due).String()
			}
			if b.Task != blocked.Task && b.Task != unknown {
				line += " of another task"
			}
			lines = append(lines, line)
		}
		return lines
	}
	both := []string{"blocked a 1 moved 0s", `pending c 1 no worker that is alive knows the task name "c"`}
	equal(s, "what waits for code", list(), both)
	s.worker()
	equal(s, "with more of the same code", list(), both)
	_, err := s.workers.Join(s.ctx, s.id, s.Queue, []string{"a", "c"}, "other")
	s.must(err)
	equal(s, "with other code", len(list()), 0)
	again := s.claim(s.engine, 9)
	equal(s, "tried again", len(again), 1)
	equal(s, "the blocked one", again[0].Task, blocked.Task)
	// The same worker stands here for one with the old code, which got it first: it is tried again soon.
	due = s.Clock.Now().Add(time.Minute)
	equal(s, "block again", s.commit(s.engine, again[0], store.Unit{Action: store.Block, Payload: why, Due: due}), store.OK)
	equal(s, "while other code is there", list()[0], "blocked a 1 moved -55s")
}
