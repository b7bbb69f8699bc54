package absurdgen

import (
	"encoding/json"
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"github.com/dave/jennifer/jen"
)

// appendFunc writes the function that appends a composite type.
func (c *codecs) appendFunc(t types.Type) jen.Code {
	body := func(g *jen.Group) {
		elem := func() *jen.Statement { return jen.Parens(jen.Op("*").Id("v")).Index(jen.Id("i")) }
		switch u := t.Underlying().(type) {
		case *types.Struct:
			c.appendStruct(g, u)
			return
		case *types.Pointer:
			c.appendNull(g)
			c.appendValue(g, func() *jen.Statement { return jen.Parens(jen.Op("**").Id("v")) }, u.Elem(), false, returnErr)
			g.Return(jen.Id("dst"), jen.Nil())
			return
		case *types.Slice:
			c.appendNull(g)
			c.appendElems(g, elem, u.Elem())
		case *types.Array:
			c.appendElems(g, elem, u.Elem())
		case *types.Map:
			c.appendNull(g)
			c.appendMap(g, u)
		}
	}
	return jen.Func().Id("append"+c.functions(t)).Params(jen.Id("dst").Index().Byte(), jen.Id("v").Op("*").Add(goType(t, c.unit.types))).
		Params(jen.Index().Byte(), jen.Error()).BlockFunc(func(g *jen.Group) {
		if c.mayFail(t) {
			g.Var().Id("err").Error()
		}
		body(g)
	})
}

func returnErr() jen.Code { return jen.Return(jen.Id("dst"), jen.Id("err")) }

// mayFail reports whether the function of a composite type has a statement with an error.
func (c *codecs) mayFail(t types.Type) bool {
	fails := func(t types.Type) bool {
		switch c.form(t) {
		case formBytes:
			return false
		case formBasic:
			return t.Underlying().(*types.Basic).Info()&types.IsFloat != 0
		}
		return true
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return fails(u.Elem())
	case *types.Slice:
		return fails(u.Elem())
	case *types.Array:
		return fails(u.Elem())
	case *types.Map:
		return fails(u.Elem())
	case *types.Struct:
		for _, f := range payload.Fields(u).Kept {
			elem := f.Var.Type()
			if p, ok := quotedPointer(elem); ok && f.Tag.String {
				elem = p.Elem()
			}
			if fails(elem) {
				return true
			}
		}
	}
	return false
}

func (c *codecs) appendNull(g *jen.Group) {
	g.If(jen.Op("*").Id("v").Op("==").Nil()).Block(jen.Return(jen.Append(jen.Id("dst"), jen.Lit("null").Op("...")), jen.Nil()))
}

func appendText(g *jen.Group, text string) {
	if len(text) == 1 {
		g.Id("dst").Op("=").Append(jen.Id("dst"), jen.LitRune(rune(text[0])))
		return
	}
	g.Id("dst").Op("=").Append(jen.Id("dst"), rawLit(text).Op("..."))
}

func (c *codecs) appendElems(g *jen.Group, elem func() *jen.Statement, t types.Type) {
	appendText(g, "[")
	g.For(jen.Id("i").Op(":=").Range().Op("*").Id("v")).BlockFunc(func(g *jen.Group) {
		comma(g)
		c.appendValue(g, elem, t, false, returnErr)
	})
	g.Return(jen.Append(jen.Id("dst"), jen.LitRune(']')), jen.Nil())
}

func comma(g *jen.Group) {
	g.If(jen.Id("i").Op(">").Lit(0)).BlockFunc(func(g *jen.Group) { appendText(g, ",") })
}

func (c *codecs) appendMap(g *jen.Group, m *types.Map) {
	key, byText := jen.Id("k"), c.form(m.Key()) == formText
	keys := jen.Qual(codecPath, "SortedKeys")
	switch b, _ := m.Key().Underlying().(*types.Basic); {
	case b != nil && b.Info()&types.IsString != 0:
		byText = false
	case byText:
		key = jen.Id("k").Dot("Key")
		g.List(jen.Id("keys"), jen.Err()).Op(":=").Qual(codecPath, "SortedTexts").Call(jen.Op("*").Id("v"))
		g.If(jen.Err().Op("!=").Nil()).Block(returnErr())
	default:
		keys = jen.Qual(codecPath, "SortedInts")
	}
	list := jen.Id("keys")
	if !byText {
		g.Var().Id("buf").Index(jen.Lit(16)).Add(goType(m.Key(), c.unit.types))
		list = keys.Call(jen.Id("buf").Index(jen.Empty(), jen.Lit(0)), jen.Op("*").Id("v"))
	}
	appendText(g, "{")
	g.For(jen.List(jen.Id("i"), jen.Id("k")).Op(":=").Range().Add(list)).BlockFunc(func(g *jen.Group) {
		comma(g)
		switch b, _ := m.Key().Underlying().(*types.Basic); {
		case byText:
			g.Id("dst").Op("=").Qual(codecPath, "AppendString").Call(jen.Id("dst"), jen.Id("k").Dot("Text"))
		case b.Info()&types.IsString != 0:
			c.appendBasic(g, func() *jen.Statement { return jen.Id("k") }, m.Key(), nil)
		default:
			appendText(g, `"`)
			c.appendBasic(g, func() *jen.Statement { return jen.Id("k") }, m.Key(), nil)
			appendText(g, `"`)
		}
		appendText(g, ":")
		g.Id("e").Op(":=").Parens(jen.Op("*").Id("v")).Index(key)
		c.appendValue(g, func() *jen.Statement { return jen.Id("e") }, m.Elem(), false, returnErr)
	})
	g.Return(jen.Append(jen.Id("dst"), jen.LitRune('}')), jen.Nil())
}

