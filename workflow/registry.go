package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// ABI2OrRunGoGenerate guards generated code. Where it is undefined, absurdgen's output and this module differ in version:
// run "go generate ./...".
const ABI2OrRunGoGenerate = true

// Binding ties a handle to its function. Bind methods make them and [Registry.Add] takes them.
type Binding struct {
	step    *stepSpec
	runStep func(ctx context.Context, input []byte) ([]byte, error)
	runTx   func(ctx context.Context, tx pgx.Tx, input []byte) ([]byte, error) // instead of runStep

	flow    *flowSpec
	runFlow func(b *replay.Branch, info *passInfo, input []byte) ([]byte, error)
}

// Registry says which functions a worker can run. It belongs to the caller; there is no global one. Add to it before a
// worker starts, not while it runs.
type Registry struct {
	steps map[string]Binding
	flows map[string]Binding
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{steps: make(map[string]Binding), flows: make(map[string]Binding)}
}

// Add adds bindings. Two of one name are an error, and so are names that are not durable names: a letter, then letters, digits
// and _ . -, at most 200 bytes; and options that contradict each other. All errors are returned, joined.
func (r *Registry) Add(bindings ...Binding) error {
	var errs []error
	for _, b := range bindings {
		kind, name, known := "step", "", r.steps
		switch {
		case b.step != nil:
			name = b.step.name
		case b.flow != nil:
			kind, name, known = "workflow", b.flow.name, r.flows
		default:
			errs = append(errs, errors.New("workflow: an empty Binding was added: use the Bind method of a handle made by New…"))
			continue
		}
		if err := checkName(kind, name); err != nil {
			errs = append(errs, err)
			continue
		}
		if b.step != nil {
			if err := b.step.check(); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		if b.flow != nil && b.runFlow == nil {
			errs = append(errs, fmt.Errorf("workflow: workflow %s is bound to no function: give Bind one", name))
			continue
		}
		if _, twice := known[name]; twice {
			errs = append(errs, fmt.Errorf("workflow: %s %s is registered twice", kind, name))
			continue
		}
		known[name] = b
	}
	return errors.Join(errs...)
}

// Replace puts bindings in the place of those with the same name, and adds those that have none. It is for tests, which put
// fakes in the place of functions that an application's own Register has bound.
func (r *Registry) Replace(bindings ...Binding) error {
	for _, b := range bindings {
		switch {
		case b.step != nil:
			delete(r.steps, b.step.name)
		case b.flow != nil:
			delete(r.flows, b.flow.name)
		}
	}
	return r.Add(bindings...)
}

// queues returns the queues of the registered workflows, sorted.
func (r *Registry) queues() []string {
	var names []string
	for _, b := range r.flows {
		names = append(names, b.flow.policy.queue)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// transacts returns the name of a registered step with a transaction of its own; empty: there is none.
func (r *Registry) transacts() string {
	for name, b := range r.steps {
		if b.runTx != nil {
			return name
		}
	}
	return ""
}

// flowNames returns the names of the registered workflows, sorted.
func (r *Registry) flowNames() []string {
	names := make([]string, 0, len(r.flows))
	for name := range r.flows {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func checkName(kind, name string) error {
	ok := name != "" && len(name) <= 200
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '_' || c == '.' || c == '-')) {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("workflow: %s name %q: write a letter, then letters, digits and _ . -, at most 200 bytes", kind, name)
	}
	return nil
}
