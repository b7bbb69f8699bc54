package payload

import (
	"go/token"
	"go/types"
	"reflect"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"golang.org/x/tools/go/types/typeutil"
)

// A Checker walks payload types. It looks at every type once, however many payloads reach it, so a mistake in a shared
// type is reported once, for the first payload that has it.
type Checker struct {
	// Local reports whether a package is the user's to change, so that a field of it can be pointed at.
	Local func(*types.Package) bool

	values   typeutil.Map // types seen where json.Marshal cannot take the address
	pointees typeutil.Map // types seen where it can; what is wrong there is wrong for values too
	reported map[complaint]bool
	from     *types.Package
	pos      token.Pos
	out      []diag.Problem
}

// A complaint tells problems apart that were met on several ways to one field.
type complaint struct {
	slug  diag.Slug
	field token.Pos
}

// Check returns what is wrong with t as a payload. Problems stand at pos, where package from names the type; a second
// position shows the field that is to blame.
func (c *Checker) Check(t types.Type, from *types.Package, pos token.Pos) []diag.Problem {
	c.from, c.pos, c.out = from, pos, nil
	start := t
	if p, ok := t.(*types.Pointer); ok {
		start = p.Elem()
	}
	c.walk(t, place{path: c.name(start)})
	return c.out
}

// A place is where the walk stands: the way from the payload, the field that led there, and whether json.Marshal reaches
// the value through a pointer and so finds pointer methods.
type place struct {
	path        string
	field       token.Pos
	addressable bool
}

func (p place) down(suffix string) place {
	p.path += suffix
	return p
}

func (c *Checker) walk(t types.Type, at place) {
	if c.values.At(t) != nil || at.addressable && c.pointees.At(t) != nil {
		return
	}
	if at.addressable {
		c.pointees.Set(t, true)
	} else {
		c.values.Set(t, true)
	}
	if c.methods(t, at) {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		c.basic(u, t, at)
	case *types.Pointer:
		at.addressable = true
		c.walk(u.Elem(), at)
	case *types.Slice:
		at.addressable = true
		c.walk(u.Elem(), at.down("[]"))
	case *types.Array:
		c.walk(u.Elem(), at.down("[]"))
	case *types.Map:
		c.mapKey(u.Key(), at)
		at.addressable = false
		c.walk(u.Elem(), at.down("[key]"))
	case *types.Struct:
		c.structure(t, u, at)
	case *types.Interface:
		fix := "name a concrete type, or json.RawMessage for text that is kept as it is"
		if types.Identical(t, types.Universe.Lookup("error").Type()) {
			fix = "return the error beside the payload, or keep its text in a string"
		}
		c.add(at, diag.PayloadInterface, fix, "%s is an interface, so the decoder would not know which type to make", c.name(t))
	case *types.Chan:
		c.add(at, diag.PayloadChan, "pass data, and wait with an event or a child", "%s is a channel, which JSON cannot hold", c.name(t))
	case *types.Signature:
		c.add(at, diag.PayloadFunc, "pass data that says what to do", "%s is a function, which JSON cannot hold", c.name(t))
	}
}

func (c *Checker) basic(b *types.Basic, t types.Type, at place) {
	switch {
	case b.Kind() == types.Invalid:
		c.add(at, diag.PayloadUnresolved, "build payloads from types that are written by hand", "the type is not known before the code is generated")
	case b.Info()&types.IsComplex != 0:
		c.add(at, diag.PayloadComplex, "use two float64 fields", "%s is complex, which JSON cannot hold", c.name(t))
	case b.Kind() == types.Uintptr || b.Kind() == types.UnsafePointer:
		c.add(at, diag.PayloadPointer, "use uint64 for a number", "%s is an address, which means nothing in another process", c.name(t))
	}
}

func (c *Checker) mapKey(key types.Type, at place) {
	at = at.down("[key]")
	own := methodsOf(key)
	basic, ok := key.Underlying().(*types.Basic)
	switch isString := ok && basic.Info()&types.IsString != 0; {
	case isString && own.has(unmarshalText):
		// encoding/json writes the bare string and reads it through UnmarshalText.
		c.add(at, diag.PayloadMapKey, "use a plain string type as the key", "the key %s is written as a bare string and read through UnmarshalText", c.name(key))
	case isString:
	case own.has(marshalText) && own.has(unmarshalText):
		if own[marshalText].pointer {
			c.add(at, diag.PayloadMapKey, "give MarshalText a value receiver", "MarshalText of the key %s has a pointer receiver, so it is not called", c.name(key))
		}
	case ok && basic.Info()&types.IsInteger != 0 && basic.Kind() != types.Uintptr:
		if own.has(marshalText) || own.has(unmarshalText) {
			c.add(at, diag.PayloadMapKey, "write both MarshalText and UnmarshalText", "the key %s has only one of MarshalText and UnmarshalText", c.name(key))
		}
	default:
		c.add(at, diag.PayloadMapKey, "use a string or integer key, or give the type MarshalText and UnmarshalText",
			"the key %s cannot be the name of a JSON field", c.name(key))
	}
}