// appendStruct writes the fields one after another. Names and braces between fields that are always written are joined.
func (c *codecs) appendStruct(g *jen.Group, s *types.Struct) {
	pending, sure := "{", false // text not yet written; whether a field is surely written already
	maybe := false              // whether one may be
	for _, f := range payload.Fields(s).Kept {
		if a, ok := f.Var.Type().Underlying().(*types.Array); ok && a.Len() == 0 && f.Tag.OmitEmpty {
			continue // always empty
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			panic(err) // a string is always JSON
		}
		label := string(name) + ":"
		value := func() *jen.Statement { return jen.Id("v").Add(dots(f)) }
		cond := c.present(f)
		if cond == nil {
			switch {
			case sure:
				label = "," + label
			case maybe:
				commaIfAny(g)
			}
			appendText(g, pending+label)
			pending = ""
			c.appendValue(g, value, f.Var.Type(), f.Tag.String, returnErr)
			sure = true
			continue
		}
		if pending != "" {
			appendText(g, pending)
			pending = ""
		}
		g.If(cond).BlockFunc(func(g *jen.Group) {
			if sure {
				label = "," + label
			} else if maybe {
				commaIfAny(g)
			}
			appendText(g, label)
			c.appendValue(g, value, f.Var.Type(), f.Tag.String, returnErr)
		})
		maybe = true
	}
	if pending != "" {
		appendText(g, pending)
	}
	g.Return(jen.Append(jen.Id("dst"), jen.LitRune('}')), jen.Nil())
}

// commaIfAny separates a field from the one before, when there was one. No value ends in an opening brace.
func commaIfAny(g *jen.Group) {
	g.If(jen.Id("dst").Index(jen.Len(jen.Id("dst")).Op("-").Lit(1)).Op("!=").LitRune('{')).BlockFunc(func(g *jen.Group) { appendText(g, ",") })
}

func dots(f payload.Field) *jen.Statement {
	s := &jen.Statement{}
	for _, v := range f.Way {
		s.Dot(v.Name())
	}
	return s
}

// present is the condition under which a field is written, or nil for always.
func (c *codecs) present(f payload.Field) *jen.Statement {
	var conds []jen.Code
	way := jen.Id("v")
	for _, v := range f.Way[:len(f.Way)-1] {
		way = way.Clone().Dot(v.Name())
		if isPointer(v.Type()) {
			conds = append(conds, way.Clone().Op("!=").Nil())
		}
	}
	value := func() *jen.Statement { return jen.Id("v").Add(dots(f)) }
	if f.Tag.OmitEmpty {
		if cond := notEmpty(value, f.Var.Type()); cond != nil {
			conds = append(conds, cond)
		}
	}
	if f.Tag.OmitZero {
		conds = append(conds, c.notZero(value, f.Var.Type()))
	}
	if len(conds) == 0 {
		return nil
	}
	all := &jen.Statement{}
	for i, cond := range conds {
		if i > 0 {
			all.Op("&&")
		}
		all.Add(cond)
	}
	return all
}

// notEmpty is the rule of omitempty. Structs are never empty.
func notEmpty(value func() *jen.Statement, t types.Type) jen.Code {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsBoolean != 0:
			return value()
		case u.Info()&types.IsString != 0:
			return value().Op("!=").Lit("")
		}
		return value().Op("!=").Lit(0)
	case *types.Slice, *types.Map:
		return jen.Len(value()).Op(">").Lit(0)
	case *types.Pointer:
		return value().Op("!=").Nil()
	}
	return nil
}

