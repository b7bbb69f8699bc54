package absurdgen

import (
	"context"
	"go/types"
	"path/filepath"
	"time"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
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
	clock := stopwatch{last: time.Now(), report: opts.Progress}
	p, err := opts.plan(ctx, settings{codecs: emitCodecs, locked: true, accept: accept}, &clock)
	if err != nil {
		return Result{}, err
	}
	result := Result{Changes: p.changes, Shape: p.shapes}
	for _, u := range p.units {
		if u.pkg.named {
			result.Packages++
			result.Handles += len(u.handles())
		}
	}
	if !opts.Check {
		if err := applyAll(p.changes); err != nil {
			return result, err
		}
		clock.lap("write")
	}
	return result, nil
}

// plan finds out all that a run has to know.
func (opts Options) plan(ctx context.Context, s settings, clock *stopwatch) (*plan, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
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
	t, err := load(ctx, dir, patterns, flags, opts.Env, s)
	if err != nil {
		return nil, err
	}
	clock.lap("load")
	return generate(t, clock)
}

// A plan is all that a run has found out before it writes.
type plan struct {
	units   []*unit
	output  map[string][]byte // absurd_gen.go by package
	after   *checker          // has checked the packages with the output in place
	ops     *operations       // what the workflows do durably
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
		if len(problems) == 0 {
			p.ops = newOperations(p)
			for _, u := range units {
				p.output[u.pkg.PkgPath] = withShapes(p.output[u.pkg.PkgPath], u, p.ops)
			}
			clock.lap("shape")
		}
	} else {
		problems = append(problems, before.bodies(units, names)...)
	}

	var foreign []diag.Problem
	p.changes, foreign = changes(t, units, p.output)
	problems = append(append(problems, foreign...), t.problems...)
	if len(problems) == 0 && t.locked {
		breaking, err := p.locks(t)
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
