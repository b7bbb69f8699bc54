package absurdgen

import (
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"github.com/dave/jennifer/jen"
)

// A target is where a decoded value goes.
type target struct{ value, address func() *jen.Statement }

func variableTarget(name string) target {
	return target{
		value:   func() *jen.Statement { return jen.Id(name) },
		address: func() *jen.Statement { return jen.Op("&").Id(name) },
	}
}

// decodeFunc writes the function that decodes a composite type into a zero value.
func (c *codecs) decodeFunc(t types.Type) jen.Code {
	return jen.Func().Id("decode"+c.functions(t)).Params(jen.Id("d").Op("*").Qual(codecPath, "Decoder"), jen.Id("v").Op("*").Add(goType(t, c.unit.types))).
		BlockFunc(func(g *jen.Group) {
			switch u := t.Underlying().(type) {
			case *types.Struct:
				c.decodeStruct(g, u)
			case *types.Pointer:
				g.If(jen.Id("d").Dot("Null").Call()).Block(jen.Return())
				g.Id("p").Op(":=").New(goType(u.Elem(), c.unit.types))
				c.decodeValue(g, target{value: func() *jen.Statement { return jen.Op("*").Id("p") }, address: func() *jen.Statement { return jen.Id("p") }}, u.Elem())
				g.Op("*").Id("v").Op("=").Id("p")
			case *types.Slice:
				c.decodeSlice(g, t, u.Elem())
			case *types.Array:
				c.decodeArray(g, u)
			case *types.Map:
				c.decodeMap(g, t, u)
			}
		})
}

// forMore is the loop over fields or elements. The variable more says whether there is another.
func forMore(g *jen.Group, init jen.Code, next string, body func(g *jen.Group)) {
	g.For(init, jen.Id("more"), jen.Id("more").Op("=").Id("d").Dot(next).Call()).BlockFunc(body)
}

func (c *codecs) decodeStruct(g *jen.Group, s *types.Struct) {
	fields := payload.Fields(s).Kept
	var names []jen.Code
	for _, f := range fields {
		names = append(names, jen.Lit(f.Name))
	}
	seen := func(i int) *jen.Statement { return jen.Op("&").Id("seen") }
	switch words := (len(fields) + 63) / 64; {
	case words == 1:
		g.Var().Id("seen").Uint64()
	case words > 1:
		g.Var().Id("seen").Index(jen.Lit(words)).Uint64()
		seen = func(i int) *jen.Statement { return jen.Op("&").Id("seen").Index(jen.Lit(i / 64)) }
	}
	forMore(g, jen.Id("more").Op(":=").Id("d").Dot("Object").Call(), "NextField", func(g *jen.Group) {
		unknown := jen.Id("d").Dot("Unknown").Call(append([]jen.Code{jen.Id("key")}, names...)...)
		if len(fields) == 0 {
			g.Id("d").Dot("Unknown").Call(jen.Id("d").Dot("Key").Call())
			return
		}
		g.Switch(jen.Id("key").Op(":=").Id("d").Dot("Key").Call(), jen.String().Call(jen.Id("key"))).BlockFunc(func(g *jen.Group) {
			for i, f := range fields {
				g.Case(jen.Lit(f.Name)).BlockFunc(func(g *jen.Group) {
					g.Id("d").Dot("Once").Call(seen(i), jen.Lit(i%64))
					c.decodeField(g, f)
				})
			}
			g.Default().Block(unknown)
		})
	})
}

func (c *codecs) decodeField(g *jen.Group, f payload.Field) {
	way := jen.Id("v")
	for _, v := range f.Way[:len(f.Way)-1] {
		way = way.Clone().Dot(v.Name())
		if p, ok := v.Type().Underlying().(*types.Pointer); ok {
			g.If(way.Clone().Op("==").Nil()).Block(way.Clone().Op("=").New(goType(p.Elem(), c.unit.types)))
		}
	}
	to := target{
		value:   func() *jen.Statement { return jen.Id("v").Add(dots(f)) },
		address: func() *jen.Statement { return jen.Op("&").Id("v").Add(dots(f)) },
	}
	t := f.Var.Type()
	p, pointer := quotedPointer(t)
	_, basic := t.Underlying().(*types.Basic)
	if !f.Tag.String || !basic && !pointer {
		c.decodeValue(g, to, t)
		return
	}
	g.If(jen.List(jen.Id("inner"), jen.Id("ok")).Op(":=").Id("d").Dot("Quoted").Call(), jen.Id("ok")).BlockFunc(func(g *jen.Group) {
		g.List(jen.Id("outer"), jen.Id("d")).Op(":=").List(jen.Id("d"), jen.Op("&").Id("inner"))
		if pointer {
			g.If(jen.Op("!").Id("d").Dot("Null").Call()).BlockFunc(func(g *jen.Group) {
				g.Add(to.value().Op("=").New(goType(p.Elem(), c.unit.types)))
				c.decodeValue(g, target{value: func() *jen.Statement { return jen.Op("*").Add(to.value()) }, address: to.value}, p.Elem())
			})
		} else {
			c.decodeValue(g, to, t)
		}
		g.Id("outer").Dot("EndQuoted").Call(jen.Id("d"))
	})
}

