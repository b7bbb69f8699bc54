package absurdgen

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/absurdgen/absurdgen/absurdgen/internal/lock"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"golang.org/x/tools/go/types/typeutil"
)

// lockName is the shape lock, at the root of each module.
const lockName = "absurd.lock"

// A ShapeChange is one difference between the shape lock and the code.
type ShapeChange struct {
	Class string `json:"class"` // safe, review or breaking
	Kind  string `json:"kind"`  // workflow, step, event, inbox, state or type
	Name  string `json:"name"`
	What  string `json:"what"`
}

func (c ShapeChange) String() string { return c.Class + ": " + c.Kind + " " + c.Name + " " + c.What }

// acceptance is the decision to let one breaking change pass.
type acceptance struct{ name, why string }

// locks compares the shape of each module with its lock, and adds the new lock to the plan's changes.
func (p *plan) locks(t *tree) (problems []diag.Problem, err error) {
	byModule := map[module][]*unit{}
	for _, root := range t.roots {
		if root.Module == nil || root.Module.Dir == "" {
			continue
		}
		m := module{path: root.Module.Path, dir: root.Module.Dir}
		byModule[m] = append(byModule[m], unitOf(p.units, root)...)
	}
	accepted := false // in any module
	modules := slices.SortedFunc(maps.Keys(byModule), func(a, b module) int { return cmp.Compare(a.dir, b.dir) })
	for _, m := range modules {
		path := filepath.Join(m.dir, lockName)
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("absurdgen: %w", err)
		}
		missing := err != nil
		old := &lock.File{}
		if !missing {
			old, err = lock.Parse(text)
			var wrong *lock.SyntaxError
			if errors.As(err, &wrong) {
				problem := diag.New(token.NoPos, diag.LockSyntax, "restore it from version control, and run absurdgen again", "the lock cannot be read: %s", wrong.What)
				problem.Place = diag.Place{File: path, Line: wrong.Line, Column: 1}
				problems = append(problems, problem)
				continue
			}
		}
		next := m.shape(byModule[m], p.ops)
		m.keepOthers(t, old, next)
		here := false
		for _, change := range lock.Compare(old, next) {
			p.shapes = append(p.shapes, ShapeChange{string(change.Class), change.Kind, change.Name, change.What})
			switch {
			case change.Class != lock.Breaking:
			case change.Name == t.accept.name:
				here = true
			default:
				problems = append(problems, p.breaking(change, path))
			}
		}
		for _, e := range old.Entries {
			if e.Kind == "accepted" && (e.Name != t.accept.name || !here) {
				next.Entries = append(next.Entries, e)
			}
		}
		if here {
			accepted = true
			next.Entries = append(next.Entries, lock.Entry{Kind: "accepted", Name: t.accept.name, Attrs: []lock.Attr{{Key: "why", Value: t.accept.why}}})
		}
		p.lockChange(t, path, text, missing, next)
	}
	if t.accept.name != "" && !accepted && len(problems) == 0 {
		return nil, fmt.Errorf("absurdgen: nothing about %s breaks running tasks, so there is nothing to accept", t.accept.name)
	}
	return problems, nil
}

// unitOf returns the root's unit, or none when it has no annotations.
func unitOf(units []*unit, root *pkg) []*unit {
	i := slices.IndexFunc(units, func(u *unit) bool { return u.pkg == root })
	if i < 0 {
		return nil
	}
	return units[i : i+1]
}

// lockChange adds the lock file to the plan's changes when it differs.
func (p *plan) lockChange(t *tree, path string, old []byte, missing bool, next *lock.File) {
	c := Change{path: path, File: relative(t.dir, path), text: next.Format(), Kind: Changed}
	switch {
	case len(next.Entries) == 0 && missing, len(next.Entries) > 0 && bytes.Equal(old, c.text):
		return
	case len(next.Entries) == 0:
		c.Kind, c.text = Orphaned, nil
	case missing:
		c.Kind = New
	}
	p.changes = append(p.changes, c)
}

func (p *plan) breaking(change lock.Change, path string) diag.Problem {
	fix := "undo it, guard it with workflow.Changed, give the workflow a new name, or run: go tool absurdgen accept " + change.Name + " -why REASON"
	switch {
	case change.What == "is gone":
		fix = "add name=" + change.Name + " where it went, or run: go tool absurdgen accept " + change.Name + " -why REASON"
	case change.Kind != "workflow":
		fix = "undo it, give it a new name, or run: go tool absurdgen accept " + change.Name + " -why REASON"
	}
	problem := diag.New(token.NoPos, diag.LockBreaking, fix, "%s, which breaks tasks that are running", change.What)
	problem.Subject = change.Kind + " " + change.Name
	problem.File = path
	for _, u := range p.units {
		for _, h := range u.handles() {
			if h.durable == change.Name && h.d.Verb == change.Kind {
				problem.Place, problem.Pos = diag.Place{}, h.name().Pos()
			}
		}
	}
	return problem
}

