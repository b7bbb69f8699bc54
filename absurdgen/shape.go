package absurdgen

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
)

// shapes reads the signature of every annotated declaration of one package.
type shapes struct {
	pkg      *types.Package
	payloads *payload.Checker
	problems []diag.Problem
}

// check returns the handle for a declaration and whether its shape is right.
func (s *shapes) check(d *decl) (h *handle, ok bool) {
	before := len(s.problems)
	h = &handle{decl: d}
	if d.spec != nil {
		s.payloadType(h)
	} else {
		s.function(h)
	}
	return h, len(s.problems) == before
}

func (s *shapes) add(p diag.Problem) { s.problems = append(s.problems, p) }

// payloadType takes the type of an event, inbox or state.
func (s *shapes) payloadType(h *handle) {
	spec := h.spec
	switch {
	case spec.Assign.IsValid():
		s.add(h.problem(spec.Assign, diag.TypeAlias, "write type "+spec.Name.Name+" without =", "an alias is not a type of its own"))
		return
	case spec.TypeParams != nil:
		s.add(h.problem(spec.TypeParams.Opening, diag.TypeGeneric, "declare a type for one instance, as type "+spec.Name.Name+"Of string",
			"a payload has one type, and a generic type is many"))
		return
	}
	obj := s.pkg.Scope().Lookup(spec.Name.Name)
	if obj == nil {
		return // declared twice, which the type checker has reported
	}
	h.in = obj.Type()
	s.payload(h, h.in, spec.Name.Pos())
	if event, ok := h.d.Spec.(*directive.Event); ok && len(event.Key) == 0 && !h.bad {
		s.add(h.problem(h.d.Pos, diag.EventKeyRequired, "add key="+likelyKey(h.in)+", the field that says which one it is about",
			"an event without key happens once in a queue, for all tasks"))
	}
}

// likelyKey is the one field of a payload that is called an id, or a word for it.
func likelyKey(t types.Type) string {
	var found []string
	if st, ok := t.Underlying().(*types.Struct); ok {
		for f := range st.Fields() {
			if f.Exported() && strings.HasSuffix(f.Name(), "ID") && basicOf(f.Type(), types.IsString|types.IsInteger) != nil {
				found = append(found, f.Name())
			}
		}
	}
	if len(found) != 1 {
		return "FIELD"
	}
	return found[0]
}

func (s *shapes) function(h *handle) {
	fn := h.fn
	sig := s.signature(h)
	if sig == nil {
		return
	}
	if fn.Name.Name == "_" {
		s.add(h.problem(fn.Name.Pos(), diag.BlankFunction, "give the function a name", "a function without a name cannot be bound"))
	}
	if fn.Type.TypeParams != nil {
		s.add(h.problem(fn.Type.TypeParams.Opening, diag.GenericFunction, "write a function for each type, which may call the generic one",
			"a generic function is many functions under one durable name"))
		return
	}
	s.params(h, sig)
	s.results(h, sig)
}

// signature finds the function's type and, for a method, checks the receiver.
func (s *shapes) signature(h *handle) *types.Signature {
	fn := h.fn
	if fn.Recv == nil {
		obj, ok := s.pkg.Scope().Lookup(fn.Name.Name).(*types.Func)
		if !ok {
			if fn.Name.Name == "_" || fn.Name.Name == "init" {
				s.add(h.problem(fn.Name.Pos(), diag.BlankFunction, "give the function another name", "func %s cannot be called by name", fn.Name.Name))
			}
			return nil
		}
		return obj.Signature()
	}
	recv := fn.Recv.List[0].Type
	if h.d.Verb == "workflow" {
		s.add(h.problem(recv.Pos(), diag.WorkflowMethod, "make it a function, and let its steps be methods of what they need",
			"a workflow has no receiver, so that replay sees its input and its steps' outcomes and nothing else"))
		return nil
	}
	base, _ := s.pkg.Scope().Lookup(h.recv).(*types.TypeName)
	if base == nil {
		return nil // undefined, which the type checker has reported
	}
	named, ok := types.Unalias(base.Type()).(*types.Named)
	if !ok {
		return nil
	}
	star, pointer := ast.Unparen(recv).(*ast.StarExpr)
	switch {
	case named.TypeParams().Len() > 0:
		s.add(h.problem(recv.Pos(), diag.ReceiverGeneric, "put the method on a struct without type parameters", "the receiver %s is generic, so Deps could not name it", h.recv))
		return nil
	case !pointer:
		s.add(h.problem(recv.Pos(), diag.ReceiverValue, "write *"+h.recv, "the receiver %s is a value, which Deps would copy", h.recv))
		return nil
	}
	if _, ok := named.Underlying().(*types.Struct); !ok {
		s.add(h.problem(star.X.Pos(), diag.ReceiverKind, "put the method on a struct that holds it", "the receiver %s is not a struct", h.recv))
		return nil
	}
	obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(named), true, s.pkg, fn.Name.Name)
	method, ok := obj.(*types.Func)
	if !ok {
		return nil
	}
	h.receiver = named
	return method.Signature()
}

