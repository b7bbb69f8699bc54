package absurdgen

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"golang.org/x/tools/go/gcexportdata"
	"golang.org/x/tools/go/packages"
)

// A checker type-checks root packages from source and takes all others from export data. One checker sees the packages
// as if absurd_gen.go were empty; another, with output, sees them as they will be.
type checker struct {
	tree      *tree
	annotated map[string]bool            // roots with directives
	output    map[string][]byte          // absurd_gen.go by package; nil in the first round
	generated map[string]map[string]bool // names that each package will have
	decls     map[string][]*decl         // by package
	exports   map[string]*types.Package
	checked   map[string]*checkedPkg
	behind    map[string]bool // memo of dependsOnAnnotated
}

// A checkedPkg is the outcome for one root package.
type checkedPkg struct {
	types  *types.Package
	files  []*ast.File
	info   *types.Info
	errors []types.Error
	broken map[string]diag.Problem // imports that could not be read, by path
}

func newChecker(t *tree, annotated map[string]bool) *checker {
	return &checker{tree: t, annotated: annotated, exports: map[string]*types.Package{}, checked: map[string]*checkedPkg{}, behind: map[string]bool{}}
}

// withOutput returns a checker for the same tree with generated code in place. It keeps the export data that no annotated
// package shows through.
func (c *checker) withOutput(output map[string][]byte) *checker {
	next := newChecker(c.tree, c.annotated)
	next.output, next.behind, next.generated, next.decls = output, c.behind, c.generated, c.decls
	for path, p := range c.exports {
		if meta := c.tree.byPath[path]; meta != nil && c.fromSource(meta) == nil && !c.dependsOnAnnotated(meta) {
			next.exports[path] = p
		}
	}
	return next
}

func (c *checker) dependsOnAnnotated(p *packages.Package) bool {
	known, ok := c.behind[p.PkgPath]
	if ok {
		return known
	}
	c.behind[p.PkgPath] = false // ends an import cycle, which the go command has reported
	for _, imp := range p.Imports {
		if c.annotated[imp.PkgPath] || c.dependsOnAnnotated(imp) {
			c.behind[p.PkgPath] = true
			break
		}
	}
	return c.behind[p.PkgPath]
}

// check type-checks a root package, and first the roots that it imports.
func (c *checker) check(root *pkg) *checkedPkg {
	if done, ok := c.checked[root.PkgPath]; ok {
		return done
	}
	done := &checkedPkg{broken: map[string]diag.Problem{}}
	c.checked[root.PkgPath] = done
	done.types = types.NewPackage(root.PkgPath, root.name)
	done.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Instances: map[*ast.Ident]types.Instance{},
		Scopes: map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
	}
	done.files = c.syntax(root)
	cfg := types.Config{
		Importer: importerFunc(func(path string) (*types.Package, error) { return c.importFor(root, done, path) }),
		Sizes:    root.TypesSizes,
		Error:    func(err error) { done.errors = append(done.errors, err.(types.Error)) }, //nolint:errorlint // go/types reports nothing else
	}
	if root.Module != nil && root.Module.GoVersion != "" {
		cfg.GoVersion = "go" + root.Module.GoVersion
	}
	// The errors are those that cfg.Error has collected.
	_ = types.NewChecker(&cfg, c.tree.fset, done.types, done.info).Files(done.files)
	return done
}

// syntax returns the files to check: what the person wrote, or what cgo made of it, and the output in place of the old
// absurd_gen.go.
func (c *checker) syntax(root *pkg) []*ast.File {
	var files []*ast.File
	add := func(file *ast.File) {
		if file != nil {
			files = append(files, file)
		}
	}
	for i := range root.sources {
		if s := &root.sources[i]; slices.Contains(root.CompiledGoFiles, s.path) || len(root.CompiledGoFiles) == 0 {
			add(c.tree.parse(s))
		}
	}
	for _, path := range root.CompiledGoFiles {
		if slices.Contains(root.GoFiles, path) || filepath.Base(path) == fileName {
			continue
		}
		if text, err := os.ReadFile(path); err == nil {
			// Positions lead back to the person's file by the line comments that cgo writes.
			file, _ := parser.ParseFile(c.tree.fset, path, text, parser.SkipObjectResolution)
			add(file)
		}
	}
	if text := c.output[root.PkgPath]; text != nil {
		file, _ := parser.ParseFile(c.tree.fset, filepath.Join(root.Dir, fileName), text, parser.ParseComments|parser.SkipObjectResolution)
		add(file)
	}
	return files
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }

