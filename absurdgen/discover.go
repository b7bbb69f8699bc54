package absurdgen

import (
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
)

// A decl is one annotated declaration: a function for a workflow or step, a type for an event, inbox or state.
type decl struct {
	pkg    *pkg
	d      *directive.Directive
	fn     *ast.FuncDecl // or nil
	spec   *ast.TypeSpec // or nil
	doc    string        // the user's comment without directives
	bad    bool          // its directive has problems of its own, so what is missing in it is no second problem
	recv   string        // a method's receiver type, without the star
	handle string        // the name that will be generated; empty when there is none to be had
}

// name is the declaration's own Go name.
func (d *decl) name() *ast.Ident {
	if d.fn != nil {
		return d.fn.Name
	}
	return d.spec.Name
}

// subject is how messages speak of the declaration.
func (d *decl) subject() string {
	name := d.name().Name
	if d.recv != "" {
		name = d.recv + "." + name
	}
	return d.d.Verb + " " + name
}

// problem makes a problem about the declaration.
func (d *decl) problem(pos token.Pos, slug diag.Slug, fix, what string, args ...any) diag.Problem {
	p := diag.New(pos, slug, fix, what, args...)
	p.Subject = d.subject()
	return p
}

// discover finds all directives of the user's packages, by syntax alone.
func discover(t *tree) (decls []*decl, problems []diag.Problem) {
	for _, p := range t.roots {
		for i := range p.sources {
			s := &p.sources[i]
			if !directive.Mentions(s.text) {
				continue
			}
			file := t.parse(s)
			found, wrong := annotations(file, p)
			problems = append(problems, wrong...)
			if len(found) > 0 {
				problems = append(problems, constrained(file, s, found[0].d.Pos)...)
			}
			decls = append(decls, found...)
		}
		if p.named {
			problems = append(problems, t.outside(p)...)
		}
	}
	return decls, problems
}

// annotations reads the comments of one file. A directive counts only in the doc comment of a declaration.
func annotations(file *ast.File, p *pkg) (decls []*decl, problems []diag.Problem) {
	docs := map[*ast.CommentGroup]ast.Node{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			docs[d.Doc] = d
		case *ast.GenDecl:
			if len(d.Specs) == 1 && !d.Lparen.IsValid() {
				docs[d.Doc] = d.Specs[0]
			} else {
				docs[d.Doc] = d
			}
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Doc != nil {
					docs[ts.Doc] = ts
				}
			}
		}
	}
	for _, group := range file.Comments {
		var last *decl
		for _, c := range group.List {
			d, wrong := directive.Parse(c)
			if d == nil {
				problems = append(problems, wrong...)
				continue
			}
			if d.Verb == "allow" {
				problems = append(problems, wrong...)
				problems = append(problems, exception(d, docs[group], file)...)
				continue
			}
			found := &decl{pkg: p, d: d, doc: group.Text(), bad: len(wrong) > 0}
			place := misplaced(found, docs[group])
			if place == nil && last != nil {
				twice := diag.New(d.Pos, diag.TwoDirectives, "keep one", "a declaration takes one directive").With(last.d.Pos, "the first is here")
				place = &twice
			}
			if place != nil {
				problems = append(problems, *place)
				continue
			}
			for i := range wrong {
				wrong[i].Subject = found.subject()
			}
			problems = append(problems, wrong...)
			decls = append(decls, found)
			last = found
		}
	}
	return decls, problems
}

// exception says what is wrong with the place of an allow: it belongs to a function or to a statement.
func exception(d *directive.Directive, documented ast.Node, file *ast.File) []diag.Problem {
	if _, ok := documented.(*ast.FuncDecl); ok || insideBody([]*ast.File{file}, d.Pos) {
		return nil
	}
	const fix = "put it above a statement of a workflow, or into the comment of a function"
	if documented == nil {
		return []diag.Problem{diag.New(d.Pos, diag.Detached, fix, "this allow directive belongs to no statement and no function")}
	}
	return []diag.Problem{diag.New(d.Pos, diag.WrongDeclaration, fix, "allow stands on a declaration that is no function")}
}

// misplaced ties a directive to the declaration that its comment documents, or says what is wrong with its place.
func misplaced(found *decl, node ast.Node) *diag.Problem {
	verb, pos := found.d.Verb, found.d.Pos
	onFunction := verb == "workflow" || verb == "step"
	wrong := func(what string) *diag.Problem {
		fix := "put it on a function"
		if !onFunction {
			fix = "put it on the type of the payload"
		}
		p := diag.New(pos, diag.WrongDeclaration, fix, "%s stands on %s", verb, what)
		return &p
	}
	switch n := node.(type) {
	case nil:
		p := diag.New(pos, diag.Detached, "move it into the comment right above the declaration, without a blank line between",
			"this %s directive belongs to no declaration", verb)
		return &p
	case *ast.FuncDecl:
		if !onFunction {
			return wrong("a function")
		}
		found.fn, found.recv = n, receiverName(n)
	case *ast.TypeSpec:
		if onFunction {
			return wrong("a type")
		}
		found.spec = n
	case *ast.ValueSpec:
		return wrong("a variable or constant")
	case *ast.ImportSpec:
		return wrong("an import")
	case *ast.GenDecl:
		return wrong("a group of declarations")
	}
	found.handle = handleName(found)
	return nil
}

// receiverName returns the name of a method's receiver type as written.
func receiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return "?"
		}
	}
}

// constrained refuses directives in a file that is not part of every build, since absurd_gen.go is.
func constrained(file *ast.File, s *source, pos token.Pos) []diag.Problem {
	refuse := func(why string) []diag.Problem {
		return []diag.Problem{diag.New(pos, diag.Constraint, "move the annotated code into a file without constraints",
			"the file is built only %s, and %s is always built", why, fileName)}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Pos() < file.Package && constraint.IsGoBuild(c.Text) {
				return refuse("under " + strings.TrimSpace(strings.TrimPrefix(c.Text, "//go:build")))
			}
		}
	}
	nowhere := build.Context{GOOS: "nowhere", GOARCH: "nowhere", Compiler: "gc", CgoEnabled: true,
		OpenFile: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil }}
	if ok, err := nowhere.MatchFile(filepath.Split(s.path)); err == nil && !ok {
		return refuse("where its name says")
	}
	return nil
}

// outside refuses directives in files that are not part of the package as loaded: tests, and files that a build
// constraint leaves out.
func (t *tree) outside(p *pkg) []diag.Problem {
	if p.Dir == "" {
		return nil
	}
	tests, _ := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
	var problems []diag.Problem
	for _, path := range slices.Concat(tests, p.IgnoredFiles) {
		base := filepath.Base(path)
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil || !directive.Mentions(text) {
			continue
		}
		file, _ := parser.ParseFile(t.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if file == nil {
			continue
		}
		found, _ := annotations(file, p)
		for _, d := range found {
			if strings.HasSuffix(base, "_test.go") {
				problems = append(problems, d.problem(d.d.Pos, diag.TestFile, "move the code out of the test file, or build a handle by hand in the test",
					"a test file is not part of the package that the generated code belongs to"))
				continue
			}
			p := d.problem(d.d.Pos, diag.Constraint, "move the annotated code into a file without constraints",
				"the file is left out of this build, and %s is always built", fileName)
			problems = append(problems, p)
		}
	}
	return problems
}
