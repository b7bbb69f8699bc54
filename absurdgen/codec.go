package absurdgen

import (
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"github.com/dave/jennifer/jen"
	"golang.org/x/tools/go/types/typeutil"
)

// codecPath is the package that generated codecs are written against.
const codecPath = runtimePath + "/codec"

// codecs writes the payload codecs of one package: for every payload type a variable, and for every type inside that is not
// a plain value two functions, one that appends and one that decodes.
type codecs struct {
	unit  *unit
	names typeutil.Map // type to the name of its functions
	taken map[string]bool
	todo  []types.Type    // named and not yet written
	vars  [2]typeutil.Map // payload type to the name of its variable, which ignores unknown fields or refuses them
	roots []codecVar      // in order of use
}

// A codecVar is one variable to declare.
type codecVar struct {
	of     types.Type
	strict bool // it refuses unknown fields
	name   string
}

func newCodecs(u *unit, generated map[string]bool) *codecs {
	c := &codecs{unit: u, taken: map[string]bool{}}
	for name := range generated {
		c.taken[name] = true
	}
	return c
}

// locals are the names inside generated functions. No import may have one of them.
var locals = strings.Fields("buf d dst e err i in inner k key m more null p r s seen src start v")

// variable returns the name of the codec of a payload type.
func (c *codecs) variable(t types.Type, strict bool) string {
	vars, prefix := &c.vars[0], "codec"
	if strict {
		vars, prefix = &c.vars[1], "codecStrict"
	}
	if name, ok := vars.At(t).(string); ok {
		return name
	}
	name := c.free(prefix + c.ident(t))
	vars.Set(t, name)
	c.roots = append(c.roots, codecVar{t, strict, name})
	return name
}

// functions returns the suffix of the two functions of a composite type.
func (c *codecs) functions(t types.Type) string {
	if name, ok := c.names.At(t).(string); ok {
		return name
	}
	base := c.ident(t)
	name := base
	for n := 2; !c.isFree("append"+name) || !c.isFree("decode"+name); n++ {
		name = base + strconv.Itoa(n)
	}
	c.taken["append"+name], c.taken["decode"+name] = true, true
	c.names.Set(t, name)
	c.todo = append(c.todo, t)
	return name
}

func (c *codecs) free(base string) string {
	name := base
	for n := 2; !c.isFree(name); n++ {
		name = base + strconv.Itoa(n)
	}
	c.taken[name] = true
	return name
}

func (c *codecs) isFree(name string) bool {
	return !c.taken[name] && c.unit.types.Scope().Lookup(name) == nil
}

// ident is a readable word for a type.
func (c *codecs) ident(t types.Type) string {
	named := func(obj *types.TypeName, args *types.TypeList) string {
		name := directive.Raise(obj.Name())
		if obj.Pkg() != nil && obj.Pkg() != c.unit.types {
			name = directive.Raise(obj.Pkg().Name()) + name
		}
		for arg := range args.Types() {
			name += c.ident(arg)
		}
		return name
	}
	switch t := t.(type) {
	case *types.Alias:
		return c.ident(types.Unalias(t))
	case *types.Named:
		return named(t.Obj(), t.TypeArgs())
	case *types.Basic:
		return directive.Raise(t.Name())
	case *types.Pointer:
		return "Ptr" + c.ident(t.Elem())
	case *types.Slice:
		return "Slice" + c.ident(t.Elem())
	case *types.Array:
		return "Array" + strconv.FormatInt(t.Len(), 10) + c.ident(t.Elem())
	case *types.Map:
		return "Map" + c.ident(t.Key()) + c.ident(t.Elem())
	}
	return "Struct"
}

// A form is how generated code treats a type.
type form int

const (
	formBasic  form = iota // a bool, number or string
	formBytes              // a byte slice
	formTime               // time.Time
	formNumber             // json.Number
	formJSON               // its own MarshalJSON and UnmarshalJSON
	formText               // its own MarshalText and UnmarshalText
	formFunc               // functions of its own
	formAny                // by reflection, because it cannot be named here
)

func (c *codecs) form(t types.Type) form {
	switch payload.TypeName(t) {
	case "time.Time":
		return formTime
	case "encoding/json.Number":
		return formNumber
	}
	switch payload.HowOf(t) {
	case payload.ByJSON:
		return formJSON
	case payload.ByText:
		return formText
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return formBasic
	case *types.Slice:
		if types.Identical(u.Elem(), types.Typ[types.Byte]) {
			return formBytes
		}
		if isByteKind(u.Elem()) || !c.nameable(u.Elem()) {
			return formAny
		}
	case *types.Array:
		if !c.nameable(u.Elem()) {
			return formAny
		}
	case *types.Pointer:
		if !c.nameable(u.Elem()) {
			return formAny
		}
	case *types.Map:
		if !c.nameable(u.Key()) || !c.nameable(u.Elem()) {
			return formAny
		}
	case *types.Struct:
		for _, f := range payload.Fields(u).Kept {
			if !c.reachable(f) {
				return formAny
			}
		}
	}
	if !c.nameable(t) {
		return formAny
	}
	return formFunc
}

// isByteKind reports whether t is a byte by another name, which encoding/json writes as base64 too.
func isByteKind(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.Byte
}

// reachable reports whether every field on the way to f can be written down in this package.
func (c *codecs) reachable(f payload.Field) bool {
	for _, v := range f.Way {
		if !v.Exported() && v.Pkg() != c.unit.types {
			return false
		}
	}
	for _, v := range f.Way[:len(f.Way)-1] {
		if p, ok := v.Type().Underlying().(*types.Pointer); ok && !c.nameable(p.Elem()) {
			return false
		}
	}
	return true
}

