package memory

import "github.com/absurdgen/absurdgen/workflow/internal/store"

// For returns the store as one tenant may use it.
func (s *Store) For(tenant string) store.Store {
	return &Store{everything: s.everything, tenant: tenant}
}

// whose returns the tenant of something new: the one that is given, or that of the store.
func (s *Store) whose(given string) (string, error) {
	switch {
	case given == "":
		return s.tenant, nil
	case s.tenant != "" && given != s.tenant:
		return "", refuse("42501", "this session may use tenant %q, not %q", s.tenant, given)
	}
	return given, nil
}

// shown returns a task, or nil when there is none or it is another tenant's.
func (s *Store) shown(q *queue, id store.ID) *task {
	if t := q.tasks[id]; t != nil && (s.tenant == "" || t.tenant == s.tenant) {
		return t
	}
	return nil
}
