package absurdgen

import (
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

const (
	// runtimePath is the package that generated code is written against.
	runtimePath   = runtimeModule + "/workflow"
	runtimeModule = "github.com/absurdgen/absurdgen"

	// ABI is the number of the interface between generated code and the runtime. It is raised when old output would not
	// work with a new runtime, or the reverse.
	ABI = 2
	// abi is the constant of the runtime that generated code of this ABI mentions.
	abi = "ABI2OrRunGoGenerate"

	// emitCodecs says whether handles get codecs. Without them they use encoding/json.
	emitCodecs = true
)

// needed are the packages that generated code imports beside those of the payloads. They are loaded even when no package
// imports them yet.
var needed = []string{runtimePath, "strconv", "time"}

// runtimeProblems says so when the runtime cannot be imported or is of another version.
func (c *checker) runtimeProblems(decls []*decl) []diag.Problem {
	if len(decls) == 0 {
		return nil
	}
	const fix = "run go get " + runtimeModule + "@latest and then go mod tidy"
	meta := c.tree.byPath[runtimePath]
	pkg, err := (*types.Package)(nil), error(nil)
	if meta != nil && len(meta.GoFiles) > 0 {
		if pkg, err = c.readExport(meta); err == nil && pkg.Scope().Lookup(abi) != nil {
			return nil
		}
	}
	p := diag.New(decls[0].d.Pos, diag.RuntimeMissing, fix, "the module does not require %s, which generated code imports", runtimeModule)
	if err != nil {
		p = c.tree.importProblem(meta, err)
		p.Pos = decls[0].d.Pos
	} else if pkg != nil {
		p = diag.New(decls[0].d.Pos, diag.RuntimeVersion, fix, "%s has no %s, so it is of another version than absurdgen", runtimePath, abi)
	}
	return []diag.Problem{p}
}