// notZero is the rule of omitzero: a type's own IsZero, or else the zero value.
func (c *codecs) notZero(value func() *jen.Statement, t types.Type) jen.Code {
	obj, _, _ := types.LookupFieldOrMethod(t, true, c.unit.types, "IsZero")
	if fn, ok := obj.(*types.Func); ok && fn.Exported() {
		sig := fn.Signature()
		if sig.Params().Len() == 0 && sig.Results().Len() == 1 && types.Identical(sig.Results().At(0).Type(), types.Typ[types.Bool]) {
			own := jen.Op("!").Add(value()).Dot("IsZero").Call()
			if isPointer(t) {
				return value().Op("!=").Nil().Op("&&").Add(own)
			}
			return own
		}
	}
	switch t.Underlying().(type) {
	case *types.Slice, *types.Map, *types.Pointer:
		return value().Op("!=").Nil()
	case *types.Basic:
		return notEmpty(value, t)
	}
	if types.Comparable(t) {
		return value().Op("!=").Parens(goType(t, c.unit.types).Values())
	}
	return jen.Op("!").Qual(codecPath, "IsZero").Call(jen.Op("&").Add(value()))
}

// quotedPointer returns the pointer type that the tag option string looks through.
func quotedPointer(t types.Type) (*types.Pointer, bool) {
	p, ok := types.Unalias(t).(*types.Pointer)
	if !ok {
		return nil, false
	}
	_, ok = p.Elem().Underlying().(*types.Basic)
	return p, ok
}

// appendValue writes a value. quoted is the tag option string, which counts only for bools, numbers and strings; fail is the
// statement that leaves with an error.
func (c *codecs) appendValue(g *jen.Group, value func() *jen.Statement, t types.Type, quoted bool, fail func() jen.Code) {
	try := func(call *jen.Statement) {
		g.If(jen.List(jen.Id("dst"), jen.Err()).Op("=").Add(call), jen.Err().Op("!=").Nil()).Block(fail())
	}
	lib := func(name string, v *jen.Statement) *jen.Statement {
		return jen.Qual(codecPath, name).Call(jen.Id("dst"), v)
	}
	if p, ok := quotedPointer(t); ok && quoted {
		g.If(value().Op("==").Nil()).BlockFunc(func(g *jen.Group) { appendText(g, "null") }).Else().BlockFunc(func(g *jen.Group) {
			c.appendValue(g, func() *jen.Statement { return jen.Op("*").Add(value()) }, p.Elem(), true, fail)
		})
		return
	}
	switch c.form(t) {
	case formTime:
		try(lib("AppendTime", value()))
	case formNumber:
		if quoted {
			appendText(g, `"`)
		}
		try(lib("AppendNumber", value()))
		if quoted {
			appendText(g, `"`)
		}
	case formJSON:
		try(lib("AppendMarshaler", jen.Op("&").Add(value())))
	case formText:
		try(lib("AppendText", jen.Op("&").Add(value())))
	case formAny:
		try(lib("AppendAny", jen.Op("&").Add(value())))
	case formBytes:
		g.Id("dst").Op("=").Add(lib("AppendBytes", value()))
	case formFunc:
		try(jen.Id("append"+c.functions(t)).Call(jen.Id("dst"), jen.Op("&").Add(value())))
	case formBasic:
		b := t.Underlying().(*types.Basic)
		isString := b.Info()&types.IsString != 0
		if quoted && isString {
			g.Id("dst").Op("=").Add(lib("AppendQuotedString", jen.String().Call(value())))
			return
		}
		if quoted {
			appendText(g, `"`)
		}
		c.appendBasic(g, value, t, try)
		if quoted {
			appendText(g, `"`)
		}
	}
}

// appendBasic writes a value of type t, which is a bool, number or string.
func (c *codecs) appendBasic(g *jen.Group, value func() *jen.Statement, t types.Type, try func(*jen.Statement)) {
	set := func(call *jen.Statement) { g.Id("dst").Op("=").Add(call) }
	as := func(kind types.BasicKind) *jen.Statement {
		if types.Identical(t, types.Typ[kind]) {
			return value()
		}
		return jen.Id(types.Typ[kind].Name()).Call(value())
	}
	b := t.Underlying().(*types.Basic)
	switch info := b.Info(); {
	case info&types.IsBoolean != 0:
		set(jen.Qual("strconv", "AppendBool").Call(jen.Id("dst"), as(types.Bool)))
	case info&types.IsString != 0:
		set(jen.Qual(codecPath, "AppendString").Call(jen.Id("dst"), as(types.String)))
	case info&types.IsUnsigned != 0:
		set(jen.Qual("strconv", "AppendUint").Call(jen.Id("dst"), as(types.Uint64), jen.Lit(10)))
	case info&types.IsInteger != 0:
		set(jen.Qual("strconv", "AppendInt").Call(jen.Id("dst"), as(types.Int64), jen.Lit(10)))
	case b.Kind() == types.Float32:
		try(jen.Qual(codecPath, "AppendFloat32").Call(jen.Id("dst"), as(types.Float32)))
	default:
		try(jen.Qual(codecPath, "AppendFloat64").Call(jen.Id("dst"), as(types.Float64)))
	}
}
