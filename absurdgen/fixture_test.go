package absurdgen

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"
)

// fixturePath is the module that all cases share; casePath stands for a case's own part of it in the archives.
const (
	fixturePath = "example.com/fixture"
	casePath    = "example.com/case"
)

// writeModule makes dir a module that requires the runtime, which is this module, and all that it requires.
func writeModule(t *testing.T, dir, path string) {
	t.Helper()
	runtime, err := filepath.Abs("..")
	check(t, err)
	own, err := os.ReadFile(filepath.Join(runtime, "go.mod"))
	check(t, err)
	mod := string(bytes.Replace(own, []byte("module "+runtimeModule+"\n"), []byte("module "+path+"\n"), 1)) +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %s\n", runtimeModule, runtimeModule, runtime)
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644))
	sum, err := os.ReadFile(filepath.Join(runtime, "go.sum"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
}

// fixtureEnv keeps the go command from the network and lets it fill in what the runtime needs.
func fixtureEnv() []string {
	return append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tempDir is like t.TempDir, with symbolic links resolved as the go command does.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	check(t, err)
	return dir
}

// A fixture is the module of all corpus cases, loaded once for the test binary.
type fixture struct {
	dir  string
	tree *tree
	err  error
}

var sharedFixture = sync.OnceValue(func() *fixture {
	f := &fixture{}
	f.dir, f.err = os.MkdirTemp("", "absurdgen-corpus-")
	return f
})

func TestMain(m *testing.M) {
	code := m.Run()
	if f := sharedFixture(); f.err == nil {
		os.RemoveAll(f.dir)
	}
	os.Exit(code)
}

// part is a tree of only the packages below dir, as if the run had started there.
func (t *tree) part(dir string) *tree {
	p := &tree{dir: dir, fset: t.fset, byPath: t.byPath, rootOf: map[string]*pkg{}}
	for _, root := range t.roots {
		if root.Dir != dir && !strings.HasPrefix(root.Dir, dir+string(filepath.Separator)) {
			continue
		}
		own := *root
		own.sources = slices.Clone(root.sources)
		p.roots = append(p.roots, &own)
		p.rootOf[own.PkgPath] = &own
		p.listErrors(&own)
	}
	return p
}

// unpack writes an archive's input files, with the case's import path in place.
func unpack(t *testing.T, a *txtar.Archive, dir, path string) {
	t.Helper()
	for _, f := range a.Files {
		if isOutcome(f.Name) {
			continue
		}
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		check(t, os.WriteFile(name, bytes.ReplaceAll(f.Data, []byte(casePath), []byte(path)), 0o644))
	}
}

// isOutcome reports whether a file of an archive is what the case expects and not what it gives.
func isOutcome(name string) bool {
	return strings.HasPrefix(name, "want/") || name == "diagnostics" || name == "changes"
}
