package absurdgen

import (
	"go/ast"
	"go/constant"
	"go/types"

	"github.com/absurdgen/absurdgen/absurdgen/internal/lock"
	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"golang.org/x/tools/go/types/typeutil"
)

// operations finds what workflows do durably, in packages that were checked with their generated code in place.
type operations struct {
	after   *checker
	handles map[string]*handle // by path.Name of the generated variable
	trees   map[*handle]opTree
	used    map[*handle]bool // handles met on the walk
	inside  map[string]bool  // functions on the way down, by full name
}

func newOperations(p *plan) *operations {
	o := &operations{after: p.after, handles: map[string]*handle{}, trees: map[*handle]opTree{}, inside: map[string]bool{}}
	for _, u := range p.units {
		for _, h := range u.handles() {
			o.handles[u.pkg.PkgPath+"."+h.handle] = h
		}
	}
	return o
}

// An opTree is what one workflow does durably, and the handles that it does it through.
type opTree struct {
	ops  []lock.Op
	used map[*handle]bool
}

// of returns the tree of a workflow's operations.
func (o *operations) of(u *unit, h *handle) ([]lock.Op, map[*handle]bool) {
	t, ok := o.trees[h]
	if !ok {
		o.used = map[*handle]bool{}
		if fn, ok := o.after.check(u.pkg).types.Scope().Lookup(h.name().Name).(*types.Func); ok {
			t.ops = o.function(fn)
		}
		t.used = o.used
		o.trees[h] = t
	}
	return t.ops, t.used
}

// function returns the operations of a function of the user's, and one that stands for a call of any other.
func (o *operations) function(fn *types.Func) []lock.Op {
	fn = fn.Origin()
	done, decl := o.source(fn)
	switch {
	case decl == nil || decl.Body == nil:
		return []lock.Op{{Kind: "call", Name: fn.FullName()}}
	case o.inside[fn.FullName()]:
		return []lock.Op{{Kind: "recursion", Name: fn.Name()}}
	}
	o.inside[fn.FullName()] = true
	defer delete(o.inside, fn.FullName())
	return o.walk(done.info, decl.Body)
}

func (o *operations) source(fn *types.Func) (*checkedPkg, *ast.FuncDecl) {
	if fn.Pkg() == nil {
		return nil, nil
	}
	root := o.after.tree.rootOf[fn.Pkg().Path()]
	if root == nil {
		return nil, nil
	}
	// A package without annotations may have been read from export data so far, where functions have no bodies and are
	// other objects.
	done := o.after.check(root)
	for _, file := range done.files {
		for _, d := range file.Decls {
			if decl, ok := d.(*ast.FuncDecl); ok && decl.Name.Name == fn.Name() {
				if found, ok := done.info.Defs[decl.Name].(*types.Func); ok && found.FullName() == fn.FullName() {
					return done, decl
				}
			}
		}
	}
	return nil, nil
}

// block is a node with its children, or nothing when there are none.
func block(kind string, ops []lock.Op) []lock.Op {
	if len(ops) == 0 {
		return nil
	}
	return []lock.Op{{Kind: kind, Ops: ops}}
}

// walk returns the operations below a node, in the order in which they run.
func (o *operations) walk(info *types.Info, n ast.Node) (ops []lock.Op) {
	each := func(nodes ...ast.Node) (ops []lock.Op) {
		for _, n := range nodes {
			ops = append(ops, o.walk(info, n)...)
		}
		return ops
	}
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.IfStmt:
		ops = optional(each, n.Init)
		if id, not, ok := o.asksChanged(info, n.Cond); ok {
			then, otherwise := each(n.Body), optional(each, n.Else)
			if not {
				then, otherwise = otherwise, then
			}
			return append(ops, lock.Op{Kind: lock.Changed, Name: id, Ops: append(block(lock.New, then), block(lock.Old, otherwise)...)})
		}
		ops = append(ops, each(n.Cond)...)
		then, otherwise := each(n.Body), optional(each, n.Else)
		if len(then)+len(otherwise) > 0 {
			ops = append(ops, lock.Op{Kind: "if", Ops: then})
		}
		return append(ops, block("else", otherwise)...)
	case *ast.ForStmt:
		ops = optional(each, n.Init)
		var inside []lock.Op
		if n.Cond != nil {
			inside = each(n.Cond)
		}
		inside = append(inside, each(n.Body)...)
		return append(ops, block("loop", append(inside, optional(each, n.Post)...))...)
	case *ast.RangeStmt:
		return append(each(n.X), block("loop", each(n.Body))...)
	case *ast.SwitchStmt:
		ops = optional(each, n.Init)
		if n.Tag != nil {
			ops = append(ops, each(n.Tag)...)
		}
		return append(ops, block("switch", each(n.Body))...)
	case *ast.TypeSwitchStmt:
		return append(append(optional(each, n.Init), each(n.Assign)...), block("switch", each(n.Body))...)
	case *ast.CaseClause:
		for _, e := range n.List {
			ops = append(ops, each(e)...)
		}
		var inside []lock.Op
		for _, s := range n.Body {
			inside = append(inside, each(s)...)
		}
		return append(ops, block("case", inside)...)
	case *ast.DeferStmt:
		return block("defer", each(n.Call))
	case *ast.FuncLit:
		return block("func", each(n.Body))
	case *ast.CallExpr:
		return o.call(info, n)
	}
	// Any other node: its children in source order.
	ast.Inspect(n, func(child ast.Node) bool {
		if child == n {
			return true
		}
		if child != nil {
			ops = append(ops, o.walk(info, child)...)
		}
		return false
	})
	return ops
}

