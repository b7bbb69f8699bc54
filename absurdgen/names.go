package absurdgen

import (
	"cmp"
	"go/token"
	"maps"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
)

// Names that generated code declares beside the handles.
const (
	depsName     = "Deps"
	fakesName    = "Fakes"
	registerName = "Register"
)

// handleName is the name that a declaration's handle gets, by syntax alone. It is empty where as= is needed.
func handleName(d *decl) string {
	if as := d.as(); as != "" {
		return as
	}
	name := d.name().Name
	raised := directive.Raise(name)
	switch {
	case !token.IsExported(raised):
		return ""
	case d.spec != nil:
		return raised + directive.Raise(d.d.Verb)
	case raised == name && d.fn.Recv == nil:
		return "" // the function itself has the name
	}
	return raised
}

func (d *decl) as() string { return string(directive.Get[directive.Handle](d.d, "as")) }

// suggested is an as= that is likely to be free.
func (d *decl) suggested() string {
	suffix := directive.Raise(d.d.Verb)
	if d.d.Verb == "workflow" {
		suffix = "Flow"
	}
	name := directive.Raise(strings.TrimLeft(d.name().Name, "_"))
	if !token.IsExported(name) {
		name = ""
	}
	if d.handle == name+suffix {
		suffix += "Handle"
	}
	return name + suffix
}

// generatedNames returns the package-level names that the declarations of each package will give it.
func generatedNames(decls []*decl) map[string]map[string]bool {
	names := map[string]map[string]bool{}
	for _, d := range decls {
		of := names[d.pkg.PkgPath]
		if of == nil {
			of = map[string]bool{}
			names[d.pkg.PkgPath] = of
		}
		if d.handle != "" {
			of[d.handle] = true
		}
		if d.fn != nil {
			of[registerName] = true
			of[depsName] = of[depsName] || d.fn.Recv != nil
			of[fakesName] = of[fakesName] || d.d.Verb == "step"
		}
	}
	return names
}

// checkHandles finds handles whose name cannot be had in their package.
func checkHandles(decls []*decl, checked *checkedPkg) (problems []diag.Problem) {
	imported := importNames(checked)
	first := map[string]*decl{}
	scope := checked.types.Scope()
	for _, d := range decls {
		pos := d.name().Pos()
		if d.as() != "" {
			pos = d.d.ArgPos("as")
		}
		fix := "add as=" + d.suggested() + ", or another name that is free"
		if d.handle == "" {
			if _, tried := d.d.Args["as"]; !tried && d.name().Name != "_" {
				problems = append(problems, d.problem(pos, diag.HandleNeeded, fix, "the name %s gives no name for the handle", d.name().Name))
			}
			continue
		}
		if other := first[d.handle]; other != nil {
			problems = append(problems, d.problem(pos, diag.HandleTwice, fix, "the handle %s is also that of %s", d.handle, other.subject()).
				With(other.name().Pos(), other.subject()+" is here"))
			continue
		}
		first[d.handle] = d
		taken, what := token.NoPos, ""
		if obj := scope.Lookup(d.handle); obj != nil {
			taken, what = obj.Pos(), "the package declares it"
		} else if pos, ok := imported[d.handle]; ok {
			taken, what = pos, "a file imports a package under it"
		} else if slices.Contains(reserved(), d.handle) {
			what = "it is kept for generated code"
		}
		if what != "" {
			problems = append(problems, d.problem(pos, diag.HandleTaken, fix, "the handle cannot be called %s: %s", d.handle, what).With(taken, d.handle+" is here"))
		}
	}
	return problems
}

func reserved() []string { return []string{depsName, fakesName, registerName} }

// checkReserved finds declarations of the user that have the name of one that is generated.
func checkReserved(names map[string]bool, checked *checkedPkg) (problems []diag.Problem) {
	imported := importNames(checked)
	for _, name := range reserved() {
		if !names[name] {
			continue
		}
		pos, taken := imported[name]
		if obj := checked.types.Scope().Lookup(name); obj != nil {
			pos, taken = obj.Pos(), true
		}
		if taken {
			problems = append(problems, diag.New(pos, diag.ReservedName, "rename yours", "%s is the name of a declaration that is generated for this package", name))
		}
	}
	return problems
}

