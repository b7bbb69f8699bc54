package payload

import (
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

const (
	marshalJSON   = "MarshalJSON"
	unmarshalJSON = "UnmarshalJSON"
	marshalText   = "MarshalText"
	unmarshalText = "UnmarshalText"
)

// methods are the marshaling methods of a type or of a pointer to it.
type methods map[string]method

type method struct {
	pointer bool         // declared on the pointer
	through []*types.Var // embedded fields that promote it
}

func (m methods) has(name string) bool { _, ok := m[name]; return ok }

// methodsOf finds the methods that encoding/json would call on an addressable t.
func methodsOf(t types.Type) methods {
	if _, ok := t.Underlying().(*types.Interface); ok {
		return nil // an interface is judged as such
	}
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	var found methods
	for _, name := range []string{marshalJSON, unmarshalJSON, marshalText, unmarshalText} {
		obj, index, _ := types.LookupFieldOrMethod(t, true, nil, name)
		fn, ok := obj.(*types.Func)
		if !ok || !takesBytes(fn, name) {
			continue
		}
		_, byPointer := fn.Signature().Recv().Type().(*types.Pointer)
		m := method{pointer: byPointer}
		for at := t; len(index) > 1; index = index[1:] {
			if p, ok := at.Underlying().(*types.Pointer); ok {
				at = p.Elem()
			}
			f := at.Underlying().(*types.Struct).Field(index[0])
			m.through = append(m.through, f)
			if at = f.Type(); isPointer(at) {
				m.pointer = false // reached through the embedded pointer
			}
		}
		if found == nil {
			found = methods{}
		}
		found[name] = m
	}
	return found
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

// takesBytes reports whether fn has the signature that the interface of that name asks for.
func takesBytes(fn *types.Func, name string) bool {
	s := fn.Signature()
	bytes := types.NewSlice(types.Typ[types.Byte])
	is := func(t *types.Tuple, want ...types.Type) bool {
		if t.Len() != len(want) {
			return false
		}
		for i, w := range want {
			if !types.Identical(t.At(i).Type(), w) {
				return false
			}
		}
		return true
	}
	fails := types.Universe.Lookup("error").Type()
	if name == marshalJSON || name == marshalText {
		return is(s.Params()) && is(s.Results(), bytes, fails)
	}
	return is(s.Params(), bytes) && is(s.Results(), fails)
}

// methods judges a type that marshals itself and reports whether that settles it, so that its insides do not matter.
func (c *Checker) methods(t types.Type, at place) bool {
	if _, ok := types.Unalias(t).(*types.Pointer); ok {
		return false // judged at its element
	}
	own := methodsOf(t)
	pairs := [][2]string{{marshalJSON, unmarshalJSON}, {marshalText, unmarshalText}}
	for _, pair := range pairs {
		write, read := own.has(pair[0]), own.has(pair[1])
		if !write && !read {
			continue
		}
		switch m := own[pair[0]]; {
		case !read:
			c.add(at, diag.PayloadOneSided, "write "+pair[1]+" too", "%s has %s without %s", c.name(t), pair[0], pair[1])
		case !write:
			c.add(at, diag.PayloadOneSided, "write "+pair[0]+" too", "%s has %s without %s", c.name(t), pair[1], pair[0])
		case len(m.through) > 0 && fieldCount(t) > 1:
			c.add(at, diag.PayloadPromoted, "make it a field with a name", "%s takes %s from its embedded field %s, so JSON loses the other fields",
				c.name(t), pair[0], m.through[0].Name())
		case m.pointer && !at.addressable:
			c.add(at, diag.PayloadMarshaler, "give "+pair[0]+" a value receiver, or use a pointer", "%s of %s has a pointer receiver, so it is not called on a value",
				pair[0], c.name(t))
		}
		return true
	}
	return false
}

// How is the way in which a type gets into JSON.
type How int

// The ways.
const (
	ByKind How = iota // as encoding/json treats its kind
	ByJSON            // through MarshalJSON and UnmarshalJSON
	ByText            // through MarshalText and UnmarshalText
)

// HowOf returns the way of a type that Check has found nothing wrong with.
func HowOf(t types.Type) How {
	if _, ok := types.Unalias(t).(*types.Pointer); ok {
		return ByKind
	}
	switch own := methodsOf(t); {
	case own.has(marshalJSON):
		return ByJSON
	case own.has(marshalText):
		return ByText
	}
	return ByKind
}

func fieldCount(t types.Type) int {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return 0
	}
	return s.NumFields()
}