// optional walks a statement that may be missing.
func optional(each func(...ast.Node) []lock.Op, s ast.Stmt) []lock.Op {
	if s == nil {
		return nil
	}
	return each(s)
}

// asksChanged recognises workflow.Changed(ctx, "id") and its negation as a condition.
func (o *operations) asksChanged(info *types.Info, cond ast.Expr) (id string, not, ok bool) {
	cond = ast.Unparen(cond)
	if u, isNot := cond.(*ast.UnaryExpr); isNot && u.Op.String() == "!" {
		cond, not = ast.Unparen(u.X), true
	}
	call, isCall := cond.(*ast.CallExpr)
	if !isCall || len(call.Args) < 2 {
		return "", false, false
	}
	fn := typeutil.StaticCallee(info, call)
	if fn == nil || fn.FullName() != runtimePath+".Changed" {
		return "", false, false
	}
	if v := info.Types[call.Args[1]].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), not, true
	}
	return "", false, false
}

// durable maps the runtime's functions and methods that leave a record, or are seen outside, to the kind of operation they are.
var durable = map[string]string{
	"Sleep": "sleep", "SleepUntil": "sleep", "Map": "map", "Go": "go", "All": "all", "Race": "race", "Changed": lock.Changed,
	"Step.Do": "step", "StepIn.Do": "step", "StepOut.Do": "step", "StepOnly.Do": "step",
	"Step.Go": "step", "StepIn.Go": "step", "StepOut.Go": "step", "StepOnly.Go": "step",
	"Flow.Do": "child", "FlowIn.Do": "child", "FlowOut.Do": "child", "FlowOnly.Do": "child",
	"Flow.Go": "child", "FlowIn.Go": "child", "FlowOut.Go": "child", "FlowOnly.Go": "child",
	"Event.Await": "await", "Event.Go": "await", "Inbox.Receive": "receive", "Inbox.Go": "receive", "Inline": "inline",
	"State.Set": lock.Set,
}

func (o *operations) call(info *types.Info, call *ast.CallExpr) (ops []lock.Op) {
	fn, _ := typeutil.Callee(info, call).(*types.Func)
	kind := ""
	if fn != nil && fn.Pkg() != nil && fn.Pkg().Path() == runtimePath {
		kind = durable[runtimeName(fn)]
	}
	// Arguments run first. A function literal that the runtime is given runs as part of the operation.
	var body []lock.Op
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		ops = append(ops, o.walk(info, sel.X)...)
	} else if _, ok := ast.Unparen(call.Fun).(*ast.Ident); !ok {
		ops = append(ops, o.walk(info, call.Fun)...)
	}
	for _, arg := range call.Args {
		if lit, ok := ast.Unparen(arg).(*ast.FuncLit); ok && kind != "" {
			body = append(body, o.walk(info, lit.Body)...)
		} else {
			ops = append(ops, o.walk(info, arg)...)
		}
	}
	switch {
	case kind == "map" && len(call.Args) > 2:
		return append(ops, lock.Op{Kind: kind, Name: o.handle(info, call.Args[2]), Ops: body})
	case kind == "inline" && len(call.Args) > 1:
		name := unknownHandle
		if v := info.Types[call.Args[1]].Value; v != nil && v.Kind() == constant.String {
			name = constant.StringVal(v)
		}
		return append(ops, lock.Op{Kind: kind, Name: name})
	case kind == "sleep" || kind == "go" || kind == "all" || kind == "race" || kind == lock.Changed:
		return append(ops, lock.Op{Kind: kind, Ops: body})
	case kind != "":
		if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
			return append(ops, lock.Op{Kind: kind, Name: o.handle(info, sel.X)})
		}
		return append(ops, lock.Op{Kind: kind, Name: unknownHandle})
	case fn != nil && fn.Pkg() != nil && fn.Pkg().Path() == runtimePath:
		return ops // leaves no record
	case !takesWorkflowContext(info, call):
		return ops
	case fn == nil:
		return append(ops, lock.Op{Kind: "call", Name: "value"})
	}
	return append(ops, o.function(fn)...)
}

// unknownHandle stands for a handle that is computed.
const unknownHandle = "?"

// handle is the durable name behind an expression that names a generated variable, perhaps with options, as Ship.With(...).
func (o *operations) handle(info *types.Info, e ast.Expr) string {
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	case *ast.CallExpr:
		if sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr); ok {
			if fn := typeutil.StaticCallee(info, e); fn != nil && fn.Pkg() != nil && fn.Pkg().Path() == runtimePath && fn.Signature().Recv() != nil {
				return o.handle(info, sel.X)
			}
		}
	}
	if v, ok := info.Uses[id].(*types.Var); ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
		path := v.Pkg().Path() + "." + v.Name()
		if h := o.handles[path]; h != nil {
			o.used[h] = true
			return h.durable
		}
		return path
	}
	return unknownHandle
}

// runtimeName is Func or Type.Method.
func runtimeName(fn *types.Func) string {
	recv := fn.Signature().Recv()
	if recv == nil {
		return fn.Name()
	}
	t := types.Unalias(recv.Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj().Name() + "." + fn.Name()
	}
	return fn.Name()
}

// takesWorkflowContext reports whether a call hands on the workflow's context, so that it may do something durable.
func takesWorkflowContext(info *types.Info, call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if t := info.Types[arg].Type; t != nil && payload.TypeName(t) == runtimePath+".Context" {
			return true
		}
	}
	return false
}
