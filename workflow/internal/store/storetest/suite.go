package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// suite is a bed with one worker on it that takes the tasks a and b.
type suite struct {
	*testing.T
	Bed
	ctx     context.Context
	workers store.Workers
	id      int64
	engine  store.Engine
}

const lease = 15 * time.Second

func newSuite(t *testing.T, make Maker) *suite {
	s := &suite{T: t, Bed: make(t)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s.ctx = ctx
	var err error
	if s.workers, err = s.Store.Open(ctx, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.workers.Close)
	s.id, s.engine = s.worker()
	return s
}

// worker registers another worker. It is retired at the end.
func (s *suite) worker() (int64, store.Engine) {
	s.Helper()
	id, err := s.workers.Register(s.ctx, "worker", lease)
	s.must(err)
	s.Cleanup(func() {
		if err := s.workers.Retire(context.WithoutCancel(s.ctx), id); err != nil {
			s.Error(err)
		}
	})
	e, err := s.workers.Join(s.ctx, id, s.Queue, []string{"a", "b"}, "code")
	s.must(err)
	return id, e
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) refused(err error, code string) {
	s.Helper()
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != code {
		s.Errorf("error %v, want a refusal with %s", err, code)
	}
}

func (s *suite) spawn(name string, o store.SpawnOptions) store.ID {
	s.Helper()
	s.Clock.Advance(time.Millisecond)
	spawned, err := s.Store.Spawn(s.ctx, s.Queue, []store.Spawn{{Name: name, Params: []byte(`{}`), Options: o}})
	s.must(err)
	return spawned[0].ID
}

func (s *suite) claim(e store.Engine, limit int) []store.Claimed {
	s.Helper()
	claimed, err := e.Claim(s.ctx, limit, nil)
	s.must(err)
	return claimed
}

// started spawns a task and claims it.
func (s *suite) started(o store.SpawnOptions) store.Claimed {
	s.Helper()
	s.spawn("a", o)
	claimed := s.claim(s.engine, 1)
	if len(claimed) != 1 {
		s.Fatalf("%d runs claimed, want 1", len(claimed))
	}
	return claimed[0]
}

func (s *suite) commit(e store.Engine, c store.Claimed, u store.Unit) store.Answer {
	s.Helper()
	u.Task, u.Token = c.Task, c.Token
	answers, err := e.Commit(s.ctx, []*store.Unit{&u}, false)
	s.must(err)
	return answers[0]
}

func (s *suite) terminate(id store.ID) {
	s.Helper()
	known, err := s.Store.Terminate(s.ctx, s.Queue, id)
	s.must(err)
	equal(s, "the task is known", known, true)
}

func (s *suite) emit(name string) {
	s.Helper()
	s.must(s.Store.Emit(s.ctx, s.Queue, []store.Event{{Name: name, Payload: []byte(`1`)}}, 0))
}

func (s *suite) state(id store.ID) *store.Outcome {
	s.Helper()
	o, err := s.Store.Watch(s.ctx, s.Queue, id)
	s.must(err)
	if o == nil {
		s.Fatalf("task %x is unknown", id)
	}
	return o
}

// records returns the records of a task as "outcome name", superseded ones in upper case.
func (s *suite) records(id store.ID) []string {
	s.Helper()
	records := make(map[store.ID][]replay.Record)
	s.must(s.engine.Load(s.ctx, []store.ID{id}, records))
	texts := []string{}
	for _, r := range records[id] {
		outcome := string(rune(r.Outcome))
		if r.Superseded {
			outcome = strings.ToUpper(outcome)
		}
		texts = append(texts, outcome+" "+r.Name)
	}
	return texts
}

func equal[T any](s *suite, what string, got, want T) {
	s.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		s.Errorf("%s: %s, want %s", what, g, w)
	}
}

func step(name string, outcome replay.Outcome) replay.Record {
	return replay.Record{Name: name, Kind: replay.Step, Outcome: outcome, State: []byte(`"` + string(rune(outcome)) + `"`)}
}

func wait(name, event string, timeout time.Time) store.Wait {
	return store.Wait{Name: name, Kind: replay.Event, Event: event, Timeout: timeout}
}

func (s *suite) receive(from <-chan string) string {
	s.Helper()
	select {
	case v := <-from:
		return v
	case <-s.ctx.Done():
		s.Fatal("nothing is heard")
		return ""
	}
}
