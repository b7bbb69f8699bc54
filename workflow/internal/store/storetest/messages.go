package storetest

import (
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// send sends one message and returns what became of it.
func (s *suite) send(task store.ID, inbox, key, text string) store.Sent {
	s.Helper()
	sent, err := s.Store.Send(s.ctx, s.Queue, []store.Message{{Task: task, Inbox: inbox, Key: key, Payload: []byte(text)}})
	s.must(err)
	return sent[0]
}

func receive(name, inbox string, timeout time.Time) store.Wait {
	return store.Wait{Name: name, Kind: replay.Message, Event: inbox, Timeout: timeout}
}

func messages(s *suite) {
	c := s.started(store.SpawnOptions{})
	equal(s, "the first", s.send(c.Task, "a", "k", `1`), store.SentNew)
	equal(s, "the same key", s.send(c.Task, "a", "k", `2`), store.SentRepeated)
	equal(s, "the same key to another inbox", s.send(c.Task, "b", "k", `3`), store.SentNew)
	equal(s, "to nobody", s.send(store.ID{}, "a", "", `4`), store.SentUnknown)
	s.send(c.Task, "a", "", `5`)

	waits := []store.Wait{receive("r2", "a", s.Clock.Now()), receive("r1", "a", time.Time{})}
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: waits}), store.OK)
	// The timeout was over, but a message was there.
	equal(s, "records", s.records(c.Task), []string{"v r2"})
	c = s.claim(s.engine, 1)[0]
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{receive("r0", "c", time.Time{}), waits[1]}}), store.OK)
	equal(s, "records", s.records(c.Task), []string{"v r2", "v r1"})
	equal(s, "the key of a message that was received", s.send(c.Task, "a", "k", `6`), store.SentRepeated)

	c = s.claim(s.engine, 1)[0]
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{receive("r0", "c", time.Time{})}}), store.OK)
	equal(s, "to an inbox that nobody receives from", s.send(c.Task, "a", "", `7`), store.SentNew)
	equal(s, "state", s.state(c.Task).State, store.Sleeping)
	equal(s, "to a sleeping task", s.send(c.Task, "c", "", `8`), store.SentNew)
	c = s.claim(s.engine, 1)[0]
	records := make(map[store.ID][]replay.Record)
	s.must(s.engine.Load(s.ctx, []store.ID{c.Task}, records))
	texts := []string{}
	for _, r := range records[c.Task] {
		texts = append(texts, string(r.State))
	}
	equal(s, "received", texts, []string{"1", "5", "8"})
	equal(s, "complete", s.commit(s.engine, c, store.Unit{Action: store.Complete}), store.OK)
	equal(s, "to a task that has ended", s.send(c.Task, "a", "", `9`), store.SentEnded)
	_, err := s.Store.Send(s.ctx, s.Queue, []store.Message{{Task: c.Task, Inbox: " "}})
	s.refused(err, "AB006")
	_, err = s.Store.Send(s.ctx, "nowhere", []store.Message{{Task: c.Task, Inbox: "a"}})
	s.refused(err, "AB004")
}

func messagesWait(s *suite) {
	c := s.started(store.SpawnOptions{})
	s.emit("e")
	s.send(c.Task, "a", "", `1`)
	waits := []store.Wait{wait("w", "e", time.Time{}), receive("r", "a", time.Time{})}
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: waits}), store.OK)
	equal(s, "records with an event that was there", s.records(c.Task), []string{"v w"})
	c = s.claim(s.engine, 1)[0]
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: waits[1:], Due: s.Clock.Now()}), store.OK)
	equal(s, "records after a sleep that was over", s.records(c.Task), []string{"v w"})

	c = s.claim(s.engine, 1)[0]
	soon := s.Clock.Now().Add(time.Second)
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{receive("r", "b", soon)}}), store.OK)
	s.Clock.Advance(time.Second)
	s.send(c.Task, "b", "", `2`)
	equal(s, "records of a task that is due", s.records(c.Task), []string{"v w"})
	c = s.claim(s.engine, 1)[0]
	equal(s, "records", s.records(c.Task), []string{"v w", "t r"})
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{receive("r2", "b", time.Time{})}}), store.OK)
	equal(s, "records", s.records(c.Task), []string{"v w", "t r", "v r2"})
}

func messagesBesideChildren(s *suite) {
	for _, action := range []store.Action{store.Suspend, store.Watch} {
		parent, kids := s.family(2)
		equal(s, "a child ends", s.commit(s.engine, kids[0], store.Unit{Action: store.Complete}), store.OK)
		again := s.claim(s.engine, 1)[0]
		equal(s, "the other one ends while the parent runs", s.commit(s.engine, kids[1], store.Unit{Action: store.Complete}), store.OK)
		s.send(parent.Task, "a", "", `1`)
		s.commit(s.engine, again, store.Unit{Action: action, Waits: []store.Wait{receive("r", "a", time.Time{})}})
		equal(s, "records after "+string(action), s.records(parent.Task), []string{"v c0", "v c1"})
		s.terminate(parent.Task)
	}
}
