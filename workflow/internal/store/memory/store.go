package memory

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Store is a store in memory. It is safe for concurrent use.
type Store struct {
	*everything
	tenant string // empty: all
}

// everything is what the views of a store share, that of all tenants and those of one.
type everything struct {
	clock func() time.Time

	mu        sync.Mutex
	queues    map[string]*queue
	workers   map[int64]*worker
	listeners map[*listener]struct{}
	made      uint64 // tasks so far
	lastID    int64  // of a worker or a claim
}

type queue struct {
	name      string
	tasks     map[store.ID]*task
	open      []*task // those that have not ended
	events    map[event][]byte
	keys      map[key]owner
	unique    map[key]store.ID // by task name and unique key
	deadlines []deadline
}

// event names an event of a queue.
type event struct{ tenant, name string }

// key is an idempotency key; owner is the task that has it.
type key struct{ tenant, task, key string }
type owner struct {
	id          store.ID
	fingerprint int64
}

// deadline is a moment at which the cancellation policy of a task must be looked at. It may be early, or too late to matter.
type deadline struct {
	at   time.Time
	task *task
}

// New returns an empty store. clock is the engine's clock; the store keeps microseconds of it.
func New(clock func() time.Time) *Store {
	return &Store{everything: &everything{
		clock: clock, queues: make(map[string]*queue), workers: make(map[int64]*worker), listeners: make(map[*listener]struct{}),
	}}
}

// enter locks the store and returns the time at which everything in the call happens.
func (s *Store) enter() (now time.Time, leave func()) {
	s.mu.Lock()
	return micros(s.clock()), s.mu.Unlock
}

// micros is the precision in which a database keeps times.
func micros(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

func (s *Store) queue(name string) (*queue, error) {
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, refuse("AB004", "queue %q does not exist: create it first", name)
}

// CreateQueue creates a queue, unless it is there.
func (s *Store) CreateQueue(_ context.Context, name string) error {
	_, leave := s.enter()
	defer leave()
	if name == "" || len(name) > 57 {
		return refuse("P0001", "queue name %q: 1 to 57 bytes are allowed", name)
	}
	if s.queues[name] == nil {
		s.queues[name] = &queue{name: name, tasks: make(map[store.ID]*task), events: make(map[event][]byte), keys: make(map[key]owner), unique: make(map[key]store.ID)}
	}
	return nil
}

// Spawn makes tasks, all of them or none.
func (s *Store) Spawn(_ context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return nil, err
	}
	for i := range tasks { // data comes before options, as in a database
		if err := checkJSON(tasks[i].Params); err != nil {
			return nil, err
		}
	}
	for i := range tasks {
		if err := check(&tasks[i]); err != nil {
			return nil, err
		}
		if _, err := s.whose(tasks[i].Options.Tenant); err != nil {
			return nil, err
		}
	}
	spawned := make([]store.Spawned, len(tasks))
	fresh := make(map[key]owner)     // keys that come with this call
	unique := make(map[key]store.ID) // and unique ones
	for i := range tasks {
		t := &tasks[i]
		tenant, _ := s.whose(t.Options.Tenant)
		spawned[i] = store.Spawned{ID: s.newID(now.Add(time.Duration(i) * time.Microsecond)), Created: true}
		if t.Options.UniqueKey != "" {
			if t.Options.IdempotencyKey != "" {
				return nil, refuse("AB005", "task %q (row %d): options idempotency_key and unique_key exclude each other", t.Name, i+1)
			}
			k := key{tenant, t.Name, t.Options.UniqueKey}
			has, taken := unique[k]
			if !taken {
				has = q.unique[k]
				taken = q.tasks[has] != nil && !q.tasks[has].ended()
			}
			switch {
			case !taken:
				unique[k] = spawned[i].ID
			case t.Options.Refuse:
				return nil, refuse("AB009", "task %q (row %d): a task with unique key %q is open", t.Name, i+1, k.key)
			default:
				spawned[i] = store.Spawned{ID: has}
			}
			continue
		}
		if t.Options.IdempotencyKey == "" {
			continue
		}
		k, mine := key{tenant, t.Name, t.Options.IdempotencyKey}, owner{spawned[i].ID, t.Options.Fingerprint}
		has, taken := q.keys[k]
		if !taken {
			has, taken = fresh[k]
		}
		switch {
		case !taken:
			fresh[k] = mine
		case has.fingerprint != 0 && mine.fingerprint != 0 && has.fingerprint != mine.fingerprint:
			return nil, refuse("AB007", "task %q (row %d): idempotency key %q was used with another input", t.Name, i+1, k.key)
		default:
			spawned[i] = store.Spawned{ID: has.id}
		}
	}
	for i := range tasks {
		if found := q.tasks[spawned[i].ID]; found != nil && found.ended() && len(tasks[i].Options.Messages) > 0 {
			return nil, refuse("AB010", "task %x was found under its idempotency key and has ended: no message was sent to it", found.id)
		}
	}
	for k, o := range fresh {
		q.keys[k] = o
	}
	for k, id := range unique {
		q.unique[k] = id
	}
	for i := range tasks {
		if spawned[i].Created {
			tenant, _ := s.whose(tasks[i].Options.Tenant)
			q.add(spawned[i].ID, &tasks[i], tenant, now)
		}
	}
	var messages []store.Message
	for i := range tasks {
		for _, m := range tasks[i].Options.Messages {
			m.Task = spawned[i].ID
			messages = append(messages, m)
		}
	}
	s.sendAll(q, messages, now)
	s.notifyReady(q)
	return spawned, nil
}

