package absurdgen

import (
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dave/jennifer/jen"
)

// importNamer gives every package that a generated file mentions its name there: the package's own where that is free,
// which it is not when another import has it or the package declares it.
func importNamer(u *unit, generated map[string]bool, mentioned map[string]string) map[string]string {
	names := map[string]string{}
	taken := map[string]bool{}
	free := func(name string) bool {
		return token.IsIdentifier(name) && !jen.IsReservedWord(name) && !taken[name] && !generated[name] && !slices.Contains(locals, name) && u.types.Scope().Lookup(name) == nil
	}
	for _, p := range sortedKeys(mentioned) {
		own := mentioned[p]
		candidates := []string{own, identOf(path.Base(path.Dir(p))) + own}
		for n := 2; len(names[p]) == 0; n++ {
			if i := slices.IndexFunc(candidates, free); i >= 0 {
				names[p] = candidates[i]
				taken[names[p]] = true
			}
			candidates = []string{own + strconv.Itoa(n)}
		}
	}
	return names
}

func identOf(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimPrefix(text, "."))
}

// mentions collects the packages, with their names, that the Go text of t needs.
func mentions(t types.Type, from *types.Package, into map[string]string) {
	named := func(obj *types.TypeName, args *types.TypeList) {
		if obj.Pkg() != nil && obj.Pkg() != from {
			into[obj.Pkg().Path()] = obj.Pkg().Name()
		}
		for arg := range args.Types() {
			mentions(arg, from, into)
		}
	}
	switch t := t.(type) {
	case *types.Alias:
		named(t.Obj(), t.TypeArgs())
	case *types.Named:
		named(t.Obj(), t.TypeArgs())
	case *types.Pointer:
		mentions(t.Elem(), from, into)
	case *types.Slice:
		mentions(t.Elem(), from, into)
	case *types.Array:
		mentions(t.Elem(), from, into)
	case *types.Map:
		mentions(t.Key(), from, into)
		mentions(t.Elem(), from, into)
	case *types.Struct:
		for f := range t.Fields() {
			mentions(f.Type(), from, into)
		}
	}
}

// goType writes t as Go code of package from. Only types that a payload may have come here.
func goType(t types.Type, from *types.Package) *jen.Statement {
	named := func(obj *types.TypeName, args *types.TypeList) *jen.Statement {
		s := jen.Id(obj.Name())
		if obj.Pkg() != nil && obj.Pkg() != from {
			s = jen.Qual(obj.Pkg().Path(), obj.Name())
		}
		if args.Len() == 0 {
			return s
		}
		return s.TypesFunc(func(g *jen.Group) {
			for arg := range args.Types() {
				g.Add(goType(arg, from))
			}
		})
	}
	switch t := t.(type) {
	case *types.Alias:
		return named(t.Obj(), t.TypeArgs())
	case *types.Named:
		return named(t.Obj(), t.TypeArgs())
	case *types.Basic:
		return jen.Id(t.Name())
	case *types.Pointer:
		return jen.Op("*").Add(goType(t.Elem(), from))
	case *types.Slice:
		return jen.Index().Add(goType(t.Elem(), from))
	case *types.Array:
		return jen.Index(jen.Lit(int(t.Len()))).Add(goType(t.Elem(), from))
	case *types.Map:
		return jen.Map(goType(t.Key(), from)).Add(goType(t.Elem(), from))
	case *types.Struct:
		return jen.StructFunc(func(g *jen.Group) {
			for i := range t.NumFields() {
				f := t.Field(i)
				s := g.Null()
				if !f.Embedded() {
					s.Id(f.Name())
				}
				s.Add(goType(f.Type(), from))
				if tag := t.Tag(i); tag != "" {
					s.Op(strconv.Quote(tag))
				}
			}
		})
	}
	panic("absurdgen: a payload cannot be of type " + t.String())
}