func (c *codecs) decodeSlice(g *jen.Group, t, elem types.Type) {
	g.List(jen.Id("more"), jen.Id("null")).Op(":=").Id("d").Dot("Array").Call()
	g.If(jen.Id("null")).Block(jen.Return())
	g.Id("s").Op(":=").Add(goType(t, c.unit.types)).Values()
	forMore(g, jen.Empty(), "NextElem", func(g *jen.Group) {
		g.Var().Id("e").Add(goType(elem, c.unit.types))
		c.decodeValue(g, variableTarget("e"), elem)
		g.Id("s").Op("=").Append(jen.Id("s"), jen.Id("e"))
	})
	g.Op("*").Id("v").Op("=").Id("s")
}

func (c *codecs) decodeArray(g *jen.Group, a *types.Array) {
	g.Id("i").Op(":=").Lit(0)
	forMore(g, jen.List(jen.Id("more"), jen.Id("_")).Op(":=").Id("d").Dot("Array").Call(), "NextElem", func(g *jen.Group) {
		elem := func() *jen.Statement { return jen.Parens(jen.Op("*").Id("v")).Index(jen.Id("i")) }
		g.If(jen.Id("i").Op("<").Len(jen.Id("v"))).BlockFunc(func(g *jen.Group) {
			c.decodeValue(g, target{value: elem, address: func() *jen.Statement { return jen.Op("&").Add(elem()) }}, a.Elem())
		}).Else().Block(jen.Id("d").Dot("Skip").Call())
		g.Id("i").Op("++")
	})
}

func (c *codecs) decodeMap(g *jen.Group, t types.Type, m *types.Map) {
	g.List(jen.Id("more"), jen.Id("null")).Op(":=").Id("d").Dot("Map").Call()
	g.If(jen.Id("null")).Block(jen.Return())
	g.Id("m").Op(":=").Add(goType(t, c.unit.types)).Values()
	forMore(g, jen.Empty(), "NextField", func(g *jen.Group) {
		key := goType(m.Key(), c.unit.types)
		b, _ := m.Key().Underlying().(*types.Basic)
		switch {
		case b != nil && b.Info()&types.IsString != 0:
			g.Id("k").Op(":=").Add(key).Call(jen.Id("d").Dot("Key").Call())
		default:
			g.Var().Id("k").Add(key)
			key := jen.Id("d").Dot("Key").Call()
			switch {
			case c.form(m.Key()) == formText || b == nil:
				g.Id("d").Dot("TextKey").Call(key, jen.Op("&").Id("k"))
			case b.Info()&types.IsUnsigned != 0:
				g.Qual(codecPath, "UintKey").Call(jen.Id("d"), key, jen.Op("&").Id("k"))
			default:
				g.Qual(codecPath, "IntKey").Call(jen.Id("d"), key, jen.Op("&").Id("k"))
			}
		}
		g.If(jen.List(jen.Id("_"), jen.Id("ok")).Op(":=").Id("m").Index(jen.Id("k")), jen.Id("ok")).Block(jen.Id("d").Dot("Duplicate").Call())
		g.Var().Id("e").Add(goType(m.Elem(), c.unit.types))
		c.decodeValue(g, variableTarget("e"), m.Elem())
		g.Id("m").Index(jen.Id("k")).Op("=").Id("e")
	})
	g.Op("*").Id("v").Op("=").Id("m")
}

// decodeValue reads a value from d.
func (c *codecs) decodeValue(g *jen.Group, to target, t types.Type) {
	method := func(name string) { g.Id("d").Dot(name).Call(to.address()) }
	// as reads a type by another name as the plain one.
	as := func(name string, plain types.Type, typ *jen.Statement) {
		if types.Identical(t, plain) {
			method(name)
			return
		}
		g.Id("d").Dot(name).Call(jen.Parens(jen.Op("*").Add(typ)).Parens(to.address()))
	}
	switch c.form(t) {
	case formTime:
		method("Time")
	case formNumber:
		method("Number")
	case formJSON:
		method("Unmarshaler")
	case formText:
		method("Text")
	case formAny:
		method("Any")
	case formBytes:
		as("Bytes", types.NewSlice(types.Typ[types.Byte]), jen.Index().Byte())
	case formFunc:
		g.Id("decode"+c.functions(t)).Call(jen.Id("d"), to.address())
	case formBasic:
		switch b := t.Underlying().(*types.Basic); {
		case b.Info()&types.IsBoolean != 0:
			as("Bool", types.Typ[types.Bool], jen.Bool())
		case b.Info()&types.IsString != 0:
			as("String", types.Typ[types.String], jen.String())
		case b.Info()&types.IsUnsigned != 0:
			g.Qual(codecPath, "Uint").Call(jen.Id("d"), to.address())
		case b.Info()&types.IsInteger != 0:
			g.Qual(codecPath, "Int").Call(jen.Id("d"), to.address())
		default:
			g.Qual(codecPath, "Float").Call(jen.Id("d"), to.address())
		}
	}
}
