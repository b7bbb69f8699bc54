package lock

import "strings"

// sameness compares types of two locks by what they look like, so that a type may move or get another name.
type sameness struct {
	old, next *File
	assumed   map[[2]string]bool // pairs on the way down, for types that hold themselves
}

// types reports whether two types, as wire types are written, look the same.
func (s sameness) types(old, next string) bool {
	oldBase, nextBase := base(old), base(next)
	if old[:len(old)-len(oldBase)] != next[:len(next)-len(nextBase)] {
		return false
	}
	oldBase, oldQuoted := strings.CutSuffix(oldBase, ",string")
	nextBase, nextQuoted := strings.CutSuffix(nextBase, ",string")
	if oldQuoted != nextQuoted {
		return false
	}
	pair := [2]string{oldBase, nextBase}
	before, after := s.old.Find("type", oldBase), s.next.Find("type", nextBase)
	switch {
	case oldBase == nextBase:
		return true // what is different inside is said of the type itself
	case before == nil || after == nil || len(before.Ops) != len(after.Ops):
		return false
	case s.assumed[pair]:
		return true
	}
	s.assumed[pair] = true
	defer delete(s.assumed, pair)
	for _, f := range before.Ops {
		if g := find(after.Ops, f.Kind); g == nil || !s.types(f.Name, g.Name) {
			return false
		}
	}
	return true
}

// base is what a type is made of: x.T of []*x.T and of map[string]x.T.
func base(t string) string {
	for {
		switch {
		case strings.HasPrefix(t, "*"):
			t = t[1:]
		case strings.HasPrefix(t, "["), strings.HasPrefix(t, "map["):
			depth, end := 0, -1
			for i, c := range t {
				if c == '[' {
					depth++
				} else if c == ']' {
					if depth--; depth == 0 {
						end = i
						break
					}
				}
			}
			if end < 0 {
				return t
			}
			t = t[end+1:]
		default:
			return t
		}
	}
}
