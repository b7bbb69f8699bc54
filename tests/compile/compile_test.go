package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is the package that the wrong files are added to.
const example = "github.com/absurdgen/absurdgen/examples/orders"

// A mistake is a file in which a user of the example gets one thing wrong, and what the compiler says.
type mistake struct {
	imports string
	code    string
	want    string // line:column: message; line 1 is the first one of code; empty: it compiles
}

func mistakes() map[string]mistake {
	return map[string]mistake{
		"right": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(ctx workflow.Context, o Order) (Receipt, error) {
	return Charge.Do(ctx, o)
}`,
		},
		"wrong payload type": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(ctx workflow.Context, o Order) (Receipt, error) {
	return Charge.Do(ctx, o.ID)
}`,
			want: `2:24: cannot use o.ID (variable of type string) as Order value in argument to Charge.Do`,
		},
		"wrong payload type in a map": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(ctx workflow.Context, o Order) ([]Bin, error) {
	return workflow.Map(ctx, []string{o.ID}, Pack)
}`,
			want: `2:43: in call to workflow.Map, type workflow.Step[Item, Bin] of Pack does not match inferred type workflow.Mapper[string, Out] for workflow.Mapper[In, Out]`,
		},
		"wrong payload type at spawn": {
			imports: "\"context\"\n\"github.com/absurdgen/absurdgen/workflow\"",
			code: `func _(ctx context.Context, c *workflow.Client) error {
	_, err := Fulfil.Spawn(ctx, c, Item{})
	return err
}`,
			want: `2:33: cannot use Item{} (value of struct type Item) as Order value in argument to Fulfil.Spawn`,
		},
		"wrong result type": {
			imports: "\"context\"\n\"github.com/absurdgen/absurdgen/workflow\"",
			code: `func _(ctx context.Context, t workflow.Task[Shipment]) (Receipt, error) {
	return t.Result(ctx)
}`,
			want: `2:9: cannot use t.Result(ctx) (value of struct type Shipment) as Receipt value in return statement`,
		},
		"wrong event payload": {
			imports: "\"context\"\n\"github.com/absurdgen/absurdgen/workflow\"",
			code: `func _(ctx context.Context, c *workflow.Client, o Order) error {
	return ApprovalEvent.Emit(ctx, c, o)
}`,
			want: `2:36: cannot use o (variable of struct type Order) as Approval value in argument to ApprovalEvent.Emit`,
		},
		"raw step called from a workflow": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(ctx workflow.Context, p *Payments, o Order) (Receipt, error) {
	return p.charge(ctx, o)
}`,
			want: `2:18: cannot use ctx (variable of interface type workflow.Context) as context.Context value in argument to p.charge: workflow.Context does not implement context.Context (missing method Deadline)`,
		},
		"library called from a workflow": {
			imports: "\"net/http\"\n\"github.com/absurdgen/absurdgen/workflow\"",
			code: `func _(ctx workflow.Context) error {
	_, err := http.NewRequestWithContext(ctx, "GET", "http://example.com", nil)
	return err
}`,
			want: `2:39: cannot use ctx (variable of interface type workflow.Context) as context.Context value in argument to http.NewRequestWithContext: workflow.Context does not implement context.Context (missing method Deadline)`,
		},
		"step's context used as a workflow's": {
			imports: `"context"`,
			code: `func _(ctx context.Context, o Order) (Receipt, error) {
	return Charge.Do(ctx, o)
}`,
			want: `2:19: cannot use ctx (variable of interface type context.Context) as workflow.Context value in argument to Charge.Do: context.Context does not implement workflow.Context (missing method sealed)`,
		},
		"context made up": {
			imports: "\"context\"\n\"time\"\n\"github.com/absurdgen/absurdgen/workflow\"",
			code: `func _(ctx workflow.Context) error {
	return workflow.Sleep(context.Background(), time.Second)
}`,
			want: `2:24: cannot use context.Background() (value of interface type context.Context) as workflow.Context value in argument to workflow.Sleep: context.Context does not implement workflow.Context (missing method sealed)`,
		},
		"dependencies forgotten": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(r *workflow.Registry) error {
	return Register(r)
}`,
			want: "2:18: not enough arguments in call to Register\n\thave (*workflow.Registry)\n\twant (*workflow.Registry, Deps)",
		},
		"a dependency missing": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(r *workflow.Registry, p *Payments, w *Warehouse) error {
	return Register(r, Deps{nil, p})
}`,
			want: `2:32: too few values in struct literal of type Deps`,
		},
		"a dependency of another type": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(r *workflow.Registry, p *Payments, w *Warehouse, o *Office) error {
	return Register(r, Deps{Office: o, Payments: p, Warehouse: p})
}`,
			want: `2:61: cannot use p (variable of type *Payments) as *Warehouse value in struct literal`,
		},
		"wrong payload type of a child": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `func _(ctx workflow.Context) (Shipment, error) {
	return Fulfil.Do(ctx, Item{})
}`,
			want: `2:24: cannot use Item{} (value of struct type Item) as Order value in argument to Fulfil.Do`,
		},
		"a fake of another type": {
			imports: `"context"`,
			code: `func _(charge func(context.Context, Item) (Receipt, error)) Fakes {
	return Fakes{Charge: charge}
}`,
			want: `2:23: cannot use charge (variable of type func(context.Context, Item) (Receipt, error)) as func(context.Context, Order) (Receipt, error) value in struct literal`,
		},
		"generated by another version": {
			imports: `"github.com/absurdgen/absurdgen/workflow"`,
			code: `// A name that is undefined here means that absurdgen and the workflow module differ in version: run "go generate ./...".
