package absurdgen

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
)

// bodies returns the type errors inside function bodies, for a run that ends before the self-check would find them.
func (c *checker) bodies(units []*unit, names map[string]map[string]bool) (problems []diag.Problem) {
	for _, u := range units {
		checked := c.check(u.pkg)
		problems = append(problems, c.typeErrors(checked, func(err types.Error) bool {
			return !insideBody(checked.files, err.Pos) || c.explained(checked, err, names)
		})...)
	}
	return problems
}

func insideBody(files []*ast.File, pos token.Pos) bool {
	for _, file := range files {
		if pos < file.FileStart || pos > file.FileEnd {
			continue
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Body.Pos() <= pos && pos <= fn.Body.End() {
				return true
			}
		}
	}
	return false
}

// advice says what to write where an error is one that users of handles make: a name that is nearly that of a handle, or a call
// of the function behind one.
func (c *checker) advice(done *checkedPkg, err types.Error) string {
	if missing, ok := strings.CutPrefix(err.Msg, "undefined: "); ok {
		qualifier, name, qualified := strings.Cut(missing, ".")
		from := done.types.Path()
		if !qualified {
			qualifier, name = "", missing
		} else {
			from = ""
			for _, imp := range done.types.Imports() {
				if imp.Name() == qualifier {
					from = imp.Path()
				}
			}
			qualifier += "."
		}
		if near := directive.Nearest(name, sortedKeys(c.generated[from])); near != "" {
			return "did you mean " + qualifier + near + "?"
		}
		return ""
	}
	if !strings.Contains(err.Msg, "workflow.Context does not implement context.Context") {
		return ""
	}
	called := calledAt(done, err.Pos)
	for _, d := range c.decls[done.types.Path()] {
		if called != nil && d.fn != nil && d.handle != "" && called.Pos() == d.name().Pos() {
			return "call " + d.handle + ".Do, which records the outcome, and not the function behind it"
		}
	}
	return "do it in a step; a workflow's context is none for I/O"
}

// calledAt returns the function whose call has an argument at pos.
func calledAt(done *checkedPkg, pos token.Pos) (called types.Object) {
	for _, file := range done.files {
		if pos < file.FileStart || pos > file.FileEnd {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || pos < call.Lparen || pos > call.Rparen {
				return true
			}
			switch fun := ast.Unparen(call.Fun).(type) {
			case *ast.Ident:
				called = done.info.Uses[fun]
			case *ast.SelectorExpr:
				called = done.info.Uses[fun.Sel]
			}
			return true
		})
	}
	return called
}

// explained reports whether an error says no more than that a name is missing that will be generated.
func (c *checker) explained(checked *checkedPkg, err types.Error, names map[string]map[string]bool) bool {
	missing, ok := strings.CutPrefix(err.Msg, "undefined: ")
	if !ok {
		return false
	}
	qualifier, name, qualified := strings.Cut(missing, ".")
	if !qualified {
		return names[checked.types.Path()][missing]
	}
	for _, file := range checked.files {
		if err.Pos < file.FileStart || err.Pos > file.FileEnd {
			continue
		}
		for _, spec := range file.Imports {
			if pkg := checked.info.PkgNameOf(spec); pkg != nil && pkg.Name() == qualifier && names[pkg.Imported().Path()][name] {
				return true
			}
		}
	}
	return false
}
