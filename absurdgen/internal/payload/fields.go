package payload

import (
	"cmp"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A Field is one JSON field of a struct, found in it or in a struct that it embeds.
type Field struct {
	Name   string       // in JSON
	Var    *types.Var   // the last of Way
	Way    []*types.Var // from the struct to the field
	Index  []int        // the same as field numbers
	Tag    Tag
	tagged bool
}

// Path is the way to the field in Go names.
func (f Field) Path() string {
	names := make([]string, len(f.Way))
	for i, v := range f.Way {
		names[i] = v.Name()
	}
	return strings.Join(names, ".")
}

// Pos is where the field is declared.
func (f Field) Pos() token.Pos { return f.Var.Pos() }

// Lost is a field that encoding/json leaves out because another has its name.
type Lost struct {
	Field
	Winner Field // or, when Both are left out, the first of them
	Both   bool
}

// A FieldList is a struct as encoding/json sees it.
type FieldList struct {
	Kept []Field // in the order in which they are written
	Lost []Lost
}

// Fields finds the JSON fields of s by the rules of encoding/json: embedded structs are looked through, the shallowest
// field of a name wins, a tagged one before an untagged one of the same depth, and two equals lose both.
func Fields(s *types.Struct) FieldList {
	all := collect(s, nil, nil, map[types.Type]bool{})
	slices.SortStableFunc(all, func(a, b Field) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(len(a.Index), len(b.Index)), compareBool(b.tagged, a.tagged), slices.Compare(a.Index, b.Index))
	})
	var list FieldList
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Name == all[0].Name {
			n++
		}
		group := all[:n]
		all = all[n:]
		both := n > 1 && len(group[0].Index) == len(group[1].Index) && group[0].tagged == group[1].tagged
		if !both {
			list.Kept = append(list.Kept, group[0])
		}
		for _, f := range group[1:] {
			list.Lost = append(list.Lost, Lost{Field: f, Winner: group[0], Both: both})
		}
	}
	slices.SortFunc(list.Kept, func(a, b Field) int { return slices.Compare(a.Index, b.Index) })
	slices.SortFunc(list.Lost, func(a, b Lost) int { return slices.Compare(a.Index, b.Index) })
	return list
}

func collect(s *types.Struct, way []*types.Var, index []int, inside map[types.Type]bool) []Field {
	var out []Field
	for i := range s.NumFields() {
		f := s.Field(i)
		tag, _ := ParseTag(reflect.StructTag(s.Tag(i)))
		if tag.Skip || f.Name() == "_" {
			continue
		}
		way := append(way[:len(way):len(way)], f)
		index := append(index[:len(index):len(index)], i)
		elem := types.Unalias(f.Type())
		if p, ok := elem.(*types.Pointer); ok {
			elem = types.Unalias(p.Elem())
		}
		sub, isStruct := elem.Underlying().(*types.Struct)
		if f.Embedded() && isStruct && tag.Name == "" {
			if !inside[elem] {
				inside[elem] = true
				out = append(out, collect(sub, way, index, inside)...)
				delete(inside, elem)
			}
			continue
		}
		if !f.Exported() {
			continue
		}
		name := tag.Name
		if name == "" {
			name = f.Name()
		}
		out = append(out, Field{Name: name, Var: f, Way: way, Index: index, Tag: tag, tagged: tag.Name != ""})
	}
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// A Tag is what encoding/json reads from a field's tag.
type Tag struct {
	Name      string // empty for the field's own
	Skip      bool   // json:"-"
	OmitEmpty bool
	OmitZero  bool
	String    bool
}

// ParseTag reads a struct tag, and says what encoding/json would ignore in it.
func ParseTag(tag reflect.StructTag) (t Tag, problem string) {
	text, ok := tag.Lookup("json")
	if !ok && strings.Contains(string(tag), "json:") {
		return t, "the tag `" + string(tag) + "` is malformed, so encoding/json ignores it"
	}
	if text == "-" {
		return Tag{Skip: true}, ""
	}
	name, options, _ := strings.Cut(text, ",")
	if name != "" {
		if validName(name) {
			t.Name = name
		} else {
			problem = "the JSON name " + quote(name) + " has letters that encoding/json does not take, so it uses the field's own"
		}
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			t.OmitEmpty = true
		case "omitzero":
			t.OmitZero = true
		case "string":
			t.String = true
		case "":
		default:
			problem = "encoding/json ignores the tag option " + quote(option)
		}
	}
	return t, problem
}

// validName is the rule of encoding/json for names in tags.
func validName(name string) bool {
	for _, r := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return true
}

func quote(s string) string { return `"` + s + `"` }
