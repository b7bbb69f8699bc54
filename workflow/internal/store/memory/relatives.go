package memory

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// What a task knows of its children: nothing, that it has made some, that one has ended while it ran, that it sleeps until one ends.
type kin byte

const (
	childless kin = iota
	hasChildren
	hasNews
	awaitsChildren
)

func (id taskID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// checkChildren refuses what spawning the children of a unit would refuse.
func (s *Store) checkChildren(u *store.Unit) error {
	for i := range u.Children {
		c := &u.Children[i]
		spawn := store.Spawn{Name: c.Workflow, Params: c.Params, Options: c.Options}
		if err := check(&spawn); err != nil {
			return err
		}
		if _, err := s.queue(c.Queue); err != nil {
			return err
		}
	}
	return nil
}

// spawnChildren makes those children of a unit whose records are not there yet.
func (s *Store) spawnChildren(parent *task, u *store.Unit, now time.Time) {
	for i := range u.Children {
		c := &u.Children[i]
		if parent.find(c.Name) >= 0 {
			continue
		}
		q := s.queues[c.Queue]
		o := c.Options
		o.Headers = nil
		q.add(c.ID, &store.Spawn{Name: c.Workflow, Params: c.Params, Options: o}, parent.tenant, now)
		child := q.tasks[c.ID]
		child.headers = inherited(parent.headers, c.Options.Headers)
		child.parent, child.childName, child.abandoned = parent, c.Name, c.Abandon
		if parent.kin == childless {
			parent.kin = hasChildren
		}
		s.notifyReady(q)
	}
}

// inherited returns a parent's headers with those of the child's own.
func inherited(parent []byte, own map[string]string) []byte {
	all := make(map[string]string)
	if len(parent) > 0 && json.Unmarshal(parent, &all) != nil {
		return headersJSON(own)
	}
	maps.Copy(all, own)
	return headersJSON(all)
}

// openChildren returns the children that a task waits for and that have not ended, in the order in which they were made.
func (s *Store) openChildren(t *task) []*task {
	if t.kin == childless {
		return nil
	}
	var open []*task
	for _, q := range s.queues {
		for _, c := range q.open {
			if c.parent == t && t.awaits(c) {
				open = append(open, c)
			}
		}
	}
	slices.SortFunc(open, compareIDs)
	return open
}

// awaits reports whether the pending record of a child is there.
func (t *task) awaits(child *task) bool {
	i := t.find(child.childName)
	return i >= 0 && t.records[i].Kind == replay.Child && t.records[i].Outcome == replay.Pending && names(t.records[i].State, child)
}

func names(state []byte, child *task) bool {
	var made struct{ Task string }
	return json.Unmarshal(state, &made) == nil && made.Task == taskID(child.id).String()
}

// tellRelatives passes on that tasks have ended, or were asked to end: outcomes to their parents, then the end to their children.
func (s *Store) tellRelatives(now time.Time, tasks ...*task) {
	for _, t := range tasks {
		if p := t.parent; p != nil && t.ended() && !p.ended() && p.awaits(t) {
			s.tellParent(p, t, now)
		}
	}
	var told []*task
	for _, t := range tasks {
		if !t.ended() && !t.requested {
			continue
		}
		forced := t.state == store.Cancelled && (!t.requested || due(t.cancelDue, now))
		until := t.cancelDue
		if until.IsZero() {
			until = now.Add(cleanupTime)
		}
		for _, c := range s.openChildren(t) {
			if !c.abandoned && s.endOrAsk(c, forced, until, now) {
				told = append(told, c)
			}
		}
	}
	if told != nil {
		s.tellRelatives(now, told...)
	}
}

// tellParent puts the outcome of a child into its parent's history, and wakes that.
func (s *Store) tellParent(p, child *task, now time.Time) {
	old := p.records[p.find(child.childName)]
	rec := replay.Record{
		Name: old.Name, Kind: replay.Child, Outcome: replay.Value, Superseded: old.Superseded, Fingerprint: old.Fingerprint,
		Time: now, State: child.result,
	}
	if child.state != store.Completed {
		var f struct {
			Name    any `json:"name"`
			Message any `json:"message"`
		}
		_ = json.Unmarshal(child.failure, &f)
		if _, ok := f.Message.(string); !ok {
			f.Message = "the task failed without a message"
			if child.state == store.Cancelled {
				f.Message = "the task was cancelled"
			}
		}
		rec.Outcome = replay.Failure
		rec.State, _ = json.Marshal(map[string]any{"task": taskID(child.id), "state": child.state, "name": f.Name, "message": f.Message})
	}
	p.replace(rec)
	switch {
	case p.state == store.Sleeping && p.kin == awaitsChildren:
		p.makePending(now)
		s.notifyReady(p.queue)
	case p.state == store.Running:
		p.kin = hasNews
	}
}

// cleanupTime is how long a task that is asked to end has to do so where nobody has said otherwise.
const cleanupTime = time.Minute

// endOrAsk ends an open task at once, or asks it to end until then. It reports whether its relatives have to hear of that.
func (s *Store) endOrAsk(t *task, forced bool, until, now time.Time) bool {
	switch {
	case forced || t.started.IsZero():
		s.endAlone(t, now)
		return true
	case t.requested:
		return false
	}
	t.requested, t.cancelDue = true, until
	t.queue.armAt(t, until)
	if t.asleep() {
		t.makePending(now)
		s.notifyReady(t.queue)
	}
	s.noticeHolder(t, now)
	return true
}

// noticeHolder leaves a notice for the worker that runs the task.
func (s *Store) noticeHolder(t *task, now time.Time) {
	if w := s.workers[t.worker]; w != nil && t.state == store.Running {
		w.noticed[t.id] = now
		s.notify(store.WorkerNotice(w.id))
	}
}

// noticedFor is how long a notice is told.
const noticedFor = time.Minute

// notices returns the tasks that the worker should look at, the latest first.
func (w *worker) notices(now time.Time) []store.ID {
	maps.DeleteFunc(w.noticed, func(_ store.ID, at time.Time) bool { return at.Before(now.Add(-noticedFor)) })
	return slices.SortedFunc(maps.Keys(w.noticed), func(a, b store.ID) int { return w.noticed[b].Compare(w.noticed[a]) })
}

// RequestCancel asks a task to end.
func (s *Store) RequestCancel(_ context.Context, queue string, id store.ID, within time.Duration) (known bool, err error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil || s.shown(q, id) == nil {
		return false, err
	}
	if within <= 0 {
		within = cleanupTime
	}
	if t := q.tasks[id]; !t.ended() && s.endOrAsk(t, false, now.Add(min(within, 365*24*time.Hour).Truncate(time.Millisecond)), now) {
		s.tellRelatives(now, t)
	}
	return true, nil
}

// Terminate cancels an open task and its descendants at once.
func (s *Store) Terminate(_ context.Context, queue string, id store.ID) (known bool, err error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil || s.shown(q, id) == nil {
		return false, err
	}
	if t := q.tasks[id]; !t.ended() {
		s.cancel(t, now)
	}
	return true, nil
}

// endUnwanted asks the children behind pending records to end. The records say so from then on.
func (s *Store) endUnwanted(t *task, unwanted []string, now time.Time) {
	for _, c := range s.openChildren(t) {
		if !slices.Contains(unwanted, c.childName) {
			continue
		}
		made := &t.records[t.find(c.childName)]
		made.State, _ = json.Marshal(map[string]any{"task": taskID(c.id), "queue": c.queue.name, "unwanted": true})
		if !c.abandoned && s.endOrAsk(c, false, now.Add(cleanupTime), now) {
			s.tellRelatives(now, c)
		}
	}
}

// hasNews reports whether a run that wants to sleep has to go on at once.
func (t *task) hasNews() bool {
	return t.kin == hasNews || t.requested && t.find("$cancel") < 0
}

// begin has a task begin anew with another input.
func (t *task) begin(params []byte, now time.Time) {
	t.state, t.params, t.available = store.Pending, orNull(params), now
	t.generation++
	t.attempt, t.lostLeases, t.kin = 1, 0, childless
	t.records, t.waits = nil, nil
}
