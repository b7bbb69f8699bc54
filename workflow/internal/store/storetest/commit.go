package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// recordName is one of a few, in some branches, so that records meet.
func recordName(n int) string {
	return pick([]string{"", "1/", "1.2/", "12/"}, n/4) + pick([]string{"s", "t", "w"}, n)
}

// waitName may be that of a record, though never of one that is pending: a wait has no attempts.
func waitName(n int) string {
	return pick([]string{"", "1/", "1.2/"}, n/2) + pick([]string{"w", "v"}, n)
}

// commit commits one to three units, of held runs and of such as are over.
func (p *player) commit(o op) string {
	if len(p.held) == 0 {
		return "nothing is held"
	}
	first := pick(p.held, len(p.held)-1-o.n[0]%min(len(p.held), 8)) // mostly a late one
	units := []*store.Unit{p.unit(first, o.n[:])}
	tasks := map[int]bool{first.task: true}
	for i := range o.n[1] % 3 {
		h := pick(p.held, o.n[2]+i)
		if h.worker == first.worker && !tasks[h.task] {
			tasks[h.task] = true
			units = append(units, p.unit(h, append(o.n[3+i:], o.n[:3+i]...)))
		}
	}
	answers, err := p.engines[first.worker].Commit(p.ctx, units, o.n[7]%5 == 0)
	text := ""
	for i, a := range answers {
		text += fmt.Sprintf("%s %s; ", units[i].Action, a)
		for _, c := range units[i].Children {
			if made, lookErr := p.Store.Look(p.ctx, p.Queue, c.ID); made != nil && lookErr == nil {
				p.tasks = append(p.tasks, c.ID)
				text += fmt.Sprintf("made task %d; ", len(p.tasks)-1)
			}
		}
	}
	return answer(err, "%s", text)
}

// family adds children to a unit, or says that some are not wanted any more, and that a request to end was seen.
func (p *player) family(u *store.Unit, task int, n []int) {
	if n[7]%4 == 0 {
		for i := range 1 + n[6]%2 {
			queue := p.Queue
			if n[5]%50 == 0 {
				queue = "nowhere"
			}
			p.born++
			name := pick([]string{"", "1/"}, n[3]) + fmt.Sprint("c", p.born)
			child(u, queue, name, childID(p.Clock.Now(), p.born), n[2]%5 == 0)
			u.Children[i].Workflow = pick([]string{"a", "b", "c"}, n[0]+i)
			p.children[task] = append(p.children[task], name)
		}
	}
	if born := p.children[task]; len(born) > 0 && n[6]%4 == 0 {
		u.Unwanted = append(u.Unwanted, pick(born, n[1]))
	}
	if n[1]%6 == 0 && !hasRecord(u, "$cancel") {
		u.Records = append(u.Records, replay.Record{Name: "$cancel", Kind: replay.Cancel, Outcome: replay.Value, State: []byte(`[]`)})
	}
}

// failed is the name of a record, perhaps that of a child.
func (p *player) failed(task, n int) string {
	if born := p.children[task]; len(born) > 0 && n%3 == 0 {
		return pick(born, n)
	}
	return recordName(n)
}

func (p *player) unit(h holding, n []int) *store.Unit {
	u := &store.Unit{Task: p.tasks[h.task], Token: h.token, Renews: n[2]%5 > 0}
	for i := range n[2] % 4 {
		name := recordName(n[3] + i)
		if !hasRecord(u, name) {
			u.Records = append(u.Records, p.record(name, n[4]+i))
		}
	}
	due := func(n int) time.Time {
		if n%5 == 0 {
			return time.Time{}
		}
		return p.Clock.Now().Add(time.Duration(n%25-4) * time.Second)
	}
	u.Due = due(n[5])
	if n[0]%5 == 0 {
		u.Attributes = fmt.Appendf(nil, `{"a%d": %s}`, n[1]%2, pick([]string{`"x"`, `"y"`, `null`}, n[2]))
	}
	if n[0]%7 == 0 {
		u.Published = fmt.Appendf(nil, `{"s%d": {"n": %d}}`, n[1]%2, n[2])
	}
	p.family(u, h.task, n)
	switch n[4] % 12 {
	case 0, 1:
		u.Action = store.Record
	case 2:
		u.Action, u.Payload = store.Complete, payload(n[6])
	case 3:
		u.Action = store.Fail
		u.Payload, _ = json.Marshal(map[string]any{"name": "E", "message": "no", "records": []string{p.failed(h.task, n[6]), p.failed(h.task, n[3])}})
	case 4:
		u.Action, u.Payload = store.Retry, payload(n[6])
		u.Removed = []string{p.failed(h.task, n[6])}
	case 5:
		u.Action, u.Payload = store.Block, payload(n[6])
	case 6:
		u.Action = store.Release
	case 7:
		u.Action = store.Cancel
		if n[6]%2 == 0 {
			u.Payload, _ = json.Marshal(map[string]string{"message": fmt.Sprint("enough of ", n[6])})
		}
	case 8:
		u.Action, u.Payload = store.Continue, payload(n[6])
	default:
		u.Action = store.Suspend
		if n[4]%12 == 11 {
			u.Action = store.Watch
		}
		for i := range n[6] % 4 {
			w := store.Wait{Name: waitName(n[3] + i), Kind: replay.Event, Event: eventName(n[6] + i), Timeout: due(n[1] + i)}
			if (n[0]+i)%2 == 0 {
				w.Kind, w.Event = replay.Message, inboxName(n[6]+i)
			}
			if !hasWait(u, w.Name) {
				u.Waits = append(u.Waits, w)
			}
		}
	}
	return u
}

func (p *player) record(name string, n int) replay.Record {
	r := replay.Record{Name: name, Kind: replay.Step, Fingerprint: int64(n % 3), State: payload(n)}
	r.Outcome = pick([]replay.Outcome{replay.Value, replay.Value, replay.Failure, replay.Pending}, n)
	if r.Outcome == replay.Pending && strings.HasSuffix(name, "w") {
		r.Outcome = replay.Value
	}
	if n%4 == 0 {
		r.Kind, r.Outcome = replay.Sleep, replay.Value
		r.State, _ = json.Marshal(p.Clock.Now().Add(time.Second))
	}
	if n%2 == 0 {
		r.Time = p.Clock.Now().Add(-time.Millisecond)
	}
	return r
}

func hasRecord(u *store.Unit, name string) bool {
	for _, r := range u.Records {
		if r.Name == name {
			return true
		}
	}
	return false
}

func hasWait(u *store.Unit, name string) bool {
	for _, w := range u.Waits {
		if w.Name == name {
			return true
		}
	}
	return false
}
