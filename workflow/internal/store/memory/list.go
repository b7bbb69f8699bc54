package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Conn returns nil: there is no database.
func (s *Store) Conn() db.DBTX { return nil }

// place is where a task stands in a list: what its cursor says.
type place struct {
	Name      string
	Priority  int
	Available time.Time
	Ended     time.Time
	ID        store.ID
}

func (t *task) place() place { return place{t.name, t.priority, t.available, t.endedAt, t.id} }

// ListTasks returns a page of the tasks of a queue, in the orders of the engine's list_tasks, but for names, which are ordered by their
// letters.
func (s *Store) ListTasks(_ context.Context, page db.ListTasksParams) ([]db.ListedTask, error) {
	_, leave := s.enter()
	defer leave()
	q, err := s.queue(page.Queue)
	if err != nil {
		return nil, err
	}
	order, err := listOrder(page.States)
	if err != nil {
		return nil, err
	}
	var after *place
	if page.After != nil {
		after = new(place)
		if json.Unmarshal([]byte(*page.After), after) != nil {
			return nil, refuse("AB005", "cursor %.100q does not belong to this list: pass the cursor of one of its rows, with the same filters", *page.After)
		}
	}
	var tasks []*task
	for _, t := range q.tasks {
		if s.shown(q, t.id) != nil && t.passes(&page) && (after == nil || order(*after, t.place()) < 0) {
			tasks = append(tasks, t)
		}
	}
	slices.SortFunc(tasks, func(a, b *task) int { return order(a.place(), b.place()) })
	limit := int32(100)
	if page.MaxRows != nil {
		limit = min(max(*page.MaxRows, 1), 1000)
	}
	rows := make([]db.ListedTask, 0, min(len(tasks), int(limit)))
	for _, t := range tasks[:cap(rows)] {
		rows = append(rows, t.listed(s))
	}
	return rows, nil
}

// listOrder returns the order of a list of tasks in the given states.
func listOrder(states []string) (func(a, b place) int, error) {
	only := func(of ...store.State) bool {
		return len(states) > 0 && !slices.ContainsFunc(states, func(s string) bool { return !slices.Contains(of, store.State(s)) })
	}
	byID := func(a, b place) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	switch {
	case only(store.Failed), only(store.Cancelled):
		return func(a, b place) int { return cmp.Or(b.Ended.Compare(a.Ended), byID(b, a)) }, nil
	case only(store.Pending):
		return func(a, b place) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), a.Priority-b.Priority, a.Available.Compare(b.Available), byID(a, b))
		}, nil
	case only(store.Sleeping, store.Blocked):
		return func(a, b place) int {
			if a.Available.IsZero() != b.Available.IsZero() {
				return a.Available.Compare(b.Available) * -1
			}
			return cmp.Or(a.Available.Compare(b.Available), byID(a, b))
		}, nil
	case len(states) > 0 && !only(store.Pending, store.Running, store.Sleeping, store.Blocked, store.Completed, store.Failed, store.Cancelled):
		return nil, refuse("AB005", "one of the task states %q does not exist: use pending, running, sleeping, blocked, completed, failed or cancelled", states)
	}
	return func(a, b place) int { return byID(b, a) }, nil
}

// passes reports whether the filters of a list let the task pass.
func (t *task) passes(page *db.ListTasksParams) bool {
	switch {
	case len(page.States) > 0 && !slices.Contains(page.States, string(t.state)),
		page.TaskName != nil && t.name != *page.TaskName,
		page.Tenant != nil && t.tenant != *page.Tenant,
		!contains(t.tags, page.Tags), !contains(t.attributes, page.Attributes),
		page.Error != nil && !strings.Contains(strings.ToLower(string(t.failure)), strings.ToLower(*page.Error)),
		page.SpawnedFrom != nil && t.enqueued.Before(*page.SpawnedFrom),
		page.SpawnedTo != nil && !t.enqueued.Before(*page.SpawnedTo):
		return false
	}
	return true
}

// contains reports whether a JSON object has the members of another; nil has none.
func contains(object, members []byte) bool {
	if members == nil {
		return true
	}
	var has, wants map[string]any
	if json.Unmarshal(members, &wants) != nil || object != nil && json.Unmarshal(object, &has) != nil {
		return false
	}
	for name, v := range wants {
		if h, ok := has[name]; !ok || !reflect.DeepEqual(h, v) {
			return false
		}
	}
	return true
}

func (t *task) listed(s *Store) db.ListedTask {
	cursor, _ := json.Marshal(t.place())
	row := db.ListedTask{
		TaskID: pgtype.UUID{Bytes: t.id, Valid: true}, TaskName: ptr(t.name), State: ptr(string(t.state)), Attempt: ptr(int32(t.attempt)), LostLeases: ptr(int32(t.lostLeases)),
		Priority: ptr(int32(t.priority)), Tenant: ptr(t.tenant), RootID: pgtype.UUID{Bytes: t.root().id, Valid: true}, Tags: t.tags,
		Attributes: t.attributes, Failure: t.failure, EnqueueAt: ptr(t.enqueued), FirstStartedAt: moment(t.started), AvailableAt: moment(t.available),
		EndedAt: moment(t.endedAt), Cursor: string(cursor),
	}
	for k, o := range t.queue.keys {
		if o.id == t.id {
			row.IdempotencyKey = ptr(k.key)
		}
	}
	if t.parent != nil {
		row.ParentID = pgtype.UUID{Bytes: t.parent.id, Valid: true}
	}
	if w := s.workers[t.worker]; w != nil && t.state == store.Running {
		row.Holder = ptr(w.name)
	}
	return row
}

func (t *task) root() *task {
	for t.parent != nil {
		t = t.parent
	}
	return t
}

func ptr[T any](v T) *T { return &v }

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