func check(t *store.Spawn) error {
	o := &t.Options
	if err := checkName("task", t.Name); err != nil {
		return err
	}
	if err := checkJSON(t.Params); err != nil {
		return err
	}
	for _, m := range o.Messages {
		if err := checkMessage(m); err != nil {
			return err
		}
	}
	switch {
	case len(o.Tenant) > 200 || o.Tenant == "*":
		return refuse("AB005", "task %q: option tenant must be a text of at most 200 bytes, and not \"*\"", t.Name)
	case o.Priority < -100 || o.Priority > 100:
		return refuse("AB005", "task %q: option priority must be a whole number from -100 to 100", t.Name)
	case len(o.UniqueKey) > 1000:
		return refuse("AB005", "task %q: option unique_key must be a text of 1 to 1000 bytes", t.Name)
	case len(o.IdempotencyKey) > 1000:
		return refuse("AB005", "task %q: option idempotency_key must be a text of 1 to 1000 bytes", t.Name)
	case seconds(o.MaxDelay) > tenYears || seconds(o.MaxDuration) > tenYears:
		return refuse("AB005", "task %q: option cancellation must be a number of seconds up to ten years", t.Name)
	}
	return nil
}

// tenYears is the longest that a policy or a delay may be.
const tenYears = 10 * 365 * 24 * time.Hour

// seconds rounds up to whole ones.
func seconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

func (q *queue) add(id store.ID, spawn *store.Spawn, tenant string, now time.Time) {
	o := &spawn.Options
	t := &task{
		id: id, queue: q, tenant: tenant, name: spawn.Name, params: orNull(spawn.Params), headers: headersJSON(o.Headers), priority: o.Priority,
		maxDelay: seconds(o.MaxDelay), maxDuration: seconds(o.MaxDuration), attempt: 1,
		enqueued: now, available: now, state: store.Pending,
	}
	if len(o.Tags) > 0 {
		t.tags, _ = json.Marshal(o.Tags)
	}
	if o.StartAt != nil || o.Delay > 0 {
		latest := now.AddDate(10, 0, 0)
		t.available = now.Add(o.Delay)
		if o.StartAt != nil {
			t.available = micros(*o.StartAt)
		}
		if t.available.After(latest) {
			t.available = latest
		}
		if t.available.After(now) {
			t.state = store.Sleeping
		} else {
			t.available = now
		}
	}
	q.tasks[id] = t
	q.open = append(q.open, t)
	q.arm(t, now)
}

