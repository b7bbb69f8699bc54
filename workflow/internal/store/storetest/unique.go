package storetest

import "github.com/absurdgen/absurdgen/workflow/internal/store"

func uniqueKeys(s *suite) {
	join := store.SpawnOptions{UniqueKey: "k", Messages: []store.Message{{Inbox: "a", Payload: []byte(`1`)}}}
	refuse := store.SpawnOptions{UniqueKey: "k", Refuse: true}
	c := s.started(join)
	equal(s, "joined", s.spawn("a", join), c.Task)
	if s.spawn("b", join) == c.Task {
		s.Error("a unique key is that of one workflow")
	}
	_, err := s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Options: refuse}})
	s.refused(err, "AB009")
	equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{receive("r", "a", s.Clock.Now())}}), store.OK)
	equal(s, "records", s.records(c.Task), []string{"v r"})
	both := store.SpawnOptions{UniqueKey: "k", IdempotencyKey: "i"}
	_, err = s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Options: both}})
	s.refused(err, "AB005")
	s.terminate(c.Task)
	if next := s.spawn("a", refuse); next == c.Task {
		s.Error("the key of a task that has ended was found")
	}

	known := store.SpawnOptions{IdempotencyKey: "i"}
	ended := s.spawn("c", known)
	s.terminate(ended)
	known.Messages = join.Messages
	_, err = s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "c", Options: known}})
	s.refused(err, "AB010")
}

func taskNotes(s *suite) {
	c := s.started(store.SpawnOptions{Tags: map[string]string{"t": "1"}})
	for _, u := range []store.Unit{
		{Action: store.Record, Attributes: []byte(`{"a": "1", "b": "2"}`)},
		{Action: store.Record, Published: []byte(`{"p": {"n": null}}`), Attributes: []byte(`{"a": null}`)},
		{Action: store.Suspend, Published: []byte(`{"q": 1}`)},
	} {
		equal(s, "commit", s.commit(s.engine, c, u), store.OK)
	}
	equal(s, "a commit that is refused", s.commit(s.engine, c, store.Unit{Action: store.Record, Attributes: []byte(`{"late": "1"}`)}), store.Lost)
	notes, err := s.Store.Notes(s.ctx, s.Queue, c.Task)
	s.must(err)
	for what, pair := range map[string][2]string{
		"tags":       {string(notes.Tags), `{"t": "1"}`},
		"attributes": {string(notes.Attributes), `{"b": "2"}`},
		"published":  {string(notes.Published), `{"p": {"n": null}, "q": 1}`},
	} {
		equal(s, what, canonical([]byte(pair[0])), canonical([]byte(pair[1])))
	}
	none, err := s.Store.Notes(s.ctx, s.Queue, store.ID{})
	s.must(err)
	equal(s, "notes of no task", none, nil)
}
