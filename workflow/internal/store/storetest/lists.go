package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// listed returns the places in tasks of those that a list shows, read two a page, with their states.
func (s *suite) listed(tasks []store.ID, page db.ListTasksParams) []string {
	s.Helper()
	texts := []string{}
	two := int32(2)
	page.Queue, page.MaxRows = s.Queue, &two
	for {
		rows, err := s.Store.ListTasks(s.ctx, page)
		s.must(err)
		for _, r := range rows {
			if r.TaskID.Valid {
				texts = append(texts, fmt.Sprintf("%d %s", slices.Index(tasks, r.TaskID.Bytes), *r.State))
			}
			page.After = &r.Cursor
		}
		if len(rows) < 2 {
			return texts
		}
	}
}

func lists(s *suite) {
	later := s.Clock.Now().Add(time.Hour)
	var tasks []store.ID
	for _, o := range []store.SpawnOptions{{Tags: map[string]string{"t": "x", "u": "y"}}, {}, {Priority: 5}, {Priority: -5}, {StartAt: &later}, {}} {
		tasks = append(tasks, s.spawn("a", o))
	}
	tasks = append(tasks, s.spawn("b", store.SpawnOptions{}))
	equal(s, "pending", s.listed(tasks, db.ListTasksParams{States: []string{"pending"}}),
		[]string{"3 pending", "0 pending", "1 pending", "5 pending", "2 pending", "6 pending"})
	claimed := s.claim(s.engine, 9)
	place := func(c store.Claimed) int { return slices.Index(tasks, c.Task) }
	for _, c := range claimed {
		s.Clock.Advance(time.Second)
		switch place(c) {
		case 0, 5:
			s.commit(s.engine, c, store.Unit{Action: store.Fail, Payload: fmt.Appendf(nil, `{"name": "E", "message": "Reason %d"}`, place(c))})
		case 1:
			s.commit(s.engine, c, store.Unit{Action: store.Complete, Attributes: []byte(`{"k": "v"}`)})
		case 2:
			s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{wait("w", "e", time.Time{})}})
		case 3:
			s.commit(s.engine, c, store.Unit{Action: store.Suspend, Due: later.Add(time.Hour)})
		}
	}
	word := func(w string) *string { return &w }
	for _, c := range []struct {
		what string
		page db.ListTasksParams
		want []string
	}{
		{"all", db.ListTasksParams{}, []string{"6 running", "5 failed", "4 sleeping", "3 sleeping", "2 sleeping", "1 completed", "0 failed"}},
		{"failed", db.ListTasksParams{States: []string{"failed"}}, []string{"5 failed", "0 failed"}},
		{"sleeping", db.ListTasksParams{States: []string{"sleeping"}}, []string{"4 sleeping", "3 sleeping", "2 sleeping"}},
		{"two states", db.ListTasksParams{States: []string{"running", "failed"}}, []string{"6 running", "5 failed", "0 failed"}},
		{"by name", db.ListTasksParams{TaskName: word("b")}, []string{"6 running"}},
		{"by tag", db.ListTasksParams{Tags: []byte(`{"t": "x"}`)}, []string{"0 failed"}},
		{"by another tag", db.ListTasksParams{Tags: []byte(`{"t": "y"}`)}, []string{}},
		{"by attribute", db.ListTasksParams{Attributes: []byte(`{"k": "v"}`)}, []string{"1 completed"}},
		{"by error", db.ListTasksParams{Error: word("reason 5")}, []string{"5 failed"}},
	} {
		equal(s, c.what, s.listed(tasks, c.page), c.want)
	}
	from := Start().Add(3 * time.Millisecond)
	to := from.Add(2 * time.Millisecond)
	equal(s, "by time", s.listed(tasks, db.ListTasksParams{SpawnedFrom: &from, SpawnedTo: &to}), []string{"3 sleeping", "2 sleeping"})
	for code, page := range map[string]db.ListTasksParams{
		"AB004": {Queue: "nowhere"}, "AB005": {Queue: s.Queue, States: []string{"lost"}}, "AB005 ": {Queue: s.Queue, After: word("nonsense")},
	} {
		_, err := s.Store.ListTasks(s.ctx, page)
		s.refused(err, code[:5])
	}
}
