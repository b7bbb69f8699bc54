package memory

import (
	"context"
	"encoding/json"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Notes returns a task's tags, attributes and published state; nil for an unknown one.
func (s *Store) Notes(_ context.Context, queue string, id store.ID) (*store.Notes, error) {
	_, leave := s.enter()
	defer leave()
	q, err := s.queue(queue)
	if err != nil || s.shown(q, id) == nil {
		return nil, err
	}
	t := q.tasks[id]
	return &store.Notes{Tags: t.tags, Attributes: t.attributes, Published: t.published}, nil
}

// merge replaces the members of a JSON object by those of another; strip drops what is null then.
func merge(into, by []byte, strip bool) []byte {
	if by == nil {
		return into
	}
	all := make(map[string]json.RawMessage)
	for _, object := range [][]byte{into, by} {
		if object != nil && json.Unmarshal(object, &all) != nil {
			return into
		}
	}
	for name, value := range all {
		if strip && string(value) == "null" {
			delete(all, name)
		}
	}
	merged, _ := json.Marshal(all)
	return merged
}
