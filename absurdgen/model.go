package absurdgen

import (
	"go/types"
	"slices"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
)

// A unit is one package's share of the model: all that emit needs to know.
type unit struct {
	pkg     *pkg
	types   *types.Package
	steps   []*handle
	flows   []*handle
	events  []*handle
	inboxes []*handle
	states  []*handle
	deps    []dependency
}

// A handle is one generated variable, checked.
type handle struct {
	*decl
	durable  string
	queue    string       // of all but steps
	in, out  types.Type   // nil where the function has none; the payload of an event, inbox or state is in
	receiver *types.Named // of a method
	key      *keyPath     // nil without key=
}

// A dependency is one field of Deps.
type dependency struct {
	field string
	typ   *types.Named
}

func (h *handle) step() *directive.Step         { return h.d.Spec.(*directive.Step) }
func (h *handle) workflow() *directive.Workflow { return h.d.Spec.(*directive.Workflow) }

// isTx reports whether the handle is a step with a transaction of its own.
func (h *handle) isTx() bool { return bool(directive.Get[directive.Flag](h.d, "tx")) }

// refusesUnknown reports whether the handle's payloads refuse fields that their types have not.
func (h *handle) refusesUnknown() bool {
	return directive.Get[directive.Unknown](h.d, "unknown") == directive.RefuseUnknown
}

// handles returns all handles of the unit: steps, events, inboxes, states, workflows.
func (u *unit) handles() []*handle {
	return slices.Concat(u.steps, u.events, u.inboxes, u.states, u.flows)
}

// bound reports whether the package has anything to register.
func (u *unit) bound() bool { return len(u.steps)+len(u.flows) > 0 }

// model type-checks the annotated packages as if absurd_gen.go were empty, and builds their units.
func model(t *tree, decls []*decl, names map[string]map[string]bool) (units []*unit, c *checker, problems []diag.Problem) {
	annotated := map[string]bool{}
	byPackage := map[string][]*decl{}
	for _, d := range decls {
		annotated[d.pkg.PkgPath] = true
		byPackage[d.pkg.PkgPath] = append(byPackage[d.pkg.PkgPath], d)
	}
	c = newChecker(t, annotated)
	c.generated, c.decls = names, byPackage
	payloads := &payload.Checker{Local: func(p *types.Package) bool { return t.rootOf[p.Path()] != nil }}
	for _, p := range t.roots {
		if !annotated[p.PkgPath] {
			continue
		}
		checked := c.check(p)
		outside := func(err types.Error) bool {
			return insideBody(checked.files, err.Pos) || c.explained(checked, err, names)
		}
		broken := c.typeErrors(checked, outside)
		problems = append(problems, broken...)
		problems = append(problems, checkHandles(byPackage[p.PkgPath], checked)...)
		problems = append(problems, checkReserved(names[p.PkgPath], checked)...)
		u := &unit{pkg: p, types: checked.types}
		s := shapes{pkg: checked.types, payloads: payloads}
		for _, d := range byPackage[p.PkgPath] {
			h, ok := s.check(d)
			if ok || h.in != nil {
				var wrong *diag.Problem
				if h.key, wrong = resolveKey(h, checked.types); wrong != nil {
					problems, ok = append(problems, *wrong), false
				}
			}
			if !ok {
				continue
			}
			switch d.d.Verb {
			case "step":
				u.steps = append(u.steps, h)
			case "workflow":
				u.flows = append(u.flows, h)
			case "event":
				u.events = append(u.events, h)
			case "inbox":
				u.inboxes = append(u.inboxes, h)
			case "state":
				u.states = append(u.states, h)
			}
		}
		problems = append(problems, slices.DeleteFunc(s.problems, func(p diag.Problem) bool {
			// A type that is unknown because of an error that is reported is not also unresolved.
			return p.Slug == diag.PayloadUnresolved && len(broken)+len(t.problems) > 0
		})...)
		for _, list := range [][]*handle{u.steps, u.flows, u.events, u.inboxes, u.states} {
			sortHandles(list)
		}
		problems = append(problems, checkDeps(u)...)
		problems = append(problems, checkQueues(u)...)
		units = append(units, u)
	}
	problems = append(problems, checkDurable(units)...)
	return units, c, append(problems, c.runtimeProblems(decls)...)
}
