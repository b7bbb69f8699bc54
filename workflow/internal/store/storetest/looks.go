package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// list reads a list of tasks to its end. Pending ones are listed for one workflow alone, because each store orders these by a number or a
// name of its own.
func (p *player) list(o op) string {
	page := db.ListTasksParams{Queue: p.Queue}
	name := pick([]string{"a", "b", "c"}, o.n[1])
	switch o.n[0] % 7 {
	case 0:
		page.States = []string{"pending"}
		page.TaskName = &name
	case 1:
		page.States = []string{"sleeping", "blocked"}
	case 2:
		page.States = []string{"failed"}
	case 3:
		page.States = []string{"cancelled"}
	case 4:
		page.States = []string{"running", "completed"}
	case 5:
		page.Tags = []byte(`{"even": "true"}`)
	}
	if o.n[2]%3 == 0 {
		page.TaskName = &name
	}
	if o.n[3]%4 == 0 {
		page.Attributes = []byte(`{"a0": "x"}`)
	}
	limit := int32(1 + o.n[4]%5)
	page.MaxRows = &limit
	var lines []string
	for {
		rows, err := p.Store.ListTasks(p.ctx, page)
		if err != nil {
			return answer(err, "")
		}
		more := len(rows) == int(limit)
		for _, r := range rows {
			page.After = &r.Cursor
			if r.TaskID.Valid {
				lines = append(lines, p.listed(&r))
			} else {
				more = true
			}
		}
		if !more {
			return strings.Join(lines, "\n         ")
		}
	}
}

func (p *player) listed(r *db.ListedTask) string {
	when := func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return at(*t)
	}
	place := func(id [16]byte) int { return slices.Index(p.tasks, id) }
	return fmt.Sprintf("task %d %s %s attempt %d lost %d priority %d root %d parent %d tags %s attributes %s failure %s spawned %s started %s available %s ended %s held %v",
		place(r.TaskID.Bytes), *r.TaskName, *r.State, *r.Attempt, *r.LostLeases, *r.Priority, place(r.RootID.Bytes), place(r.ParentID.Bytes), canonical(r.Tags),
		canonical(r.Attributes), canonical(r.Failure), when(r.EnqueueAt), when(r.FirstStartedAt), when(r.AvailableAt), when(r.EndedAt), r.Holder != nil)
}

// blocked tells what waits for other code, in no order.
func (p *player) blocked() string {
	tasks, err := p.Store.Blocked(p.ctx, p.Queue)
	var lines []string
	for _, b := range tasks {
		lines = append(lines, fmt.Sprintf("task %d %s %s attempt %d due %s: %s", slices.Index(p.tasks, b.Task), b.Name, b.State, b.Attempt, at(b.Due), b.Reason))
	}
	slices.Sort(lines)
	return answer(err, "%s", strings.Join(lines, "\n         "))
}

func (p *player) notes(id store.ID) string {
	n, err := p.Store.Notes(p.ctx, p.Queue, id)
	if err != nil || n == nil {
		return answer(err, "unknown")
	}
	return fmt.Sprintf("tags %s attributes %s published %s", canonical(n.Tags), canonical(n.Attributes), canonical(n.Published))
}
