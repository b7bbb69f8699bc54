package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/absurdgen"
)

// goBlock is a block of Go in Markdown.
var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestReadmeCompiles puts the README's sample into a module of its own, generates its code, and compiles it together with
// the lines that use it, and with the test and the program of docs/first-workflow.md. The test is run.
func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	top := root(t)
	readme, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d blocks of Go, want the sample and its use", len(blocks))
	}
	page, err := os.ReadFile(filepath.Join(top, "docs", "first-workflow.md"))
	if err != nil {
		t.Fatal(err)
	}
	first := goBlock.FindAllStringSubmatch(string(page), -1)
	if len(first) != 2 {
		t.Fatalf("docs/first-workflow.md has %d blocks of Go, want the test and the program", len(first))
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(top, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// The same requirements, so that nothing has to be fetched.
	require := regexp.MustCompile(`(?ms)^require \(.*?^\)$`).FindAllString(string(mod), -1)
	write(t, dir, "go.mod", fmt.Sprintf("module example.com/hello\n\ngo 1.26.0\n\n%s\n\nrequire %s v0.0.0\n\nreplace %s => %s\n",
		strings.Join(require, "\n"), module, module, top))
	write(t, dir, "go.sum", string(sum))
	write(t, dir, "greet/greet.go", blocks[0][1])
	write(t, dir, "greet/greet_test.go", first[0][1])
	write(t, dir, "main.go", first[1][1])
	write(t, dir, "use/use.go", fmt.Sprintf(`package use

import (
	"context"

	"example.com/hello/greet"
	"github.com/absurdgen/absurdgen/workflow"
	"github.com/jackc/pgx/v5/pgxpool"
)

func use(ctx context.Context, pool *pgxpool.Pool, person greet.Person, send func(context.Context, string, string, string) error) (string, error) {
%s
	return text, err
}

var _ = use
`, blocks[1][1]))

	env := append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	result, err := absurdgen.Run(t.Context(), absurdgen.Options{Dir: dir, Patterns: []string{"./..."}, Env: env})
	if err != nil {
		t.Fatalf("absurdgen refuses the sample: %v", err)
	}
	if result.Handles == 0 {
		t.Error("absurdgen finds nothing in the sample")
	}
	build := exec.CommandContext(t.Context(), "go", "build", "./...")
	build.Dir, build.Env = dir, env
	run(t, build)
	test := exec.CommandContext(t.Context(), "go", "test", "./greet")
	test.Dir, test.Env = dir, env
	run(t, test)
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