// nameable reports whether this package can write the type down: all names in it are exported or its own, and their
// packages may be imported.
func (c *codecs) nameable(t types.Type) bool {
	named := func(obj *types.TypeName, args *types.TypeList) bool {
		if obj.Pkg() != nil && obj.Pkg() != c.unit.types && (!token.IsExported(obj.Name()) || !importable(obj.Pkg().Path(), c.unit.types.Path())) {
			return false
		}
		if obj.Parent() != nil && obj.Pkg() != nil && obj.Parent() != obj.Pkg().Scope() {
			return false // declared in a function
		}
		for arg := range args.Types() {
			if !c.nameable(arg) {
				return false
			}
		}
		return true
	}
	switch t := t.(type) {
	case *types.Alias:
		return named(t.Obj(), t.TypeArgs())
	case *types.Named:
		return named(t.Obj(), t.TypeArgs())
	case *types.Pointer:
		return c.nameable(t.Elem())
	case *types.Slice:
		return c.nameable(t.Elem())
	case *types.Array:
		return c.nameable(t.Elem())
	case *types.Map:
		return c.nameable(t.Key()) && c.nameable(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if !f.Exported() && f.Pkg() != c.unit.types || !c.nameable(f.Type()) {
				return false
			}
		}
	}
	return true
}

// importable applies the rule for internal packages.
func importable(path, from string) bool {
	whole := "/" + path + "/"
	i := strings.LastIndex(whole, "/internal/")
	if i < 0 {
		return true
	}
	parent := strings.TrimPrefix(whole[:i], "/")
	return parent != "" && (from == parent || strings.HasPrefix(from, parent+"/"))
}

// mentioned adds the packages that the codecs import. It walks the types that write will reach.
func (c *codecs) mentioned(into map[string]string) {
	if len(c.roots) > 0 {
		into[codecPath] = "codec"
	}
	walk := typeutil.Map{}
	var visit func(t types.Type)
	visit = func(t types.Type) {
		if walk.Set(t, true) != nil {
			return
		}
		form := c.form(t)
		if form == formBasic {
			into["strconv"] = "strconv"
		}
		if form != formFunc {
			return
		}
		mentions(t, c.unit.types, into)
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			mentions(u.Elem(), c.unit.types, into)
			visit(u.Elem())
		case *types.Slice:
			mentions(u.Elem(), c.unit.types, into)
			visit(u.Elem())
		case *types.Array:
			visit(u.Elem())
		case *types.Map:
			into["strconv"] = "strconv"
			mentions(u.Key(), c.unit.types, into)
			mentions(u.Elem(), c.unit.types, into)
			visit(u.Elem())
		case *types.Struct:
			for _, f := range payload.Fields(u).Kept {
				for _, v := range f.Way[:len(f.Way)-1] {
					mentions(v.Type(), c.unit.types, into)
				}
				mentions(f.Var.Type(), c.unit.types, into)
				visit(f.Var.Type())
			}
		}
	}
	for _, v := range c.roots {
		mentions(v.of, c.unit.types, into)
		visit(v.of)
	}
}

// write declares the variables and functions.
func (c *codecs) write(file *jen.File) {
	for _, v := range c.roots {
		file.Line()
		file.Add(c.declare(v))
	}
	for len(c.todo) > 0 {
		t := c.todo[0]
		c.todo = c.todo[1:]
		file.Line()
		file.Add(c.appendFunc(t))
		file.Line()
		file.Add(c.decodeFunc(t))
	}
}

// declare is the variable of one payload type.
func (c *codecs) declare(v codecVar) jen.Code {
	t, decoder := v.of, "NewDecoder"
	if v.strict {
		decoder = "NewStrictDecoder"
	}
	typ := func() *jen.Statement { return goType(t, c.unit.types) }
	name := types.TypeString(t, func(p *types.Package) string { return p.Name() })
	return jen.Var().Id(v.name).Op("=").Qual(codecPath, "Codec").Types(typ()).Values(jen.Dict{
		jen.Id("Append"): jen.Func().Params(jen.Id("dst").Index().Byte(), jen.Id("v").Add(typ())).Params(jen.Index().Byte(), jen.Error()).BlockFunc(func(g *jen.Group) {
			g.Id("start").Op(":=").Len(jen.Id("dst"))
			g.Var().Id("err").Error()
			c.appendValue(g, func() *jen.Statement { return jen.Id("v") }, t, false, func() jen.Code {
				return jen.Return(jen.Qual(codecPath, "Finish").Call(jen.Id("dst"), jen.Id("start"), jen.Lit(name), jen.Id("err")))
			})
			g.Return(jen.Qual(codecPath, "Finish").Call(jen.Id("dst"), jen.Id("start"), jen.Lit(name), jen.Id("err")))
		}),
		jen.Id("Decode"): jen.Func().Params(jen.Id("src").Index().Byte(), jen.Id("v").Op("*").Add(typ())).Error().BlockFunc(func(g *jen.Group) {
			g.Id("in").Op(":=").Qual(codecPath, decoder).Call(jen.Id("src"))
			g.Id("d").Op(":=").Op("&").Id("in")
			c.decodeValue(g, target{value: func() *jen.Statement { return jen.Op("*").Id("v") }, address: func() *jen.Statement { return jen.Id("v") }}, t)
			g.Return(jen.Id("d").Dot("Finish").Call(jen.Lit(name)))
		}),
		jen.Id("Fingerprint"): jen.Lit(fingerprint(t)),
		jen.Id("Schema"):      rawLit(newShape(t, v.strict).schema()),
	})
}

// rawLit writes text in the quotes that need the fewest escapes.
func rawLit(text string) *jen.Statement {
	if strconv.CanBackquote(text) {
		return jen.Op("`" + text + "`")
	}
	return jen.Lit(text)
}