func (c *checker) importFor(root *pkg, done *checkedPkg, path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	meta := root.Imports[path]
	if meta == nil {
		meta = c.tree.byPath[path]
	}
	if meta == nil {
		err := errors.New("the go command does not list it")
		done.broken[path] = diag.New(token.NoPos, diag.ImportError, "", "package %s cannot be imported: %v", path, err)
		return nil, err
	}
	if p := c.exports[meta.PkgPath]; p != nil && p.Complete() {
		return p, nil
	}
	if dep := c.fromSource(meta); dep != nil {
		c.exports[meta.PkgPath] = c.check(dep).types
		return c.exports[meta.PkgPath], nil
	}
	p, err := c.readExport(meta)
	if err != nil {
		done.broken[path] = c.tree.importProblem(meta, err)
	}
	return p, err
}

// readExport reads the export data of a package. Packages that it mentions and that are known already are shared.
func (c *checker) readExport(meta *packages.Package) (*types.Package, error) {
	if meta.ExportFile == "" {
		return nil, errors.New("it does not compile")
	}
	c.prepare(meta)
	f, err := os.Open(meta.ExportFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gcexportdata.NewReader(f) //nolint:staticcheck // Go 1.26 writes the archive files that this is for
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(r, c.tree.fset, c.exports, meta.PkgPath)
}

// fromSource returns the root package behind meta when its export data is missing or shows annotated packages as they were.
func (c *checker) fromSource(meta *packages.Package) *pkg {
	root := c.tree.rootOf[meta.PkgPath]
	if root == nil || len(root.GoFiles) == 0 || !c.annotated[root.PkgPath] && meta.ExportFile != "" && !c.dependsOnAnnotated(meta) {
		return nil
	}
	return root
}

// prepare checks the annotated packages behind meta, so that its export data is read in terms of them and not of what they
// were when it was written.
func (c *checker) prepare(meta *packages.Package) {
	if !c.dependsOnAnnotated(meta) {
		return
	}
	for _, path := range sortedKeys(meta.Imports) {
		imp := meta.Imports[path]
		if root := c.fromSource(imp); root == nil {
			c.prepare(imp)
		} else if c.exports[imp.PkgPath] == nil {
			c.exports[imp.PkgPath] = c.check(root).types
		}
	}
}

// importProblem says why a package cannot be imported, which is most often that a package behind it does not compile.
func (t *tree) importProblem(meta *packages.Package, err error) diag.Problem {
	bad := firstBroken(meta, map[*packages.Package]bool{})
	if bad == nil {
		return diag.New(token.NoPos, diag.ImportError, "", "package %s cannot be imported: %v", meta.PkgPath, err)
	}
	text := bad.Errors[0].Msg
	if _, ok := strings.CutPrefix(text, "# "); ok {
		_, text, _ = strings.Cut(text, "\n")
		text, _, _ = strings.Cut(text, "\n")
		return diag.New(token.NoPos, diag.ImportError, "", "package %s does not compile: %s", bad.PkgPath, text)
	}
	return diag.New(token.NoPos, diag.ImportError, "", "%s", strings.ReplaceAll(text, "\n\t", " "))
}

func firstBroken(p *packages.Package, seen map[*packages.Package]bool) *packages.Package {
	if seen[p] {
		return nil
	}
	seen[p] = true
	if len(p.Errors) > 0 {
		return p
	}
	for _, path := range slices.Sorted(maps.Keys(p.Imports)) {
		if bad := firstBroken(p.Imports[path], seen); bad != nil {
			return bad
		}
	}
	return nil
}

// typeErrors returns the errors of a package as problems, without those that explained says are owed to missing names.
func (c *checker) typeErrors(done *checkedPkg, explained func(types.Error) bool) []diag.Problem {
	var problems []diag.Problem
	for _, err := range done.errors {
		if explained(err) {
			continue
		}
		if rest, ok := strings.CutPrefix(err.Msg, "could not import "); ok {
			path, _, _ := strings.Cut(rest, " ")
			if p, ok := done.broken[path]; ok {
				p.Pos = err.Pos
				problems = append(problems, p)
				continue
			}
		}
		p := diag.New(err.Pos, diag.TypeError, c.advice(done, err), "%s", strings.ReplaceAll(strings.TrimSpace(err.Msg), "\n", " "))
		if file := c.tree.fset.Position(err.Pos).Filename; filepath.Base(file) == fileName {
			p = diag.New(err.Pos, diag.SelfCheck, "if the package does nothing unusual with its names, please report this as a bug",
				"the generated code would not compile: %s", err.Msg)
		}
		problems = append(problems, p)
	}
	return problems
}

func syntaxProblems(err error) []diag.Problem {
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return nil
	}
	var problems []diag.Problem
	for _, e := range list {
		p := diag.New(token.NoPos, diag.Syntax, "", "%s", e.Msg)
		p.Place = diag.Place{File: e.Pos.Filename, Line: e.Pos.Line, Column: e.Pos.Column}
		problems = append(problems, p)
	}
	return problems
}
