package memory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// task is one task with all that belongs to it.
type task struct {
	id              store.ID
	queue           *queue
	tenant          string
	name            string
	params, headers []byte
	priority        int
	maxDelay        time.Duration // 0: none
	maxDuration     time.Duration // 0: none
	enqueued        time.Time
	started         time.Time // the first claim
	claimed         time.Time // the latest claim
	revived         time.Time // the latest retry in place
	endedAt         time.Time

	state      store.State
	available  time.Time // pending: its place in the queue; sleeping, blocked: when it wakes; zero: only a wait wakes it
	worker     int64     // the holder of a running task
	token      int32     // raised by every claim, and when a run is taken from its worker
	attempt    int
	lostLeases int
	watched    bool

	parent     *task
	childName  string // the record of the parent that it answers
	abandoned  bool   // it outlives its parent
	kin        kin
	requested  bool      // it was asked to end
	cancelDue  time.Time // and has to by then
	generation int

	records         []replay.Record    // in the order of recording
	waits           []store.Wait       // in the order in which they were stored
	messages        []store.Message    // not received yet, the oldest first
	keys            map[[2]string]bool // of the messages that were ever sent, by inbox and key
	result, failure []byte

	tags, attributes, published []byte
}

func (t *task) ended() bool {
	return t.state == store.Completed || t.state == store.Failed || t.state == store.Cancelled
}

func (t *task) asleep() bool { return t.state == store.Sleeping || t.state == store.Blocked }

// before is the order of claiming.
func (t *task) before(other *task) int {
	if t.priority != other.priority {
		return t.priority - other.priority
	}
	if c := t.available.Compare(other.available); c != 0 {
		return c
	}
	return strings.Compare(string(t.id[:]), string(other.id[:]))
}

// find returns the index of a record, or -1.
func (t *task) find(name string) int {
	return slices.IndexFunc(t.records, func(r replay.Record) bool { return r.Name == name })
}

// write stores a record, unless there is one: the first one stays. But a pending one is replaced, and takes a new place.
func (t *task) write(r replay.Record) {
	if i := t.find(r.Name); i >= 0 {
		if t.records[i].Outcome != replay.Pending || t.records[i].Superseded {
			return
		}
	}
	t.replace(r)
}

// replace stores a record in place of the one of its name, if there is one. It takes a new place.
func (t *task) replace(r replay.Record) {
	if i := t.find(r.Name); i >= 0 {
		t.records = slices.Delete(t.records, i, i+1)
	}
	if r.Kind == replay.Sleep && json.Unmarshal(r.State, &r.Wake) != nil {
		r.Wake = time.Time{}
	}
	t.records = append(t.records, r)
}

// removeFailures removes failures and pending records with these names. What the same branch, and the branches below it,
// recorded after such a failure is superseded.
func (t *task) removeFailures(names []string) {
	for i := 0; i < len(t.records); {
		r := t.records[i]
		if !slices.Contains(names, r.Name) || r.Outcome != replay.Failure && r.Outcome != replay.Pending {
			i++
			continue
		}
		t.records = slices.Delete(t.records, i, i+1)
		for j := i; j < len(t.records); j++ {
			after := &t.records[j]
			if (after.Outcome != replay.Pending || after.Kind == replay.Child) && below(after.Name, pathOf(r.Name)) && !slices.Contains(names, after.Name) {
				after.Superseded = true
			}
		}
	}
}

// pathOf returns the branch path in front of a record's name; the root's is empty.
func pathOf(name string) string {
	path, _, found := strings.Cut(name, "/")
	if !found || path == "" || strings.Trim(path, "0123456789.") != "" || path[0] == '.' {
		return ""
	}
	return path
}

func below(name, path string) bool {
	return path == "" || strings.HasPrefix(name, path+"/") || strings.HasPrefix(name, path+".")
}

// makePending wakes a sleeping or blocked task. What became available before now keeps its place.
func (t *task) makePending(now time.Time) {
	t.state = store.Pending
	if t.available.IsZero() || t.available.After(now) {
		t.available = now
	}
	t.failure = nil
}

