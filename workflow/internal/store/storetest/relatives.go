package storetest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// childID is the id of the nth child made at a time.
func childID(now time.Time, n int) store.ID {
	var id store.ID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|0x7000)
	binary.BigEndian.PutUint64(id[8:], uint64(n)|1<<63|1<<40) // ids of spawned tasks are others
	return id
}

func uuidText(id store.ID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// child adds a child to a unit, with its record.
func child(u *store.Unit, queue, name string, id store.ID, abandon bool) {
	state, _ := json.Marshal(map[string]string{"task": uuidText(id), "queue": queue})
	u.Records = append(u.Records, replay.Record{Name: name, Kind: replay.Child, Outcome: replay.Pending, State: state})
	u.Children = append(u.Children, store.Child{Name: name, ID: id, Queue: queue, Workflow: "b", Params: []byte(`{}`), Abandon: abandon})
}

// family starts a task and has it make children b, which are claimed too, and go to sleep.
func (s *suite) family(n int) (parent store.Claimed, children []store.Claimed) {
	s.Helper()
	parent = s.started(store.SpawnOptions{})
	u := store.Unit{Action: store.Suspend}
	for i := range n {
		child(&u, s.Queue, fmt.Sprint("c", i), childID(s.Clock.Now(), i), false)
	}
	equal(s, "suspend", s.commit(s.engine, parent, u), store.OK)
	children = s.claim(s.engine, n)
	equal(s, "children", len(children), n)
	return parent, children
}

func children(s *suite) {
	parent := s.started(store.SpawnOptions{Headers: map[string]string{"trace": "t"}})
	u := store.Unit{Task: parent.Task, Token: parent.Token, Action: store.Record}
	child(&u, s.Queue, "c", childID(s.Clock.Now(), 0), false)
	for _, resend := range []bool{false, true} {
		answers, err := s.engine.Commit(s.ctx, []*store.Unit{&u}, resend)
		s.must(err)
		equal(s, "spawned", answers[0], store.OK)
	}
	claimed := s.claim(s.engine, 9)
	equal(s, "made by one commit, sent twice", len(claimed), 1)
	equal(s, "its id", claimed[0].Task, u.Children[0].ID)
	equal(s, "its headers", strings.ReplaceAll(string(claimed[0].Headers), " ", ""), `{"trace":"t"}`)
	equal(s, "records", s.records(parent.Task), []string{"n c"})
	equal(s, "complete", s.commit(s.engine, claimed[0], store.Unit{Action: store.Complete, Payload: []byte(`7`)}), store.OK)
	equal(s, "records", s.records(parent.Task), []string{"v c"})
	u = store.Unit{Action: store.Record, Records: []replay.Record{step("x", 'v')}}
	child(&u, "nowhere", "d", childID(s.Clock.Now(), 1), false)
	u.Task, u.Token = parent.Task, parent.Token
	_, err := s.engine.Commit(s.ctx, []*store.Unit{&u}, false)
	s.refused(err, "AB004")
	equal(s, "records", s.records(parent.Task), []string{"v c"})
}

func childWakes(s *suite) {
	parent, kids := s.family(2)
	equal(s, "the parent sleeps", s.state(parent.Task).State, store.Sleeping)
	equal(s, "fail", s.commit(s.engine, kids[0], store.Unit{Action: store.Fail, Payload: []byte(`{"name": "E", "message": "no"}`)}), store.OK)
	again := s.claim(s.engine, 1)[0]
	equal(s, "woken", again.Task, parent.Task)
	records := make(map[store.ID][]replay.Record)
	s.must(s.engine.LoadNamed(s.ctx, []store.Named{{Task: parent.Task, Name: "c0"}}, records))
	var failure struct{ Task, State, Name, Message string }
	s.must(json.Unmarshal(records[parent.Task][0].State, &failure))
	equal(s, "what it is told", fmt.Sprint(failure), fmt.Sprintf("{%s failed E no}", uuidText(kids[0].Task)))
	// The other one ends while the parent runs: it does not go to sleep.
	equal(s, "complete", s.commit(s.engine, kids[1], store.Unit{Action: store.Complete}), store.OK)
	equal(s, "suspend", s.commit(s.engine, again, store.Unit{Action: store.Suspend}), store.OK)
	equal(s, "goes on", len(s.claim(s.engine, 1)), 1)
	equal(s, "records", s.records(parent.Task), []string{"f c0", "v c1"})
}

func cancels(s *suite) {
	parent, kids := s.family(1)
	known, err := s.Store.RequestCancel(s.ctx, s.Queue, parent.Task, 10*time.Second)
	s.must(err)
	equal(s, "known", known, true)
	_, noticed, err := s.workers.Renew(s.ctx, s.id, lease)
	s.must(err)
	equal(s, "noticed", noticed, []store.ID{kids[0].Task})
	equal(s, "the child's commit", s.commit(s.engine, kids[0], store.Unit{Action: store.Record, Records: []replay.Record{step("x", 'v')}}), store.Requested)
	again := s.claim(s.engine, 1)[0]
	equal(s, "woken, and told", fmt.Sprint(again.Task == parent.Task, again.CancelRequested), "true true")
	// It has not seen the request yet, so it goes on at once; then it may sleep.
	equal(s, "suspend", s.commit(s.engine, again, store.Unit{Action: store.Suspend}), store.Requested)
	again = s.claim(s.engine, 1)[0]
	seen := replay.Record{Name: "$cancel", Kind: replay.Cancel, Outcome: replay.Value, State: []byte(`[]`)}
	equal(s, "suspend", s.commit(s.engine, again, store.Unit{Action: store.Suspend, Records: []replay.Record{seen}}), store.Requested)
	equal(s, "claims", len(s.claim(s.engine, 1)), 0)
	equal(s, "the child ends", s.commit(s.engine, kids[0], store.Unit{Action: store.Cancel}), store.Requested)
	equal(s, "state", s.state(kids[0].Task).State, store.Cancelled)
	s.Clock.Advance(10 * time.Second)
	s.id, s.engine = s.worker()
	equal(s, "claims", len(s.claim(s.engine, 1)), 0)
	equal(s, "after the deadline", s.state(parent.Task).State, store.Cancelled)
	// Tried again, it has not seen a cancel, and is not asked for one.
	known, err = s.Store.Retry(s.ctx, s.Queue, parent.Task)
	s.must(err)
	equal(s, "known", known, true)
	equal(s, "records", s.records(parent.Task), []string{"F c0"})
	again = s.claim(s.engine, 1)[0]
	equal(s, "attempt, and not told", fmt.Sprint(again.Task == parent.Task, again.Attempt, again.CancelRequested), "true 2 false")
	equal(s, "complete", s.commit(s.engine, again, store.Unit{Action: store.Complete}), store.OK)
	never := s.spawn("a", store.SpawnOptions{})
	_, err = s.Store.RequestCancel(s.ctx, s.Queue, never, 0)
	s.must(err)
	equal(s, "what has never started", s.state(never).State, store.Cancelled)
	known, err = s.Store.RequestCancel(s.ctx, s.Queue, store.ID{}, 0)
	s.must(err)
	equal(s, "an unknown task is known", known, false)
}

func cancelDefault(s *suite) {
	c := s.started(store.SpawnOptions{})
	_, err := s.Store.RequestCancel(s.ctx, s.Queue, c.Task, 0)
	s.must(err)
	for _, state := range []store.State{store.Pending, store.Cancelled} {
		s.Clock.Advance(30 * time.Second)
		_, err := s.workers.Sweep(s.ctx, 9)
		s.must(err)
		equal(s, "state", s.state(c.Task).State, state)
	}
}

func terminations(s *suite) {
	parent, kids := s.family(2)
	u := store.Unit{Action: store.Suspend}
	child(&u, s.Queue, "grand", childID(s.Clock.Now(), 7), false)
	child(&u, s.Queue, "abandoned", childID(s.Clock.Now(), 8), true)
	equal(s, "suspend", s.commit(s.engine, kids[0], u), store.OK)
	s.terminate(parent.Task)
	for _, id := range []store.ID{parent.Task, kids[0].Task, kids[1].Task, u.Children[0].ID} {
		equal(s, "state", s.state(id).State, store.Cancelled)
	}
	equal(s, "the abandoned one", s.state(u.Children[1].ID).State, store.Pending)
	equal(s, "the running one", s.commit(s.engine, kids[1], store.Unit{Action: store.Complete}), store.Gone)
}

func unwanted(s *suite) {
	parent, kids := s.family(2)
	equal(s, "complete", s.commit(s.engine, kids[0], store.Unit{Action: store.Complete}), store.OK)
	again := s.claim(s.engine, 1)[0]
	equal(s, "unwanted", s.commit(s.engine, again, store.Unit{Action: store.Record, Unwanted: []string{"c0", "c1"}}), store.OK)
	equal(s, "the child's commit", s.commit(s.engine, kids[1], store.Unit{Action: store.Cancel, Payload: []byte(`{"message": "m"}`)}), store.Requested)
	equal(s, "records", s.records(parent.Task), []string{"v c0", "f c1"})
}

func continuing(s *suite) {
	c := s.started(store.SpawnOptions{IdempotencyKey: "k"})
	failed := store.Unit{Action: store.Retry, Records: []replay.Record{step("x", 'v')}}
	equal(s, "retry", s.commit(s.engine, c, failed), store.OK)
	c = s.claim(s.engine, 1)[0]
	u := store.Unit{Action: store.Continue, Payload: []byte(`2`), Records: []replay.Record{step("y", 'v')}}
	equal(s, "continue", s.commit(s.engine, c, u), store.OK)
	again := s.claim(s.engine, 1)[0]
	equal(s, "begins anew", fmt.Sprint(again.Task == c.Task, again.Attempt, again.Generation, string(again.Params)), "true 1 12")
	equal(s, "records", s.records(c.Task), []string{})
}