const (
	pgxTx         = "github.com/jackc/pgx/v5.Tx"
	txShape       = "func(ctx context.Context, tx pgx.Tx, in In) (Out, error), where in and Out may be left out"
	stepShape     = "func(ctx context.Context, in In) (Out, error), where in and Out may be left out"
	workflowShape = "func(ctx workflow.Context, in In) (Out, error), where in and Out may be left out"
)

func (s *shapes) params(h *handle, sig *types.Signature) {
	want, other, shape := "context.Context", runtimePath+".Context", stepShape
	switch {
	case h.d.Verb == "workflow":
		want, other, shape = other, want, workflowShape
	case h.isTx():
		shape = txShape
	}
	exprs := flatten(h.fn.Type.Params)
	params := sig.Params()
	switch {
	case params.Len() == 0:
		s.add(h.problem(h.fn.Type.Params.Opening, diag.ContextMissing, "write "+shape, "the context is missing"))
		return
	case sig.Variadic():
		s.add(h.problem(exprs[params.Len()-1].Pos(), diag.Variadic, "take a slice", "the last parameter is variadic, and a payload is one value"))
		return
	}
	switch got := payload.TypeName(params.At(0).Type()); {
	case got == want && h.isTx():
		s.transaction(h, params, exprs)
	case got == want:
		s.input(h, params, exprs, 1)
	case got == other && h.d.Verb == "step":
		s.add(h.problem(exprs[0].Pos(), diag.ContextKind, "take context.Context", "a step does the work outside the workflow, so it has no workflow.Context"))
	case got == other:
		s.add(h.problem(exprs[0].Pos(), diag.ContextKind, "take workflow.Context", "a workflow takes no context.Context, so that it cannot do I/O"))
	default:
		s.add(h.problem(exprs[0].Pos(), diag.ContextMissing, "write "+shape, "the first parameter is %s and not the context", s.show(params.At(0).Type())))
	}
}

// transaction takes the pgx.Tx of a step that has one, and what stands behind it.
func (s *shapes) transaction(h *handle, params *types.Tuple, exprs []ast.Expr) {
	switch {
	case params.Len() == 1:
		s.add(h.problem(h.fn.Type.Params.Closing, diag.TxMissing, "write "+txShape, "the step is tx, and takes no pgx.Tx"))
	case payload.TypeName(params.At(1).Type()) != pgxTx:
		s.add(h.problem(exprs[1].Pos(), diag.TxMissing, "write "+txShape, "the step is tx, and its second parameter is %s and not pgx.Tx", s.show(params.At(1).Type())))
	default:
		s.input(h, params, exprs, 2)
	}
}

// input takes what stands behind the first parameters, which are no payload.
func (s *shapes) input(h *handle, params *types.Tuple, exprs []ast.Expr, first int) {
	switch n := params.Len() - first; {
	case n == 0:
	case h.d.Verb == "step" && first == 1 && payload.TypeName(params.At(1).Type()) == pgxTx:
		s.add(h.problem(exprs[1].Pos(), diag.TxUndeclared, "add tx to the directive", "the step takes a pgx.Tx, and does not say that it runs in a transaction"))
	case n == 1:
		h.in = params.At(first).Type()
		s.payload(h, h.in, exprs[first].Pos())
	default:
		s.add(h.problem(exprs[first+1].Pos(), diag.TooManyParams, "put them into one struct, to which fields can be added later",
			"a %s takes one payload, and this one takes %d", h.d.Verb, n))
	}
}

func (s *shapes) results(h *handle, sig *types.Signature) {
	results := sig.Results()
	exprs := flatten(h.fn.Type.Results)
	n := results.Len()
	switch {
	case n == 0:
		s.add(h.problem(h.fn.Type.Params.Closing, diag.ErrorMissing, "return error", "the result error is missing"))
	case !types.Identical(results.At(n-1).Type(), types.Universe.Lookup("error").Type()):
		fix := "return (" + s.show(results.At(n-1).Type()) + ", error)"
		if n > 1 {
			fix = "make error the last of two results"
		}
		s.add(h.problem(exprs[n-1].Pos(), diag.ErrorMissing, fix, "the last result is %s and not error", s.show(results.At(n-1).Type())))
	case n == 2:
		h.out = results.At(0).Type()
		s.payload(h, h.out, exprs[0].Pos())
	case n > 2:
		s.add(h.problem(exprs[1].Pos(), diag.TooManyResults, "put them into one struct, to which fields can be added later",
			"a %s returns one payload and an error, and this one returns %d values", h.d.Verb, n))
	}
}

func (s *shapes) payload(h *handle, t types.Type, pos token.Pos) {
	for _, p := range s.payloads.Check(t, s.pkg, pos) {
		p.Subject = h.subject()
		s.add(p)
	}
}

// show writes a type as the package's own code would.
func (s *shapes) show(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == s.pkg {
			return ""
		}
		return p.Name()
	})
}

// flatten returns the type of every parameter or result, once for each name.
func flatten(list *ast.FieldList) []ast.Expr {
	var exprs []ast.Expr
	if list == nil {
		return nil
	}
	for _, f := range list.List {
		for range max(1, len(f.Names)) {
			exprs = append(exprs, f.Type)
		}
	}
	return exprs
}