// end puts a task into a final state. Its relatives are to be told.
func (s *Store) end(t *task, state store.State, result, failure []byte) {
	t.state, t.result, t.failure, t.waits, t.worker = state, result, failure, nil, 0
	t.endedAt = micros(s.clock())
	q := t.queue
	q.open = slices.DeleteFunc(q.open, func(o *task) bool { return o == t })
	if t.watched {
		s.notify(store.EndedNotice(taskID(t.id).String()))
	}
}

// endAlone ends a task without asking it and without telling its relatives.
func (s *Store) endAlone(t *task, now time.Time) {
	s.noticeHolder(t, now)
	if t.requested {
		t.cancelDue = earlier(t.cancelDue, now) // it gets no time to clean up
	}
	s.end(t, store.Cancelled, nil, nil)
}

// cancel ends a task without asking it.
func (s *Store) cancel(t *task, now time.Time) {
	s.endAlone(t, now)
	s.tellRelatives(now, t)
}

// forgetCancels removes the cancels that the workflow has seen. What was recorded after the first is superseded.
func (t *task) forgetCancels() {
	cancel := func(r replay.Record) bool { return r.Kind == replay.Cancel }
	first := slices.IndexFunc(t.records, cancel)
	if first < 0 {
		return
	}
	t.records = slices.DeleteFunc(t.records, cancel)
	for i := first; i < len(t.records); i++ {
		r := &t.records[i]
		if r.Outcome != replay.Pending || r.Kind == replay.Child {
			r.Superseded = true
		}
	}
}

// revive begins another attempt of a failed or cancelled task. The failures that its own names are removed, and so are the cancels
// that it has seen. It hears of the children that have ended since it did.
func (s *Store) revive(t *task, now time.Time) {
	var f struct{ Records []string }
	if json.Unmarshal(t.failure, &f) == nil {
		t.removeFailures(f.Records)
	}
	if t.state == store.Cancelled || t.requested {
		t.forgetCancels()
	}
	if t.state == store.Cancelled {
		t.token++ // a worker that held it then may still write
	}
	t.attempt++
	t.lostLeases = 0
	t.requested, t.cancelDue = false, time.Time{}
	t.state, t.available, t.failure, t.revived, t.endedAt = store.Pending, now, nil, now, time.Time{}
	t.queue.open = append(t.queue.open, t)
	t.queue.arm(t, now)

	var ended []*task
	for _, q := range s.queues {
		for _, c := range q.tasks {
			if c.parent == t && c.ended() && t.awaits(c) {
				ended = append(ended, c)
			}
		}
	}
	slices.SortFunc(ended, func(a, b *task) int { return strings.Compare(a.childName, b.childName) })
	s.tellRelatives(now, ended...)
}

// gotFurther reports whether an outcome has been recorded since the latest claim.
func (t *task) gotFurther() bool {
	return slices.ContainsFunc(t.records, func(r replay.Record) bool { return r.Outcome != replay.Pending && !r.Time.Before(t.claimed) })
}

// maxLostLeases is how many workers in a row may lose their lease over a task, which gets no further, before it is taken for what kills
// them.
const maxLostLeases = 10

// takeBack returns a run from its worker to the queue: same attempt, new token. lost counts a lost lease. It reports whether the
// task went back, and has not failed for that.
func (s *Store) takeBack(t *task, lost bool, now time.Time) bool {
	t.token++
	t.worker, t.failure = 0, nil
	if lost {
		if t.gotFurther() {
			t.lostLeases = 0 // it is not what kills its workers
		}
		t.lostLeases++
	}
	if lost && t.lostLeases >= maxLostLeases {
		message := fmt.Sprintf("%d workers in a row lost their lease while they ran this task", t.lostLeases)
		failure, _ := json.Marshal(map[string]string{"name": "$LostLease", "message": message})
		s.end(t, store.Failed, nil, failure)
		s.tellRelatives(now, t)
		return false
	}
	t.state = store.Pending
	return true
}
