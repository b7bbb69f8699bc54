package absurdgen

import (
	"testing"

	"golang.org/x/tools/go/analysis"
	vetting "golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/atomic"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/composite"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/ifaceassert"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/stdmethods"
	"golang.org/x/tools/go/analysis/passes/stringintconv"
	"golang.org/x/tools/go/analysis/passes/structtag"
	"golang.org/x/tools/go/analysis/passes/unmarshal"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/packages"
)

// vetters are the analyzers of go vet that look at one package and need no facts about others.
func vetters() []*analysis.Analyzer {
	return []*analysis.Analyzer{assign.Analyzer, atomic.Analyzer, bools.Analyzer, composite.Analyzer, copylock.Analyzer, errorsas.Analyzer,
		ifaceassert.Analyzer, nilfunc.Analyzer, shift.Analyzer, stdmethods.Analyzer, stringintconv.Analyzer, structtag.Analyzer,
		unmarshal.Analyzer, unreachable.Analyzer}
}

// vet runs go vet's analyzers over the packages as the plan has checked them, generated code included.
func vet(t *testing.T, p *plan) {
	t.Helper()
	var pkgs []*packages.Package
	for _, u := range p.units {
		done := p.after.check(u.pkg)
		pkgs = append(pkgs, &packages.Package{ID: u.pkg.ID, PkgPath: u.pkg.PkgPath, Name: u.pkg.name, Fset: p.after.tree.fset, Syntax: done.files,
			Types: done.types, TypesInfo: done.info, TypesSizes: u.pkg.TypesSizes, Module: u.pkg.Module})
	}
	graph, err := vetting.Analyze(vetters(), pkgs, nil)
	check(t, err)
	for _, root := range graph.Roots {
		if root.Err != nil {
			t.Errorf("vet: %s: %v", root.Analyzer, root.Err)
		}
		for _, d := range root.Diagnostics {
			t.Errorf("vet: %s: %s", p.after.tree.fset.Position(d.Pos), d.Message)
		}
	}
}