func (c *Checker) structure(t types.Type, s *types.Struct, at place) {
	for i := range s.NumFields() {
		f := s.Field(i)
		tag, problem := ParseTag(reflect.StructTag(s.Tag(i)))
		at := c.field(at, f.Name(), f)
		switch {
		case tag.Skip || f.Name() == "_":
			continue
		case problem != "":
			c.add(at, diag.PayloadTag, "write the tag as encoding/json reads it", "%s", problem)
		case f.Embedded() && !f.Exported():
			if !c.embedded(f, tag, at) {
				continue
			}
		case !f.Exported():
			fix := "export the field, or tag it `json:\"-\"` to say that it is not kept"
			if !c.Local(f.Pkg()) {
				fix = "use another type, or tag the field that holds it `json:\"-\"` to say that it is not kept"
			}
			c.add(at, diag.PayloadUnexported, fix, "the field is unexported, so JSON loses it")
			continue
		}
		if tag.String && HowOf(f.Type()) != ByKind && TypeName(f.Type()) != "encoding/json.Number" {
			c.add(at, diag.PayloadTag, "leave the option string out", "encoding/json cannot read the tag option string back on a type with its own marshaler")
		}
		if f.Embedded() && tag.Name == "" && len(methodsOf(f.Type())) > 0 && isStruct(f.Type()) {
			// The methods of two embedded fields hide each other, or else the struct itself had them.
			c.add(at, diag.PayloadPromoted, "make it a field with a name", "JSON looks through the embedded field and does not call its marshaler")
			continue
		}
		c.walk(f.Type(), at)
	}
	for _, clash := range Fields(s).Lost {
		at := c.field(at, clash.Path(), clash.Var)
		what := "the JSON name %q is taken by the field %s, so JSON loses this one"
		if clash.Both {
			what = "the JSON name %q is also that of the field %s, so JSON loses both"
		}
		c.add(at, diag.PayloadDuplicate, "give one of them another json tag, or `json:\"-\"`", what, clash.Name, clash.Winner.Path())
	}
}

// field goes down to a field. Only a field that the user can change is pointed at; else the last one above it is.
func (c *Checker) field(at place, name string, f *types.Var) place {
	at.path += "." + name
	if c.Local(f.Pkg()) {
		at.field = f.Pos()
	}
	return at
}

// embedded judges an embedded field of unexported type and reports whether its own fields are promoted.
func (c *Checker) embedded(f *types.Var, tag Tag, at place) bool {
	t := types.Unalias(f.Type())
	p, pointer := t.(*types.Pointer)
	if pointer {
		t = p.Elem()
	}
	switch {
	case !isStruct(t) || tag.Name != "":
		c.add(at, diag.PayloadUnexported, "make it a field with an exported name", "the embedded field is unexported, so JSON loses it")
		return false
	case pointer:
		c.add(at, diag.PayloadEmbedded, "embed the struct itself, or export its type", "an embedded pointer to an unexported struct cannot be decoded")
		return false
	}
	return true
}

// TypeName returns path.Name of a named type, and nothing for others.
func TypeName(t types.Type) string {
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil {
		return named.Obj().Pkg().Path() + "." + named.Obj().Name()
	}
	return ""
}

func isStruct(t types.Type) bool {
	_, ok := t.Underlying().(*types.Struct)
	return ok
}

func (c *Checker) add(at place, slug diag.Slug, fix, what string, args ...any) {
	if at.field.IsValid() {
		id := complaint{slug, at.field}
		if c.reported[id] {
			return
		}
		if c.reported == nil {
			c.reported = map[complaint]bool{}
		}
		c.reported[id] = true
	}
	p := diag.New(c.pos, slug, fix, "payload %s: "+what, append([]any{at.path}, args...)...)
	if at.field.IsValid() {
		p = p.With(at.field, "the field is declared here")
	}
	c.out = append(c.out, p)
}

func (c *Checker) name(t types.Type) string {
	if named, ok := types.Unalias(t).(interface{ Obj() *types.TypeName }); ok && named.Obj().Pkg() == nil {
		return named.Obj().Name()
	}
	return types.TypeString(t, func(p *types.Package) string {
		if p == c.from {
			return ""
		}
		return p.Name()
	})
}
