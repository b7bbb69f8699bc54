package absurdgen

import (
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/dave/jennifer/jen"
)

// register declares Deps, where there are receivers, and Register.
func (e emitter) register(file *jen.File) {
	taken := map[string]bool{}
	for _, h := range e.handles() {
		if h.fn != nil && h.receiver == nil {
			taken[h.fn.Name.Name] = true
		}
	}
	registry, deps := unused("r", taken), unused("d", taken)
	params := []jen.Code{jen.Id(registry).Op("*").Qual(runtimePath, "Registry")}
	if len(e.deps) > 0 {
		params = append(params, jen.Id(deps).Id(depsName))
		file.Line()
		file.Comment("// Deps holds the receivers of this package's annotated methods. All of them are needed.")
		file.Type().Id(depsName).StructFunc(func(g *jen.Group) {
			for _, d := range e.deps {
				g.Id(d.field).Op("*").Id(d.typ.Obj().Name())
			}
		})
	}
	file.Line()
	file.Comment("// " + registerName + " binds this package's workflows and steps to " + registry + ".")
	file.Func().Id(registerName).Params(params...).Error().BlockFunc(func(g *jen.Group) {
		for _, d := range e.deps {
			g.If(jen.Id(deps).Dot(d.field).Op("==").Nil()).Block(
				jen.Return(jen.Qual(runtimePath, "MissingDependency").Call(jen.Lit(e.pkg.name + "." + depsName + "." + d.field))))
		}
		g.Return(jen.Id(registry).Dot("Add").CustomFunc(jen.Options{Open: "(", Close: ")", Separator: ",", Multi: true}, func(g *jen.Group) {
			for _, h := range e.handles() {
				if h.fn == nil {
					continue
				}
				fn := jen.Id(h.fn.Name.Name)
				if h.receiver != nil {
					fn = jen.Id(deps).Dot(directive.Raise(h.receiver.Obj().Name())).Dot(h.fn.Name.Name)
				}
				bind := "Bind"
				if h.isTx() {
					bind = "BindTx"
				}
				g.Id(h.handle).Dot(bind).Call(fn)
			}
		}))
	})
}

// fakes declares what tests bind in place of the steps. It needs none of the receivers.
func (e emitter) fakes(file *jen.File) {
	file.Line()
	file.Comment("// " + fakesName + " stands in for this package's steps in tests. A step whose fake is nil fails when it is called.")
	file.Type().Id(fakesName).StructFunc(func(g *jen.Group) {
		for _, h := range e.steps {
			params := []jen.Code{jen.Qual("context", "Context")}
			if h.in != nil {
				params = append(params, goType(h.in, e.types))
			}
			results := jen.Error()
			if h.out != nil {
				results = jen.Params(goType(h.out, e.types), jen.Error())
			}
			g.Id(h.handle).Func().Params(params...).Add(results)
		}
	})
	taken := map[string]bool{}
	for _, h := range e.flows {
		taken[h.fn.Name.Name] = true
	}
	fakes, registry := unused("f", taken), unused("r", taken)
	file.Line()
	file.Comment("// " + registerName + " binds this package's workflows, and the fakes in place of its steps, to " + registry + ".")
	file.Func().Params(jen.Id(fakes).Id(fakesName)).Id(registerName).Params(jen.Id(registry).Op("*").Qual(runtimePath, "Registry")).Error().Block(
		jen.Return(jen.Id(registry).Dot("Add").CustomFunc(jen.Options{Open: "(", Close: ")", Separator: ",", Multi: true}, func(g *jen.Group) {
			for _, h := range e.steps {
				g.Id(h.handle).Dot("Bind").Call(jen.Id(fakes).Dot(h.handle))
			}
			for _, h := range e.flows {
				g.Id(h.handle).Dot("Bind").Call(jen.Id(h.fn.Name.Name))
			}
		})),
	)
}

// unused returns a parameter name that hides none of the functions that are bound.
func unused(name string, taken map[string]bool) string {
	for taken[name] {
		name += "_"
	}
	return name
}
