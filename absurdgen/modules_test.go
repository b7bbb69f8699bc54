package absurdgen

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles writes files below dir.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func goCommand(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}

const (
	stepOfBills = "package bills\n\nimport \"context\"\n\ntype Bill struct{ ID string }\n\n//absurd:step\nfunc charge(ctx context.Context, b Bill) error { return nil }\n"
	flowOfBills = "package orders\n\nimport (\n\t\"example.com/bills\"\n\t\"github.com/absurdgen/absurdgen/workflow\"\n)\n\n" +
		"//absurd:workflow\nfunc fulfil(ctx workflow.Context, b bills.Bill) error { return bills.Charge.Do(ctx, b) }\n"
)

// TestWorkspace generates for two modules of a workspace at once. Each gets a lock of its own.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, filepath.Join(dir, "bills"), "example.com/bills")
	writeModule(t, filepath.Join(dir, "orders"), "example.com/orders")
	writeFiles(t, dir, map[string]string{
		"go.work":          "go 1.26.0\n\nuse (\n\t./bills\n\t./orders\n)\n",
		"bills/bills.go":   stepOfBills,
		"orders/orders.go": flowOfBills,
	})
	env := append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK="+filepath.Join(dir, "go.work"))
	opts := Options{Dir: dir, Env: env, Patterns: []string{"./bills/...", "./orders/..."}}
	_, err := Run(t.Context(), opts)
	check(t, err)
	for _, name := range []string{"bills/absurd_gen.go", "bills/absurd.lock", "orders/absurd_gen.go", "orders/absurd.lock"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	goCommand(t, dir, env, "vet", "./bills/...", "./orders/...")
	opts.Check = true
	if result, err := Run(t.Context(), opts); err != nil || len(result.Changes) > 0 {
		t.Errorf("a second run: %v, %v", result.Changes, err)
	}
}

// TestVendored generates in a module that builds from its vendor directory.
func TestVendored(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, "example.com/bills")
	writeFiles(t, dir, map[string]string{
		"bills.go": stepOfBills,
		"run.go":   "package bills\n\nimport \"github.com/absurdgen/absurdgen/workflow\"\n\n//absurd:workflow\nfunc run(ctx workflow.Context, b Bill) error { return Charge.Do(ctx, b) }\n",
	})
	goCommand(t, dir, fixtureEnv(), "mod", "vendor")
	// Without paths in them, the vendored packages are compiled once and not once for each temporary directory.
	env := append(os.Environ(), "GOFLAGS=-mod=vendor -trimpath", "GOPROXY=off", "GOWORK=off")
	_, err := Run(t.Context(), Options{Dir: dir, Env: env, Patterns: []string{"./..."}})
	check(t, err)
	goCommand(t, dir, env, "vet", "./...")
}

// TestOtherModulesAreLeftAlone names packages of the standard library and of a required module too.
func TestOtherModulesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, "example.com/bills")
	writeFiles(t, dir, map[string]string{
		"bills.go":       stepOfBills,
		"other/go.mod":   "module example.com/other\n\ngo 1.26.0\n",
		"other/other.go": "package other\n\n//absurd:step\nfunc wrong() {}\n\nconst X = 1\n",
		"using/using.go": "package using\n\nimport \"example.com/other\"\n\nconst X = other.X\n",
	})
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	check(t, err)
	writeFiles(t, dir, map[string]string{"go.mod": string(mod) + "\nrequire example.com/other v0.0.0\n\nreplace example.com/other => ./other\n"})
	result, err := Run(t.Context(), Options{Dir: dir, Env: fixtureEnv(), Patterns: []string{"./...", "fmt", "example.com/other"}})
	if err != nil || result.Handles != 1 || len(result.Changes) != 2 {
		t.Errorf("%d handles, changes %v, %v", result.Handles, result.Changes, err)
	}
}

// TestABIGuard compiles old output with a runtime that does not know its ABI: the compiler's text says what to run.
func TestABIGuard(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, "example.com/bills")
	writeFiles(t, dir, map[string]string{"bills.go": stepOfBills})
	opts := Options{Dir: dir, Env: fixtureEnv()}
	_, err := Run(t.Context(), opts)
	check(t, err)
	writeFiles(t, dir, map[string]string{
		"go.mod":                        "module example.com/bills\n\ngo 1.26.0\n\nrequire " + runtimeModule + " v0.0.0\n\nreplace " + runtimeModule + " => ./later\n",
		"later/go.mod":                  "module " + runtimeModule + "\n\ngo 1.26.0\n",
		"later/workflow/workflow.go":    "package workflow\n\nconst ABI99OrRunGoGenerate = true\n",
		"later/workflow/codec/codec.go": "package codec\n",
	})
	cmd := exec.Command("go", "build", ".")
	cmd.Dir, cmd.Env = dir, fixtureEnv()
	out, err := cmd.CombinedOutput()
	lines := strings.Split(string(out), "\n")
	if want := "undefined: workflow." + abi; err == nil || len(lines) < 2 || !strings.HasPrefix(lines[1], "./absurd_gen.go:") || !strings.HasSuffix(lines[1], want) {
		t.Errorf("go build: %v\n%s\nthe first complaint is not %s", err, out, want)
	}
}

func TestImportable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, from string
		want       bool
	}{
		{"time", "m/p", true},
		{"internal/abi", "m/p", false},
		{"m/internal/x", "m", true},
		{"m/internal/x", "m/p/q", true},
		{"m/internal", "m/p", true},
		{"m/internal/x", "mm/p", false},
		{"m/p/internal/x", "m/q", false},
		{"m/internal/a/internal/x", "m/b", false},
		{"m/internals/x", "n", true},
	} {
		if got := importable(c.path, c.from); got != c.want {
			t.Errorf("%s from %s: %v", c.path, c.from, got)
		}
	}
}
