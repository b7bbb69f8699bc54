package absurdgen

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
)

// A keyPath leads from a payload to the text that tells one apart from the others.
type keyPath struct {
	parts []string
	call  bool         // the last part is a method
	basic *types.Basic // what the path ends in
	plain bool         // it ends in string or int itself, so that no conversion is needed
}

func (k *keyPath) String() string { return strings.Join(k.parts, ".") }

// resolveKey follows key= through the payload's type.
func resolveKey(h *handle, from *types.Package) (*keyPath, *diag.Problem) {
	path := directive.Get[directive.Path](h.d, "key")
	if len(path) == 0 {
		return nil, nil
	}
	pos := h.d.ArgPos("key")
	fail := func(slug diag.Slug, fix, what string, args ...any) (*keyPath, *diag.Problem) {
		p := h.problem(pos, slug, fix, "key %q: "+what, append([]any{path.String()}, args...)...)
		return nil, &p
	}
	if h.in == nil {
		return fail(diag.KeyWithoutInput, "give the step a payload, or leave key out", "the step has no payload to take it from")
	}
	show := func(t types.Type) string { return types.TypeString(t, types.RelativeTo(from)) }
	key := &keyPath{parts: path}
	t := h.in
	for i, part := range path {
		if isPointer(t) {
			return fail(diag.KeyPointer, "take a key that is always there", "%s is a pointer, and nil has no key", show(t))
		}
		obj, _, indirect := types.LookupFieldOrMethod(t, true, from, part)
		switch obj := obj.(type) {
		case nil:
			return fail(diag.KeyField, fieldFix(t, part), "%s has no field or method %s", show(t), part)
		case *types.Func:
			sig := obj.Signature()
			switch {
			case i < len(path)-1:
				return fail(diag.KeyType, "end the path with the method", "%s is a method with more behind it", part)
			case sig.Params().Len() > 0 || sig.Results().Len() != 1 || basicOf(sig.Results().At(0).Type(), types.IsString) == nil:
				return fail(diag.KeyType, "write a method func() string", "the method %s is not a func() string", part)
			}
			key.call = true
			t = sig.Results().At(0).Type()
		case *types.Var:
			if indirect {
				return fail(diag.KeyPointer, "take a key that is always there", "%s lies behind an embedded pointer, which may be nil", part)
			}
			t = obj.Type()
		}
		if !token.IsExported(part) {
			return fail(diag.KeyUnexported, "export it, or use another", "%s is unexported", part)
		}
	}
	switch key.basic = basicOf(t, types.IsString|types.IsInteger); {
	case isPointer(t):
		return fail(diag.KeyPointer, "take a key that is always there", "it ends in %s, and nil has no key", show(t))
	case key.basic == nil || key.basic.Kind() == types.Uintptr:
		return fail(diag.KeyType, "take a string or integer field, or a method that returns a string", "it ends in %s, which is neither a string nor an integer", show(t))
	}
	_, key.plain = types.Unalias(t).(*types.Basic)
	return key, nil
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

func basicOf(t types.Type, info types.BasicInfo) *types.Basic {
	if b, ok := t.Underlying().(*types.Basic); ok && b.Info()&info != 0 {
		return b
	}
	return nil
}

// fieldFix lists the fields that could be meant.
func fieldFix(t types.Type, wanted string) string {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return "take a payload that is a struct, or use a method of the type"
	}
	var names []string
	for i := range s.NumFields() {
		if f := s.Field(i); f.Exported() {
			names = append(names, f.Name())
		}
	}
	if len(names) == 0 {
		return "the struct has no exported fields"
	}
	fix := "the fields are " + strings.Join(names, ", ")
	if near := directive.Nearest(wanted, names); near != "" {
		fix = "did you mean " + near + "? " + fix
	}
	return fix
}