// newID makes a UUID of version 7. What is random in others is a counter here, so that the same calls make the same ids.
func (s *Store) newID(now time.Time) store.ID {
	s.made++
	var id store.ID
	us := uint64(now.UnixMicro())
	binary.BigEndian.PutUint64(id[:8], us/1000<<16|0x7000|us%1000*4)
	binary.BigEndian.PutUint64(id[8:], s.made|1<<63)
	return id
}

// Emit makes events known and wakes the tasks that wait for them. It never waits.
func (s *Store) Emit(_ context.Context, queue string, events []store.Event, _ time.Duration) error {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := checkName("event", e.Name); err != nil {
			return err
		}
		if err := checkJSON(e.Payload); err != nil {
			return err
		}
	}
	woken := false
	for _, e := range events {
		named := event{s.tenant, e.Name}
		if _, known := q.events[named]; !known {
			q.events[named] = orNull(e.Payload)
			woken = q.tell(named, now) || woken
		}
	}
	if woken {
		s.notifyReady(q)
	}
	return nil
}

// tell gives the event to the tasks that wait for it, and reports whether one of them woke.
func (q *queue) tell(e event, now time.Time) (woken bool) {
	for _, t := range q.open {
		if t.tenant != e.tenant {
			continue
		}
		met := false
		t.waits = slices.DeleteFunc(t.waits, func(w store.Wait) bool {
			if w.Kind != replay.Event || w.Event != e.name {
				return false
			}
			t.write(outcome(w, replay.Value, now, q.events[e]))
			met = true
			return true
		})
		if met && t.state == store.Sleeping {
			t.makePending(now)
			woken = true
		}
	}
	return woken
}

// outcome is the record of how a wait ended.
func outcome(w store.Wait, how replay.Outcome, now time.Time, payload []byte) replay.Record {
	return replay.Record{Name: w.Name, Kind: w.Kind, Outcome: how, Time: now, State: payload}
}

// Watch returns where a task stands; nil for an unknown one.
func (s *Store) Watch(_ context.Context, queue string, id store.ID) (*store.Outcome, error) {
	_, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return nil, err
	}
	t := s.shown(q, id)
	if t == nil {
		return nil, nil
	}
	t.watched = t.watched || !t.ended()
	return t.outcome(), nil
}

// Look returns where a task stands; nil for an unknown one.
func (s *Store) Look(_ context.Context, queue string, id store.ID) (*store.Outcome, error) {
	_, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil || s.shown(q, id) == nil {
		return nil, err
	}
	return q.tasks[id].outcome(), nil
}

func (t *task) outcome() *store.Outcome {
	return &store.Outcome{Name: t.name, State: t.state, Attempt: t.attempt, Result: t.result, Failure: t.failure}
}

// Retry gives a failed or cancelled task another attempt.
func (s *Store) Retry(_ context.Context, queue string, id store.ID) (known bool, err error) {
	now, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil {
		return false, err
	}
	t := s.shown(q, id)
	if t == nil {
		return false, nil
	}
	if t.state != store.Failed && t.state != store.Cancelled {
		return false, refuse("P0001", "task %x of queue %q is %s: only a task that has failed or was cancelled can be tried again", id, queue, t.state)
	}
	s.revive(t, now)
	s.notifyReady(q)
	return true, nil
}

// Records returns the records of a task in the order of recording; nil for an unknown one.
func (s *Store) Records(queue string, id store.ID) []replay.Record {
	_, leave := s.enter()
	defer leave()
	if q := s.queues[queue]; q != nil && q.tasks[id] != nil {
		return slices.Clone(q.tasks[id].records)
	}
	return nil
}

// EndLeases ends the leases of all workers, as if none had been heard of for long, and has them look.
func (s *Store) EndLeases() {
	now, leave := s.enter()
	defer leave()
	for _, w := range s.workers {
		w.lease = earlier(w.lease, now)
	}
	for _, q := range s.queues {
		s.notify(store.ReadyNotice(q.name))
	}
}

func (id taskID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

type taskID store.ID
