package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// tenants: acme and bolt use the same queue, event, idempotency key and unique key, each through a view of its own, and meet nowhere.
func tenants(s *suite) {
	whose := []string{"acme", "bolt", ""}
	views := map[string]store.Store{"": s.Store}
	tasks := map[string]store.ID{}
	for _, tenant := range whose {
		if tenant != "" {
			views[tenant] = s.Store.For(tenant)
		}
		s.Clock.Advance(time.Millisecond)
		for _, o := range []store.SpawnOptions{{IdempotencyKey: "k"}, {UniqueKey: "k"}} {
			spawned, err := views[tenant].Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Params: []byte(`{}`), Options: o}})
			s.must(err)
			equal(s, "made for "+tenant, spawned[0].Created, true)
			if o.IdempotencyKey != "" {
				tasks[tenant] = spawned[0].ID
			} else {
				s.terminate(spawned[0].ID)
			}
		}
	}
	_, err := views["acme"].Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Options: store.SpawnOptions{Tenant: "bolt"}}})
	s.refused(err, "42501")
	spawned, err := s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: "a", Options: store.SpawnOptions{Tenant: "bolt", IdempotencyKey: "k"}}})
	s.must(err)
	equal(s, "found by who may use all", spawned[0], store.Spawned{ID: tasks["bolt"]})

	foreign(s, views["acme"], tasks["bolt"])
	foreign(s, views["acme"], tasks[""])

	acme := "acme"
	equal(s, "acme's tasks", s.listed([]store.ID{tasks[""], tasks["acme"], tasks["bolt"]}, db.ListTasksParams{Tenant: &acme, States: []string{"pending"}}), []string{"1 pending"})

	workers, err := views["acme"].Open(s.ctx, 1)
	s.must(err)
	s.Cleanup(workers.Close)
	id, err := workers.Register(s.ctx, "acme's worker", lease)
	s.must(err)
	s.Cleanup(func() { s.must(workers.Retire(context.WithoutCancel(s.ctx), id)) })
	e, err := workers.Join(s.ctx, id, s.Queue, []string{"a"}, "code")
	s.must(err)
	claimed := s.claim(e, 9)
	equal(s, "claimed by acme's worker", fmt.Sprintf("%d %v %s", len(claimed), claimed[0].Task == tasks["acme"], claimed[0].Tenant), "1 true acme")
	equal(s, "suspend", s.commit(e, claimed[0], store.Unit{Action: store.Suspend, Waits: []store.Wait{wait("w", "e", time.Time{})}}), store.OK)
	for _, c := range s.claim(s.engine, 9) {
		equal(s, "suspend", s.commit(s.engine, c, store.Unit{Action: store.Suspend, Waits: []store.Wait{wait("w", "e", time.Time{})}}), store.OK)
	}
	for _, tenant := range whose {
		s.must(views[tenant].Emit(s.ctx, s.Queue, []store.Event{{Name: "e", Payload: fmt.Appendf(nil, "%q", tenant)}}, 0))
		woken := s.claim(s.engine, 9)
		equal(s, "woken by the event of "+tenant, fmt.Sprintf("%d %v %s", len(woken), woken[0].Task == tasks[tenant], woken[0].Tenant), "1 true "+tenant)
	}
	known, err := views["acme"].Terminate(s.ctx, s.Queue, tasks["acme"])
	s.must(err)
	equal(s, "acme's own task is known", known, true)
}

// foreign: a tenant's view knows nothing of another's task.
func foreign(s *suite, view store.Store, task store.ID) {
	s.Helper()
	for name, known := range map[string]func() (bool, error){
		"Look":          func() (bool, error) { o, err := view.Look(s.ctx, s.Queue, task); return o != nil, err },
		"Watch":         func() (bool, error) { o, err := view.Watch(s.ctx, s.Queue, task); return o != nil, err },
		"Notes":         func() (bool, error) { n, err := view.Notes(s.ctx, s.Queue, task); return n != nil, err },
		"Terminate":     func() (bool, error) { return view.Terminate(s.ctx, s.Queue, task) },
		"RequestCancel": func() (bool, error) { return view.RequestCancel(s.ctx, s.Queue, task, 0) },
		"Retry":         func() (bool, error) { return view.Retry(s.ctx, s.Queue, task) },
		"Send": func() (bool, error) {
			sent, err := view.Send(s.ctx, s.Queue, []store.Message{{Task: task, Inbox: "a"}})
			return err != nil || sent[0] != store.SentUnknown, err
		},
	} {
		is, err := known()
		if err != nil || is {
			s.Errorf("%s of another tenant's task: known %v, %v", name, is, err)
		}
	}
	equal(s, "the task", s.state(task).State, store.Pending)
}
