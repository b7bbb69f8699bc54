package lock

import (
	"fmt"
	"slices"
	"strings"
)

// Class is what a change means for tasks that were started before it.
type Class string

// The classes, from harmless to harmful.
const (
	Safe     Class = "safe"
	Review   Class = "review"
	Breaking Class = "breaking"
)

// A Change is one difference between two locks.
type Change struct {
	Class Class
	Kind  string // of the entry
	Name  string // of the entry
	What  string
}

// Changed is the kind of an operation that asks workflow.Changed. Its children are two blocks, New and Old.
const (
	Changed = "changed"
	New     = "new"
	Old     = "old"
)

// Set is the kind of an operation that publishes a state. It leaves no record, so replay does not mind where it stands.
const Set = "set"

// Compare lists what is different in next. Acceptances are left out.
func Compare(old, next *File) []Change {
	var all []Change
	same := sameness{old, next, map[[2]string]bool{}}.types
	for i := range next.Entries {
		e := &next.Entries[i]
		if e.Kind == "accepted" {
			continue
		}
		if before := old.Find(e.Kind, e.Name); before != nil {
			all = append(all, before.compare(e, same)...)
		} else {
			all = append(all, Change{Safe, e.Kind, e.Name, "is new"})
		}
	}
	for i := range old.Entries {
		e := &old.Entries[i]
		if e.Kind == "accepted" || next.Find(e.Kind, e.Name) != nil {
			continue
		}
		class := Breaking
		switch e.Kind {
		case "type":
			class = Safe // whoever used it has changed too
		case "state":
			class = Review // no task reads it, but others may
		}
		all = append(all, Change{class, e.Kind, e.Name, "is gone"})
	}
	return all
}

// compare lists what is different in next. same says whether two types look the same in JSON, whatever they are called.
func (e *Entry) compare(next *Entry, same func(old, next string) bool) (all []Change) {
	add := func(class Class, what string, args ...any) {
		all = append(all, Change{class, e.Kind, e.Name, fmt.Sprintf(what, args...)})
	}
	keys := map[string]bool{}
	for _, a := range slices.Concat(e.Attrs, next.Attrs) {
		if keys[a.Key] {
			continue
		}
		keys[a.Key] = true
		switch before, after := e.Attr(a.Key), next.Attr(a.Key); {
		case before == after:
		case a.Key == "unknown" && after == "":
			add(Safe, "ignores unknown fields now")
		case a.Key == "unknown":
			add(Review, "refuses unknown fields now, and stored payloads may have some")
		case a.Key == "tx" && after == "":
			add(Review, "has no transaction of its own any more")
		case a.Key == "tx":
			add(Safe, "has a transaction of its own now")
		case before == "" && a.Key == "key":
			add(Review, "has a key now, %s", after)
		case (a.Key == "in" || a.Key == "out") && same(before, after):
			add(Safe, "has %s=%s now, which looks as %s did", a.Key, after, before)
		case a.Key == "in" && e.Kind == "state":
			add(Review, "has in=%s now; it was %s", after, before) // no task reads it, but others may
		case before == "":
			add(Breaking, "has %s=%s now", a.Key, after)
		case after == "":
			add(Breaking, "has no %s any more; it was %s", a.Key, before)
		default:
			add(Breaking, "has %s=%s now; it was %s", a.Key, after, before)
		}
	}
	switch e.Kind {
	case "type":
		compareFields(e.Ops, next.Ops, same, add)
	case "workflow":
		compareOps(e.Ops, next.Ops, "", add)
		if len(all) == 0 && !slices.EqualFunc(e.Ops, next.Ops, equal) {
			add(Safe, "has a change that does not reach running tasks")
		}
	}
	return all
}

type adder func(class Class, what string, args ...any)

func find(fields []Op, name string) *Op {
	for i := range fields {
		if fields[i].Kind == name {
			return &fields[i]
		}
	}
	return nil
}

func compareFields(old, next []Op, same func(old, next string) bool, add adder) {
	for _, f := range next {
		switch before := find(old, f.Kind); {
		case before == nil:
			add(Safe, "has the new field %s", f.Kind)
		case !same(before.Name, f.Name):
			add(Breaking, "has the field %s as %s now; it was %s", f.Kind, f.Name, before.Name)
		}
	}
	for _, f := range old {
		if find(next, f.Kind) == nil {
			add(Breaking, "has no field %s any more", f.Kind)
		}
	}
}

// replayed is what matters to a task that was started with old code: operations that leave records, and where workflow.Changed is
// asked, it is false.
func replayed(ops []Op) (out []Op) {
	for i, op := range ops {
		switch op.Kind {
		case Set:
			continue
		case Changed:
			for _, block := range op.Ops {
				if block.Kind == Old {
					out = append(out, replayed(block.Ops)...)
				}
			}
			continue
		}
		within := replayed(op.Ops)
		beforeElse := i+1 < len(ops) && ops[i+1].Kind == "else"
		if len(op.Ops) > 0 && len(within) == 0 && !beforeElse && !slices.Contains([]string{"go", "all", "race", "map"}, op.Kind) {
			continue // a block that held nothing else
		}
		op.Ops = within
		out = append(out, op)
	}
	return out
}

// compareOps walks two sequences as replay would. path names the block they are in; it is empty for the workflow's body.
func compareOps(old, next []Op, path string, add adder) {
	old, next = replayed(old), replayed(next)
	where := ""
	if path != "" {
		where = " in " + path
	}
	for i := range max(len(old), len(next)) {
		switch {
		case i >= len(old) && path == "":
			add(Safe, "goes on with %s", next[i])
		case i >= len(old):
			add(Review, "goes on with %s%s", next[i], where)
		case i >= len(next):
			add(Breaking, "has no %s any more%s", old[i], where)
		case old[i].String() == next[i].String():
			inside := old[i].String()
			if path != "" {
				inside = path + ", " + inside
			}
			compareOps(old[i].Ops, next[i].Ops, inside, add)
		case old[i].Kind == "loop" && next[i].Kind == "map":
			add(Review, "has a map where it had a loop%s", where)
		case count(next[i:], old[i]) > 0 && count(next[i:], next[i]) > count(old[i:], next[i]): // there is one more of it, whatever comes later
			add(Breaking, "has %s before %s%s", next[i], old[i], where)
			return
		case count(old[i:], next[i]) > 0 && count(old[i:], old[i]) > count(next[i:], old[i]):
			add(Breaking, "has no %s any more before %s%s", old[i], next[i], where)
			return
		case count(next[i:], old[i]) > 0:
			add(Breaking, "has %s and %s in another order%s", old[i], next[i], where)
			return
		default:
			add(Breaking, "has %s where it had %s%s", next[i], old[i], where)
			return
		}
	}
}

func count(ops []Op, of Op) (n int) {
	for _, op := range ops {
		if op.String() == of.String() {
			n++
		}
	}
	return n
}

func equal(a, b Op) bool {
	return a.Kind == b.Kind && a.Name == b.Name && slices.EqualFunc(a.Ops, b.Ops, equal)
}

func (op Op) String() string { return strings.TrimSpace(op.Kind + " " + op.Name) }
