package absurdgen

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
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