// A module has one lock. Names in it leave out the module's own path.
type module struct{ path, dir string }

func (m module) short(path string) string { return strings.TrimPrefix(path, m.path+"/") }

func (m module) long(short string) string {
	if short == m.path {
		return short
	}
	return m.path + "/" + short
}

// keepOthers carries over what the lock says about packages that are not part of this run.
func (m module) keepOthers(t *tree, old, next *lock.File) {
	kept := false
	for _, e := range old.Entries {
		if e.Package == "" || t.rootOf[m.long(e.Package)] != nil || !m.exists(e.Package) {
			continue
		}
		kept = true
		if next.Find(e.Kind, e.Name) == nil {
			next.Entries = append(next.Entries, e)
		}
	}
	for _, e := range old.Entries {
		if kept && e.Kind == "type" && next.Find(e.Kind, e.Name) == nil {
			next.Entries = append(next.Entries, e)
		}
	}
}

// exists reports whether a package still has a directory.
func (m module) exists(short string) bool {
	info, err := os.Stat(filepath.Join(m.dir, filepath.FromSlash(strings.TrimPrefix(m.long(short), m.path))))
	return err == nil && info.IsDir()
}

// shape describes the units of one module.
func (m module) shape(units []*unit, ops *operations) *lock.File {
	f := &lock.File{}
	seen := &typeutil.Map{}
	for _, u := range units {
		for _, h := range u.handles() {
			e := lock.Entry{Kind: h.d.Verb, Name: h.durable, Package: m.short(u.pkg.PkgPath)}
			attr := func(key, value string) {
				if value != "" {
					e.Attrs = append(e.Attrs, lock.Attr{Key: key, Value: value})
				}
			}
			if h.key != nil {
				attr("key", h.key.String())
			}
			attr("queue", h.queue)
			if h.isTx() {
				attr("tx", "yes")
			}
			if h.refusesUnknown() {
				attr("unknown", string(directive.RefuseUnknown))
			}
			for key, t := range map[string]types.Type{"in": h.in, "out": h.out} {
				if t != nil {
					attr(key, m.wireType(t))
					m.describe(f, seen, t)
				}
			}
			if h.d.Verb == "workflow" {
				e.Ops, _ = ops.of(u, h)
			}
			f.Entries = append(f.Entries, e)
		}
	}
	f.Sort()
	return f
}

// describe adds an entry for every struct that is written field by field.
func (m module) describe(f *lock.File, seen *typeutil.Map, t types.Type) {
	if seen.Set(t, true) != nil || payload.HowOf(t) != payload.ByKind {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		m.describe(f, seen, u.Elem())
	case *types.Slice:
		m.describe(f, seen, u.Elem())
	case *types.Array:
		m.describe(f, seen, u.Elem())
	case *types.Map:
		m.describe(f, seen, u.Elem())
	case *types.Struct:
		e := lock.Entry{Kind: "type", Name: m.wireType(t), Ops: m.wireFields(u)}
		if _, named := types.Unalias(t).(*types.Named); named && f.Find(e.Kind, e.Name) == nil {
			f.Entries = append(f.Entries, e)
		}
		for _, field := range payload.Fields(u).Kept {
			m.describe(f, seen, field.Var.Type())
		}
	}
}

func (m module) wireFields(s *types.Struct) (fields []lock.Op) {
	for _, f := range payload.Fields(s).Kept {
		text := m.wireType(f.Var.Type())
		if f.Tag.String {
			text += ",string"
		}
		fields = append(fields, lock.Op{Kind: f.Name, Name: text})
	}
	return sortedOps(fields)
}

// wireType names a type by what it looks like in JSON: structs and marshalers by name, all others by their make.
func (m module) wireType(t types.Type) string {
	t = types.Unalias(t)
	full := types.TypeString(t, func(p *types.Package) string { return m.short(p.Path()) })
	if payload.HowOf(t) != payload.ByKind {
		return full
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if payload.TypeName(t) == "encoding/json.Number" {
			return full
		}
		return u.Name()
	case *types.Pointer:
		return "*" + m.wireType(u.Elem())
	case *types.Slice:
		return "[]" + m.wireType(u.Elem())
	case *types.Array:
		return "[" + strconv.FormatInt(u.Len(), 10) + "]" + m.wireType(u.Elem())
	case *types.Map:
		return "map[" + m.wireType(u.Key()) + "]" + m.wireType(u.Elem())
	case *types.Struct:
		if _, named := t.(*types.Named); named {
			return full
		}
		var fields []string
		for _, f := range m.wireFields(u) {
			fields = append(fields, f.Kind+" "+f.Name)
		}
		return "struct{" + strings.Join(fields, "; ") + "}"
	}
	return full
}

func sortedOps(ops []lock.Op) []lock.Op {
	slices.SortFunc(ops, func(a, b lock.Op) int { return cmp.Compare(a.Kind, b.Kind) })
	return ops
}
