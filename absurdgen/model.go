package absurdgen

import (
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
)

// A unit is one package's share of the model: all that emit needs to know.
type unit struct {
	pkg     *pkg
	types   *types.Package
	steps   []*handle
	flows   []*handle
	events  []*handle
	deps    []dependency
	imports map[string]bool // names under which its files import packages
}

// A handle is one generated variable, checked.
type handle struct {
	*decl
	durable  string
	queue    string       // of a workflow or event; empty for the runtime's default
	in, out  types.Type   // nil where the function has none; an event's payload is in
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
func (h *handle) event() *directive.Event       { return h.d.Spec.(*directive.Event) }

// handles returns all handles of the unit: steps, events, workflows.
func (u *unit) handles() []*handle {
	all := append([]*handle{}, u.steps...)
	return append(append(all, u.events...), u.flows...)
}

// bound reports whether the package has anything to register.
func (u *unit) bound() bool { return len(u.steps)+len(u.flows) > 0 }
