package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// op is one operation of a sequence. n are numbers to choose its arguments with.
type op struct {
	kind string
	n    [8]int
}

func (o op) String() string { return fmt.Sprintf("%s %v", o.kind, o.n) }

// kinds are the operations, the frequent ones more than once.
var kinds = strings.Fields("register renew retire sweep sweep advance advance advance spawn spawn spawn emit send send watch terminate cancel retry " +
	"claim claim claim claim claim commit commit commit commit commit commit commit commit release load named due idle list list blocked notes")

// player runs a sequence on one store. It knows workers, tasks and claims by the order in which they came, because each store
// numbers them in its own way.
type player struct {
	testing.TB
	Bed
	ctx     context.Context
	workers store.Workers
	ids     []int64
	engines []store.Engine
	tasks   []store.ID
	claims  []int64
	held    []holding // also those that are over: a store must refuse them

	born     int              // children asked for
	children map[int][]string // their records, by the place of the parent in tasks
}

type holding struct {
	worker, task int
	token        int32
}

// play returns the answer to each operation, and at the end what became of each task.
func play(t testing.TB, make Maker, ops []op) []string {
	t.Helper()
	p := &player{TB: t, Bed: make(t), ctx: t.Context(), children: map[int][]string{}}
	var err error
	if p.workers, err = p.Store.Open(p.ctx, 1); err != nil {
		t.Fatal(err)
	}
	defer p.workers.Close()
	p.register(op{})
	answers := []string{}
	for _, o := range ops {
		p.Clock.Advance(time.Millisecond) // ids made at one moment have no order
		answers = append(answers, p.do(o))
	}
	answers = append(answers, p.load(), p.watchAll())
	for _, id := range p.ids {
		if err := p.workers.Retire(p.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

func (p *player) do(o op) string {
	switch o.kind {
	case "register":
		return p.register(o)
	case "renew":
		w := pick(p.ids, o.n[0])
		alive, _, err := p.workers.Renew(p.ctx, w, time.Duration(o.n[1]%20)*time.Second)
		return answer(err, "alive %v", alive)
	case "retire":
		return answer(p.workers.Retire(p.ctx, pick(p.ids, o.n[0])), "ok")
	case "sweep":
		swept, err := p.workers.Sweep(p.ctx, o.n[0]%20)
		for i := range swept {
			swept[i].Worker = int64(slices.Index(p.ids, swept[i].Worker))
		}
		return answer(err, "%v", swept)
	case "advance":
		p.Clock.Advance(pick([]time.Duration{time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}, o.n[0]))
		return "ok"
	case "spawn":
		return p.spawn(o)
	case "emit":
		return answer(p.Store.Emit(p.ctx, p.Queue, []store.Event{{Name: eventName(o.n[0]), Payload: payload(o.n[1])}}, 0), "ok")
	case "send":
		return p.send(o)
	case "watch", "terminate", "cancel", "retry", "notes":
		return p.outside(o)
	case "list":
		return p.list(o)
	case "blocked":
		return p.blocked()
	case "claim":
		return p.claim(o)
	case "commit":
		return p.commit(o)
	case "release":
		if o.n[1]%4 > 0 {
			return "not this time"
		}
		return answer(pick(p.engines, o.n[0]).ReleaseUnknown(p.ctx, some(p.claims, o.n[2])), "ok")
	case "load":
		return p.load()
	case "named":
		return p.named(o)
	case "due":
		due, err := pick(p.engines, o.n[0]).NextDue(p.ctx)
		return answer(err, "%s", at(due))
	case "idle":
		return answer(pick(p.engines, o.n[0]).SetIdle(p.ctx, o.n[1]%2 == 0), "ok")
	}
	panic(o.kind)
}

func (p *player) register(o op) string {
	id, err := p.workers.Register(p.ctx, "worker", time.Duration(o.n[0]%30-1)*time.Second+11*time.Second)
	if err != nil {
		return answer(err, "")
	}
	names := []string{"a", "b", "c"}[:1+o.n[1]%3]
	e, err := p.workers.Join(p.ctx, id, p.Queue, names, "code")
	if err == nil {
		p.ids, p.engines = append(p.ids, id), append(p.engines, e)
	}
	return answer(err, "worker %d takes %v", len(p.ids), names)
}

func (p *player) spawn(o op) string {
	tasks := make([]store.Spawn, 1+o.n[0]%3)
	for i := range tasks {
		n := o.n[1] + i*7
		t := &tasks[i]
		t.Name = pick([]string{"a", "b", "c"}, n)
		t.Params = payload(n)
		switch o.n[2] % 6 {
		case 0:
			t.Options.IdempotencyKey = fmt.Sprint(n % 5)
			t.Options.Fingerprint = int64(o.n[3] % 3)
		case 1:
			start := p.Clock.Now().Add(time.Duration(o.n[3]%20-5) * time.Second)
			t.Options.StartAt = &start
		case 2:
			t.Options.MaxDelay = time.Duration(o.n[3]%12) * time.Second
			t.Options.MaxDuration = time.Duration(o.n[4]%30) * time.Second
		case 3:
			t.Options.Priority = o.n[3]%7 - 3
		case 4:
			t.Options.UniqueKey = fmt.Sprint(n % 3)
			t.Options.Refuse = o.n[3]%2 == 0
		case 5:
			t.Options.Messages = []store.Message{{Inbox: inboxName(n), Key: pick([]string{"", "k"}, o.n[3]), Payload: payload(o.n[4])}}
			t.Options.Delay = time.Duration(o.n[5]%4) * time.Second
		}
		if o.n[7]%4 == 0 {
			t.Options.Tags = map[string]string{"even": fmt.Sprint(n%2 == 0)}
		}
		if o.n[5]%3 == 0 {
			t.Options.Headers = map[string]string{"n": fmt.Sprint(n)}
		}
		if o.n[6]%40 == 0 {
			t.Options.Priority = 101
		}
	}
	spawned, err := p.Store.Spawn(p.ctx, p.Queue, tasks)
	var texts []string
	for _, s := range spawned {
		if s.Created {
			p.tasks = append(p.tasks, s.ID)
		}
		texts = append(texts, fmt.Sprintf("task %d %v", slices.Index(p.tasks, s.ID), s.Created))
	}
	return answer(err, "%s", strings.Join(texts, ", "))
}

func (p *player) outside(o op) string {
	if len(p.tasks) == 0 {
		return "no task"
	}
	id := pick(p.tasks, o.n[0])
	switch o.kind {
	case "notes":
		return p.notes(id)
	case "terminate":
		if o.n[1]%3 > 0 {
			return "not this time"
		}
		known, err := p.Store.Terminate(p.ctx, p.Queue, id)
		return answer(err, "known %v", known)
	case "cancel":
		known, err := p.Store.RequestCancel(p.ctx, p.Queue, id, time.Duration(o.n[1]%20)*time.Second)
		return answer(err, "known %v", known)
	case "retry":
		known, err := p.Store.Retry(p.ctx, p.Queue, id)
		return answer(err, "known %v", known)
	}
	return p.watch(id)
}

func (p *player) send(o op) string {
	if len(p.tasks) == 0 {
		return "no task"
	}
	messages := make([]store.Message, 1+o.n[0]%3)
	for i := range messages {
		messages[i] = store.Message{
			Task: pick(p.tasks, o.n[1]+i*o.n[2]), Inbox: inboxName(o.n[3] + i), Key: pick([]string{"", "", "k", "l"}, o.n[4]+i), Payload: payload(o.n[5] + i),
		}
	}
	sent, err := p.Store.Send(p.ctx, p.Queue, messages)
	return answer(err, "%v", sent)
}

func (p *player) claim(o op) string {
	w := o.n[0] % len(p.engines)
	claimed, err := p.engines[w].Claim(p.ctx, o.n[1]%6, nil)
	var texts []string
	for i, c := range claimed {
		if i == 0 {
			p.claims = append(p.claims, c.ClaimNo)
		}
		task := slices.Index(p.tasks, c.Task)
		p.held = append(p.held, holding{w, task, c.Token})
		texts = append(texts, fmt.Sprintf("task %d claim %d %s token %d attempt %d generation %d started %s claimed %s %s %s",
			task, slices.Index(p.claims, c.ClaimNo), c.Name, c.Token, c.Attempt, c.Generation, at(c.FirstStarted), at(c.Claimed),
			canonical(c.Params), canonical(c.Headers)))
	}
	return answer(err, "%s", strings.Join(texts, "\n         "))
}

func (p *player) load() string {
	records := make(map[store.ID][]replay.Record)
	err := p.engines[0].Load(p.ctx, p.tasks, records)
	return answer(err, "%s", p.texts(records))
}

func (p *player) named(o op) string {
	var names []store.Named
	for _, id := range some(p.tasks, o.n[0]) {
		names = append(names, store.Named{Task: id, Name: recordName(o.n[1])}, store.Named{Task: id, Name: waitName(o.n[2])})
	}
	if len(names) > 1 && names[0] == names[1] {
		return "one name twice"
	}
	records := make(map[store.ID][]replay.Record)
	err := p.engines[0].LoadNamed(p.ctx, names, records)
	return answer(err, "%s", p.texts(records))
}

func (p *player) texts(records map[store.ID][]replay.Record) string {
	var texts []string
	for i, id := range p.tasks {
		// A pending record has no place in the order before it is an outcome.
		slices.SortStableFunc(records[id], func(a, b replay.Record) int {
			if a.Outcome == replay.Pending && b.Outcome == replay.Pending {
				return strings.Compare(a.Name, b.Name)
			}
			return bit(a.Outcome == replay.Pending) - bit(b.Outcome == replay.Pending)
		})
		for _, r := range records[id] {
			texts = append(texts, fmt.Sprintf("task %d %s %q %c superseded %v %d at %s wake %s %s",
				i, r.Kind, r.Name, r.Outcome, r.Superseded, r.Fingerprint, at(r.Time), at(r.Wake), canonical(r.State)))
		}
	}
	return strings.ReplaceAll(strings.Join(texts, "\n         "), `"queue":"`+p.Queue+`"`, `"queue":"queue"`)
}

func (p *player) watch(id store.ID) string {
	o, err := p.Store.Watch(p.ctx, p.Queue, id)
	if look, lookErr := p.Store.Look(p.ctx, p.Queue, id); (o == nil) != (look == nil) || (err == nil) != (lookErr == nil) {
		return fmt.Sprintf("Watch and Look differ: %v %v, %v %v", o, err, look, lookErr)
	}
	if err != nil || o == nil {
		return answer(err, "unknown")
	}
	return fmt.Sprintf("%s %s attempt %d %s %s", o.Name, o.State, o.Attempt, canonical(o.Result), canonical(o.Failure))
}

func (p *player) watchAll() string {
	var texts []string
	for i, id := range p.tasks {
		texts = append(texts, fmt.Sprintf("task %d %s", i, p.watch(id)))
	}
	return strings.Join(texts, "\n         ")
}

// answer puts an answer into words; of an error only its code, because texts may differ.
func answer(err error, format string, args ...any) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "refused with " + pg.Code
	}
	if err != nil {
		return "error " + err.Error()
	}
	return fmt.Sprintf(format, args...)
}

func at(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Sub(Start()).String()
}

// canonical rewrites JSON as jsonb might have it.
func canonical(data []byte) string {
	if data == nil {
		return "none"
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return string(data)
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func pick[T any](from []T, n int) T { return from[n%len(from)] }

// some returns a part of a list.
func some[T any](from []T, n int) []T {
	var part []T
	for i, v := range from {
		if (n>>(i%10))&1 == 1 {
			part = append(part, v)
		}
	}
	return part
}

func inboxName(n int) string { return fmt.Sprintf("inbox%d", n%2) }

func eventName(n int) string { return fmt.Sprintf("event:%d", n%4) }

// payload is mostly fit to be stored.
func payload(n int) []byte {
	if n%100 == 7 {
		return []byte(`"\u0000"`)
	}
	return fmt.Appendf(nil, `{"n": %d, "a": [true]}`, n)
}