// importNames returns the names of imports of all files, with their positions. A package-level name must differ from all.
func importNames(checked *checkedPkg) map[string]token.Pos {
	names := map[string]token.Pos{}
	for _, file := range checked.files {
		for _, spec := range file.Imports {
			if name := checked.info.PkgNameOf(spec); name != nil {
				names[name.Name()] = spec.Pos()
			}
		}
	}
	return names
}

// checkDeps builds the fields of Deps from the receivers of a unit's steps.
func checkDeps(u *unit) (problems []diag.Problem) {
	byField := map[string]*handle{}
	for _, h := range u.steps {
		if h.receiver == nil {
			continue
		}
		field := directive.Raise(h.receiver.Obj().Name())
		pos := h.fn.Recv.List[0].Type.Pos()
		if !token.IsExported(field) {
			problems = append(problems, h.problem(pos, diag.DepsField, "rename the type", "the receiver %s gives no exported field name for Deps", h.receiver.Obj().Name()))
			continue
		}
		switch other := byField[field]; {
		case other == nil:
			byField[field] = h
			u.deps = append(u.deps, dependency{field: field, typ: h.receiver})
		case other.receiver.Obj() != h.receiver.Obj():
			problems = append(problems, h.problem(pos, diag.DepsField, "rename one of the types",
				"the receivers %s and %s would be one field %s of Deps", other.receiver.Obj().Name(), h.receiver.Obj().Name(), field).
				With(other.receiver.Obj().Pos(), other.receiver.Obj().Name()+" is here"))
		}
	}
	slices.SortFunc(u.deps, func(a, b dependency) int { return cmp.Compare(a.field, b.field) })
	return problems
}

// checkDurable gives every handle its durable name and finds those that two share.
func checkDurable(units []*unit) (problems []diag.Problem) {
	first := map[string]*handle{}
	for _, u := range units {
		for _, h := range u.handles() {
			pos := h.d.ArgPos("name")
			h.durable = string(directive.Get[directive.Name](h.d, "name"))
			if h.durable == "" {
				h.durable = u.pkg.name + "." + h.name().Name
				pos = h.name().Pos()
				if wrong := directive.CheckName(h.durable); wrong != "" {
					problems = append(problems, h.problem(pos, diag.BadName, "add name=", "the default durable name %q %s", h.durable, wrong))
					continue
				}
			}
			if other := first[h.durable]; other != nil {
				problems = append(problems, h.problem(pos, diag.NameTwice, "add or change name=", "the durable name %s is also that of %s", h.durable, other.subject()).
					With(other.name().Pos(), other.subject()+" is here"))
				continue
			}
			first[h.durable] = h
		}
	}
	return problems
}

// defaultQueue is the queue of workflows that name none. The runtime knows it too, so it is not written out.
const defaultQueue = "default"

// checkQueues gives workflows, events, inboxes and states their queues. Those that name none belong to the queue of their
// package's workflows.
func checkQueues(u *unit) (problems []diag.Problem) {
	queues := map[string]bool{}
	for _, h := range u.flows {
		h.queue = cmp.Or(string(h.workflow().Queue), defaultQueue)
		queues[h.queue] = true
	}
	all := slices.Sorted(maps.Keys(queues))
	for _, h := range slices.Concat(u.events, u.inboxes, u.states) {
		switch h.queue = string(directive.Get[directive.Queue](h.d, "queue")); {
		case h.queue != "":
		case len(all) == 0:
			h.queue = defaultQueue
		case len(all) == 1:
			h.queue = all[0]
		default:
			problems = append(problems, h.problem(h.d.Pos, diag.QueueUnclear, "add queue=, one of "+strings.Join(all, ", "),
				"the workflows of the package use %d queues, and this belongs to one", len(all)))
		}
	}
	return problems
}

// sortHandles orders handles by name, so that moving code between files changes nothing.
func sortHandles(list []*handle) {
	slices.SortFunc(list, func(a, b *handle) int { return cmp.Compare(a.handle, b.handle) })
}