const _ = workflow.ABI0OrRunGoGenerate`,
			want: `2:20: undefined: workflow.ABI0OrRunGoGenerate`,
		},
	}
}

// TestMistakes compiles examples/orders with all the mistakes, each in a file of its own.
func TestMistakes(t *testing.T) {
	t.Parallel()
	said := compile(t, mistakes())
	for name, m := range mistakes() {
		if diff := cmp.Diff(m.want, said[name]); diff != "" {
			t.Errorf("%s: the compiler says something else:\n%s", name, diff)
		}
		delete(said, name)
	}
	for name, what := range said {
		t.Errorf("the compiler says something about %s: %s", name, what)
	}
}

// compile runs the compiler on the example with the added files, and returns what it says, by name.
func compile(t *testing.T, added map[string]mistake) map[string]string {
	t.Helper()
	folder := output(t, exec.Command("go", "list", "-f", "{{.Dir}}", example))
	dir := t.TempDir()
	replace := make(map[string]string)
	files := make(map[string]string) // names by file name
	for name, m := range added {
		file := strings.ReplaceAll(name, " ", "-") + ".go"
		files[file] = name
		source := fmt.Sprintf("package orders\n\nimport (\n%s\n)\n\n//line %s:1:1\n%s\n", m.imports, file, m.code)
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(folder, file)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayPath := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayPath, overlay, 0o600); err != nil {
		t.Fatal(err)
	}

	// -e: all errors, not only the first ten.
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-overlay", overlayPath, example)
	var stderr bytes.Buffer
	build.Stderr = &stderr
	if err := build.Run(); err == nil {
		t.Fatal("it compiles")
	}
	said := make(map[string]string)
	last := ""
	for _, line := range strings.Split(strings.TrimSpace(stderr.String()), "\n") {
		if strings.HasPrefix(line, "#") {
			continue // the package
		}
		if more, ok := strings.CutPrefix(line, "\t"); ok {
			said[last] += "\n\t" + more
			continue
		}
		path, rest, ok := strings.Cut(line, ".go:")
		name, known := files[filepath.Base(path)+".go"]
		if !ok || !known {
			t.Fatalf("the go command says %s", line)
		}
		if said[name] != "" {
			said[name] += "\n"
		}
		said[name] += rest
		last = name
	}
	return said
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return strings.TrimSpace(string(out))
}
