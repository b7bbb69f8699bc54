package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// driver is pgx with what it needs.
var driver = []string{"github.com/jackc/", "golang.org/x/text/", "golang.org/x/sync/"}

// TestImports: what a package may depend on, directly or not, besides the standard library. It keeps the tools out of the programs of
// users, and the generator apart from the runtime.
func TestImports(t *testing.T) {
	t.Parallel()
	ours := func(paths ...string) []string {
		for i, p := range paths {
			paths[i] = module + "/" + p
		}
		return paths
	}
	for pattern, allowed := range map[string][]string{
		"db":            append(ours("db"), driver...),
		"db/embedded":   append(ours("db/embedded"), driver...),
		"workflow/...":  append(ours("workflow", "db"), driver...),
		"absurdgen/...": append(ours("absurdgen"), "github.com/dave/jennifer/", "golang.org/x/tools/", "golang.org/x/mod/", "golang.org/x/sync/"),
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+pattern)
			list.Dir = root(t)
			deps := strings.Fields(run(t, list))
			if len(deps) == 0 {
				t.Fatal("no package is there")
			}
			for _, dep := range deps {
				if !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, dep) }) {
					t.Errorf("%s depends on %s", pattern, dep)
				}
			}
		})
	}
}

// TestModuleGraph: what every user's go.sum would have to hold. Tools that only we need have modules of their own under tools.
func TestModuleGraph(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range []string{"sqlc", "golangci"} {
			if strings.Contains(string(text), tool) {
				t.Errorf("%s mentions %s", name, tool)
			}
		}
	}
}

// TestTestKitStaysOut: what tests run on is linked by no program, and by no package that programs import.
func TestTestKitStaysOut(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"./workflow", "./workflow/codec", "./db", "./cmd/...", "./examples/...", "./absurdgen/..."} {
		list := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", pattern)
		list.Dir = root(t)
		deps := strings.Fields(run(t, list))
		if !slices.Contains(deps, "fmt") {
			t.Fatalf("%s: not a list of dependencies: %v", pattern, deps)
		}
		for _, kit := range []string{"testing", module + "/workflow/workflowtest", module + "/workflow/internal/store/memory"} {
			if slices.Contains(deps, kit) {
				t.Errorf("%s depends on %s", pattern, kit)
			}
		}
	}
}

// covers reports whether a allows dep. With a slash at its end it allows all below; without, itself and what is below, except that db
// does not allow db/embedded, which is no part of a program in production.
func covers(a, dep string) bool {
	if strings.HasSuffix(a, "/") {
		return strings.HasPrefix(dep, a)
	}
	return dep == a || strings.HasPrefix(dep, a+"/") && dep != module+"/db/embedded"
}
