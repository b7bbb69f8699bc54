package absurdgen

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"golang.org/x/tools/go/packages"
)

// A tree is what the go command said about the packages of a run.
type tree struct {
	dir      string // of the run, absolute
	fset     *token.FileSet
	roots    []*pkg // of the user's modules: those that were named and those that they import; sorted by path
	byPath   map[string]*packages.Package
	rootOf   map[string]*pkg
	problems []diag.Problem
	settings
}

// settings say what is made of the packages.
type settings struct {
	codecs bool       // whether handles get codecs
	locked bool       // whether the shape is compared with the modules' locks
	accept acceptance // a breaking change that may pass
}

// A pkg is one package of a module that is being worked on.
type pkg struct {
	*packages.Package
	named   bool     // on the command line, so that its files may be written
	name    string   // as its own files say, whatever absurd_gen.go says
	sources []source // what a person wrote
	own     *source  // absurd_gen.go as it is on disk; nil when it is missing
}

// A source is the text of one Go file.
type source struct {
	path string
	text []byte
	ast  *ast.File // nil until parsed
}

// load runs the go command once for all patterns. It asks for export data of everything and for no syntax or types:
// types of dependencies then come from export data, which costs a fraction of checking them, and the packages
// themselves are checked by typecheck.go, twice. An overlay would make every export file stale, so there is none.
func load(ctx context.Context, dir string, patterns, buildFlags, env []string, s settings) (*tree, error) {
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
		packages.NeedDeps | packages.NeedExportFile | packages.NeedModule | packages.NeedTypesSizes
	cfg := &packages.Config{Context: ctx, Dir: dir, Mode: mode, BuildFlags: buildFlags, Env: env}
	all := append(slices.Clone(patterns), needed...)
	if s.codecs {
		all = append(all, codecPath)
	}
	loaded, err := packages.Load(cfg, all...)
	if err != nil {
		return nil, fmt.Errorf("absurdgen: %w", err)
	}
	t := &tree{dir: dir, fset: token.NewFileSet(), byPath: map[string]*packages.Package{}, rootOf: map[string]*pkg{}, settings: s}
	packages.Visit(loaded, func(p *packages.Package) bool {
		t.byPath[p.PkgPath] = p
		return true
	}, nil)
	named := map[string]bool{}
	for _, p := range loaded {
		named[p.PkgPath] = !slices.Contains(needed, p.PkgPath) && p.PkgPath != codecPath
	}
	own := map[string]bool{}
	packages.Visit(loaded, func(p *packages.Package) bool {
		own[p.PkgPath] = p.PkgPath != runtimePath && p.PkgPath != codecPath && isOwn(p, named[p.PkgPath])
		return own[p.PkgPath]
	}, nil)
	for _, path := range sortedKeys(own) {
		if !own[path] {
			continue
		}
		root := &pkg{Package: t.byPath[path], named: named[path], name: t.byPath[path].Name}
		if err := t.read(root); err != nil {
			return nil, err
		}
		t.listErrors(root)
		t.roots = append(t.roots, root)
		t.rootOf[path] = root
	}
	return t, nil
}

// isOwn reports whether a package is in a module that is being worked on. Patterns such as all match others too, which
// come without a module from the standard library. A pattern that matches nothing is kept for its errors.
func isOwn(p *packages.Package, named bool) bool {
	if p.Module == nil {
		return named && len(p.Errors) > 0
	}
	return p.Module.Main
}

// read takes the package's Go files into memory and sets absurd_gen.go apart.
func (t *tree) read(p *pkg) error {
	for _, path := range p.GoFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("absurdgen: %w", err)
		}
		if filepath.Base(path) == fileName {
			p.own = &source{path: path, text: text}
			continue
		}
		p.sources = append(p.sources, source{path: path, text: text})
	}
	if p.own != nil && len(p.sources) > 0 {
		// The old output may carry another package's name; the first of the others is right.
		file, err := parser.ParseFile(token.NewFileSet(), p.sources[0].path, p.sources[0].text, parser.PackageClauseOnly)
		if err == nil {
			p.name = file.Name.Name
		}
	}
	return nil
}

// listErrors keeps what the go command holds against a root package, except for two kinds: compiler output, because the
// package is type-checked here anyway, and complaints about absurd_gen.go, because it will be replaced.
func (t *tree) listErrors(p *pkg) {
	if !p.named {
		return // whoever imports it has them
	}
	for _, e := range p.Errors {
		place := parsePlace(e.Pos, t.dir)
		switch {
		case strings.HasPrefix(e.Msg, "# "):
		case filepath.Base(place.File) == fileName:
		case p.own != nil && strings.HasPrefix(e.Msg, "found packages ") && t.oneName(p):
		default:
			problem := diag.New(token.NoPos, diag.LoadError, loadFix(e.Msg, p.PkgPath), "%s", strings.ReplaceAll(e.Msg, "\n\t", " "))
			problem.Place, problem.Subject = place, p.PkgPath
			if len(p.GoFiles) > 0 && place.File == "" {
				problem.File = p.GoFiles[0]
			}
			t.problems = append(t.problems, problem)
		}
	}
}

// loadFix says what to write instead of a pattern, where the go command's complaint does not.
func loadFix(complaint, pattern string) string {
	switch {
	case strings.Contains(complaint, "does not contain main module"):
		return "run absurdgen inside a module; go mod init NAME makes one"
	case strings.Contains(complaint, " is not in std") && !strings.ContainsAny(pattern, "./"):
		return "a package of this module is written ./" + pattern + "; the commands of absurdgen are listed by absurdgen help"
	}
	return ""
}

// oneName reports whether the files that a person wrote agree on the package's name.
func (t *tree) oneName(p *pkg) bool {
	for _, s := range p.sources {
		file, err := parser.ParseFile(token.NewFileSet(), s.path, s.text, parser.PackageClauseOnly)
		if err == nil && file.Name.Name != p.name {
			return false
		}
	}
	return true
}

// parse returns the syntax of a source, with problems where it has errors.
func (t *tree) parse(s *source) *ast.File {
	if s.ast != nil {
		return s.ast
	}
	file, err := parser.ParseFile(t.fset, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution)
	t.problems = append(t.problems, syntaxProblems(err)...)
	s.ast = file
	return file
}

// parsePlace reads the FILE:LINE:COLUMN of the go command.
func parsePlace(pos, dir string) diag.Place {
	parts := strings.Split(pos, ":")
	place := diag.Place{File: parts[0]}
	if len(parts) >= 3 {
		place.File = strings.Join(parts[:len(parts)-2], ":")
		place.Line, _ = strconv.Atoi(parts[len(parts)-2])
		place.Column, _ = strconv.Atoi(parts[len(parts)-1])
	}
	if place.File == "-" {
		place.File = ""
	}
	if place.File != "" && !filepath.IsAbs(place.File) {
		place.File = filepath.Join(dir, place.File)
	}
	return place
}
