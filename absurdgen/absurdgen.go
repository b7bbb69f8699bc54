package absurdgen

import (
	"context"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
)

// Options say what a run looks at. The zero value is the package in the current directory.
type Options struct {
	Dir      string   // where patterns start; default: the current directory
	Patterns []string // as the go command takes them; default: "."
	Tags     string   // build tags, separated by commas
	Env      []string // of the go command; default: the process's own
	Check    bool     // compare only, and write nothing
	// Progress is called when a stage has ended; nil for none.
	Progress func(stage string, took time.Duration)
}

// A Result is what a run has done or, with Options.Check, would do.
type Result struct {
	Changes  []Change      // sorted by package, the lock last
	Shape    []ShapeChange // what is different from the lock
	Packages int           // with annotations
	Handles  int
}

// ABI is the number of the interface between generated code and the runtime.
const ABI = 1

// Help returns the text about one verb of directives, or about all when verb is empty.
func Help(verb string) (string, error) { return directive.Help(verb) }

// Run generates the code of all packages that the patterns match. Mistakes in the user's code come back as Diagnostics;
// nothing is written then.
func Run(ctx context.Context, opts Options) (Result, error) { return run(ctx, opts, acceptance{}) }

// Accept is Run, except that the breaking changes of one workflow, step, event or type are written to the lock, with the
// reason why.
func Accept(ctx context.Context, opts Options, name, why string) (Result, error) {
	return run(ctx, opts, acceptance{name, why})
}

func run(ctx context.Context, opts Options, accept acceptance) (Result, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return Result{}, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // as the go command reports it
	}
	patterns := opts.Patterns
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	var flags []string
	if opts.Tags != "" {
		flags = append(flags, "-tags="+opts.Tags)
	}
	clock := stopwatch{last: time.Now(), report: opts.Progress}
	t, err := load(ctx, dir, patterns, flags, opts.Env, emitCodecs)
	if err != nil {
		return Result{}, err
	}
	clock.lap("load")
	t.accept = accept
	p, err := generate(t, &clock)
	if err != nil {
		return Result{}, err
	}
	result := Result{Changes: p.changes, Shape: p.shapes, Packages: len(p.units)}
	for _, u := range p.units {
		result.Handles += len(u.handles())
	}
	if !opts.Check {
		if err := applyAll(p.changes); err != nil {
			return result, err
		}
		clock.lap("write")
	}
	return result, nil
}

// A plan is all that a run has found out before it writes.
type plan struct {
	units   []*unit
	output  map[string][]byte // absurd_gen.go by package
	after   *checker          // has checked the packages with the output in place
	changes []Change
	shapes  []ShapeChange
}

// generate is everything between load and write.
func generate(t *tree, clock *stopwatch) (*plan, error) {
	decls, problems := discover(t)
	clock.lap("discover")
	names := generatedNames(decls)
	units, before, more := model(t, decls, names)
	problems = append(problems, more...)
	clock.lap("check")

	p := &plan{units: units, output: map[string][]byte{}}
	if len(problems)+len(t.problems) == 0 {
		for _, u := range units {
			text, err := emit(u, names[u.pkg.PkgPath], t.codecs)
			if err != nil {
				return nil, err
			}
			p.output[u.pkg.PkgPath] = text
		}
		clock.lap("emit")
		p.after = before.withOutput(p.output)
		for _, u := range units {
			problems = append(problems, p.after.typeErrors(p.after.check(u.pkg), func(types.Error) bool { return false })...)
		}
		clock.lap("self-check")
	} else {
		problems = append(problems, before.bodies(units, names)...)
	}

	var foreign []diag.Problem
	p.changes, foreign = changes(t, p.output)
	problems = append(append(problems, foreign...), t.problems...)
	if len(problems) == 0 && t.locked {
		breaking, err := p.locks(t, t.accept)
		if err != nil {
			return nil, err
		}
		problems = breaking
		clock.lap("lock")
	}
	if len(problems) > 0 {
		return nil, resolve(problems, t.fset, t.dir)
	}
	return p, nil
}

// model type-checks the annotated packages as if absurd_gen.go were empty, and builds their units.
func model(t *tree, decls []*decl, names map[string]map[string]bool) (units []*unit, c *checker, problems []diag.Problem) {
	annotated := map[string]bool{}
	byPackage := map[string][]*decl{}
	for _, d := range decls {
		annotated[d.pkg.PkgPath] = true
		byPackage[d.pkg.PkgPath] = append(byPackage[d.pkg.PkgPath], d)
	}
	c = newChecker(t, annotated)
	payloads := &payload.Checker{Local: func(p *types.Package) bool { return t.rootOf[p.Path()] != nil }}
	for _, p := range t.roots {
		if !annotated[p.PkgPath] {
			continue
		}
		checked := c.check(p)
		outside := func(err types.Error) bool {
			return insideBody(checked.files, err.Pos) || c.explained(checked, err, names)
		}
		broken := c.typeErrors(checked, outside)
		problems = append(problems, broken...)
		problems = append(problems, checkHandles(byPackage[p.PkgPath], checked)...)
		problems = append(problems, checkReserved(names[p.PkgPath], checked)...)
		u := &unit{pkg: p, types: checked.types}
		s := shapes{pkg: checked.types, payloads: payloads}
		for _, d := range byPackage[p.PkgPath] {
			h := s.check(d)
			if h == nil {
				continue
			}
			key, wrong := resolveKey(h, checked.types)
			if wrong != nil {
				problems = append(problems, *wrong)
				continue
			}
			h.key = key
			switch d.d.Verb {
			case "step":
				u.steps = append(u.steps, h)
			case "workflow":
				u.flows = append(u.flows, h)
			case "event":
				u.events = append(u.events, h)
			}
		}
		problems = append(problems, slices.DeleteFunc(s.problems, func(p diag.Problem) bool {
			// A type that is unknown because of an error that is reported is not also unresolved.
			return p.Slug == diag.PayloadUnresolved && len(broken)+len(t.problems) > 0
		})...)
		sortHandles(u.steps)
		sortHandles(u.flows)
		sortHandles(u.events)
		problems = append(problems, checkDeps(u)...)
		problems = append(problems, checkQueues(u)...)
		units = append(units, u)
	}
	problems = append(problems, checkDurable(units)...)
	return units, c, append(problems, c.runtimeProblems(decls)...)
}

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

const runtimeModule = "github.com/absurdgen/absurdgen"

// A stopwatch reports how long each stage took.
type stopwatch struct {
	last   time.Time
	report func(stage string, took time.Duration)
}

func (s *stopwatch) lap(stage string) {
	if s == nil || s.report == nil {
		return
	}
	now := time.Now()
	s.report(stage, now.Sub(s.last))
	s.last = now
}
