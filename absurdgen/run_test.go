package absurdgen

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// fromCase writes a module with the input of an archive and returns its directory.
func fromCase(t *testing.T, archive string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", archive+".txtar"))
	check(t, err)
	dir := tempDir(t)
	writeModule(t, dir, fixturePath)
	unpack(t, a, dir, fixturePath)
	return dir
}

func runIn(t *testing.T, dir string, opts Options) (Result, error) {
	t.Helper()
	opts.Dir, opts.Env = dir, fixtureEnv()
	if opts.Patterns == nil {
		opts.Patterns = []string{"./..."}
	}
	return Run(t.Context(), opts)
}

func generated(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	check(t, err)
	return string(text)
}

// TestRegenerate damages yesterday's output in every way, and wants the same bytes back each time.
func TestRegenerate(t *testing.T) {
	t.Parallel()
	dir := fromCase(t, "orders")
	_, err := runIn(t, dir, Options{})
	check(t, err)
	want := generated(t, dir)
	damaged := map[string]string{
		"emptied":   "",
		"cut":       want[:len(want)/2],
		"conflict":  "<<<<<<< HEAD\n" + want + "=======\n" + want + ">>>>>>> branch\n",
		"renamed":   strings.ReplaceAll(want, "package orders", "package bills"),
		"stale":     strings.ReplaceAll(strings.ReplaceAll(want, "[Order, Receipt]", "[Gone, Missing]"), "\"time\"", "\"example.com/gone\""),
		"other abi": strings.ReplaceAll(want, abi, "ABI0OrRunGoGenerate"),
	}
	path := filepath.Join(dir, fileName)
	for name, text := range damaged {
		check(t, os.WriteFile(path, []byte(text), 0o644))
		result, err := runIn(t, dir, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, generated(t, dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(result.Changes) != 1 || result.Changes[0].Kind != Changed || result.Changes[0].File != fileName {
			t.Errorf("%s: changes are %v", name, result.Changes)
		}
	}
	check(t, os.Remove(path))
	result, err := runIn(t, dir, Options{})
	check(t, err)
	if got := generated(t, dir); got != want || len(result.Changes) != 1 || result.Changes[0].Kind != New {
		t.Errorf("deleted: changes are %v, file:\n%s", result.Changes, got)
	}
}

// TestUnchangedIsNotTouched holds the build cache's side of the bargain: a run without changes leaves the file alone.
func TestUnchangedIsNotTouched(t *testing.T) {
	t.Parallel()
	dir := fromCase(t, "orders")
	_, err := runIn(t, dir, Options{})
	check(t, err)
	path := filepath.Join(dir, fileName)
	before, err := os.Stat(path)
	check(t, err)
	result, err := runIn(t, dir, Options{})
	check(t, err)
	after, err := os.Stat(path)
	check(t, err)
	if len(result.Changes) != 0 || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the file was replaced; changes are %v", result.Changes)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOrphansAreDeleted(t *testing.T) {
	t.Parallel()
	dir := fromCase(t, "orphan")
	_, err := runIn(t, dir, Options{})
	check(t, err)
	for name, want := range map[string]bool{"gone": false, "alone": false, "theirs": true} {
		_, err := os.Stat(filepath.Join(dir, name, fileName))
		if got := err == nil; got != want {
			t.Errorf("%s/%s exists: %v, want %v", name, fileName, got, want)
		}
	}
}

func TestCheckWritesNothing(t *testing.T) {
	t.Parallel()
	dir := fromCase(t, "orphan")
	check(t, os.MkdirAll(filepath.Join(dir, "p"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "p", "p.go"), []byte("package p\n\nimport \"context\"\n\n//absurd:step\nfunc one(ctx context.Context) error { return nil }\n"), 0o644))
	result, err := runIn(t, dir, Options{Check: true})
	check(t, err)
	var got []string
	for _, c := range result.Changes {
		got = append(got, string(c.Kind)+" "+c.File)
	}
	if diff := cmp.Diff([]string{"orphaned alone/absurd_gen.go", "orphaned gone/absurd_gen.go", "new p/absurd_gen.go", "new absurd.lock"}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "p", fileName)); err == nil {
		t.Error("-check has written a new file")
	}
	if _, err := os.Stat(filepath.Join(dir, "gone", fileName)); err != nil {
		t.Error("-check has deleted an orphan")
	}
}

// TestNothingIsWrittenWhenAnythingIsWrong has one good package and one with a mistake.
func TestNothingIsWrittenWhenAnythingIsWrong(t *testing.T) {
	t.Parallel()
	dir := fromCase(t, "orphan")
	for name, directive := range map[string]string{"good": "step", "bad": "step attempts=0"} {
		check(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		src := "package " + name + "\n\nimport \"context\"\n\n//absurd:" + directive + "\nfunc one(ctx context.Context) error { return nil }\n"
		check(t, os.WriteFile(filepath.Join(dir, name, "x.go"), []byte(src), 0o644))
	}
	_, err := runIn(t, dir, Options{})
	var mistakes Diagnostics
	if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].At != (Position{File: "bad/x.go", Line: 5, Column: 15}) {
		t.Fatalf("error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "good", fileName)); err == nil {
		t.Error("the good package was written")
	}
	if _, err := os.Stat(filepath.Join(dir, "gone", fileName)); err != nil {
		t.Error("the orphan was deleted")
	}
}

func TestRuntimeMissing(t *testing.T) {
	t.Parallel()
	const src = "package p\n\nimport \"context\"\n\n//absurd:step\nfunc one(ctx context.Context) error { return nil }\n"
	for name, c := range map[string]struct{ mod, runtime, slug string }{
		"not required": {mod: "module example.com/m\n\ngo 1.26.0\n", slug: "runtime-missing"},
		"other version": {
			mod:     "module example.com/m\n\ngo 1.26.0\n\nrequire " + runtimeModule + " v0.0.0\n\nreplace " + runtimeModule + " => ./runtime\n",
			runtime: "package workflow\n\nconst ABI0OrRunGoGenerate = true\n", slug: "runtime-version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			check(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(c.mod), 0o644))
			check(t, os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o644))
			if c.runtime != "" {
				check(t, os.MkdirAll(filepath.Join(dir, "runtime", "workflow"), 0o755))
				check(t, os.WriteFile(filepath.Join(dir, "runtime", "go.mod"), []byte("module "+runtimeModule+"\n\ngo 1.26.0\n"), 0o644))
				check(t, os.WriteFile(filepath.Join(dir, "runtime", "workflow", "workflow.go"), []byte(c.runtime), 0o644))
			}
			_, err := Run(t.Context(), Options{Dir: dir, Patterns: []string{"./..."}, Env: append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")})
			var mistakes Diagnostics
			if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].Slug != c.slug || mistakes[0].At.String() != "p.go:5:1" {
				t.Errorf("error is %v", err)
			}
		})
	}
}
