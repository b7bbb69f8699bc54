package absurdgen

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLockHoldsAWorkflowStill follows one workflow through a harmless change, a breaking one and its acceptance.
func TestLockHoldsAWorkflowStill(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, fixturePath)
	write := func(body string) {
		src := "package p\n\nimport (\n\t\"context\"\n\n\t\"github.com/absurdgen/absurdgen/workflow\"\n)\n\ntype In struct{ ID string }\n\n" +
			"//absurd:step\nfunc one(ctx context.Context) error { return nil }\n\n//absurd:step\nfunc two(ctx context.Context) error { return nil }\n\n" +
			"//absurd:workflow\nfunc run(ctx workflow.Context, in In) error {\n" + body + "\n}\n"
		check(t, os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o644))
	}
	lockText := func() string {
		text, err := os.ReadFile(filepath.Join(dir, lockName))
		check(t, err)
		return string(text)
	}
	write("\treturn One.Do(ctx)")
	_, err := runIn(t, dir, Options{})
	check(t, err)

	write("\tif err := One.Do(ctx); err != nil {\n\t\treturn err\n\t}\n\treturn Two.Do(ctx)")
	result, err := runIn(t, dir, Options{})
	check(t, err)
	if len(result.Shape) != 1 || result.Shape[0].String() != "safe: workflow p.run goes on with step p.two" {
		t.Errorf("after an append the shape has changed by %v", result.Shape)
	}
	before := lockText()

	write("\tif err := Two.Do(ctx); err != nil {\n\t\treturn err\n\t}\n\treturn One.Do(ctx)")
	_, err = runIn(t, dir, Options{})
	var mistakes Diagnostics
	if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].Slug != "lock-breaking" || mistakes[0].At.String() != "p.go:18:6" ||
		!strings.Contains(mistakes[0].Message, "has step p.one and step p.two in another order") {
		t.Fatalf("a swap gives %v", err)
	}
	if lockText() != before {
		t.Error("the lock was written although the change is breaking")
	}

	opts := Options{Dir: dir, Patterns: []string{"./..."}, Env: fixtureEnv()}
	if _, err := Accept(t.Context(), opts, "p.other", "because"); !errors.As(err, &mistakes) {
		t.Errorf("accepting another name gives %v", err)
	}
	_, err = Accept(t.Context(), opts, "p.run", "no task is running")
	check(t, err)
	if text := lockText(); !strings.Contains(text, "accepted p.run why=\"no task is running\"\n") || !strings.Contains(text, "\tstep p.two\n\tstep p.one\n") {
		t.Errorf("the lock after accepting is\n%s", text)
	}
	result, err = runIn(t, dir, Options{Check: true})
	check(t, err)
	if len(result.Changes) > 0 {
		t.Errorf("after accepting, %s is %s", result.Changes[0].File, result.Changes[0].Kind)
	}
	if _, err := Accept(t.Context(), opts, "p.run", "again"); err == nil || !strings.Contains(err.Error(), "nothing about p.run breaks") {
		t.Errorf("accepting nothing gives %v", err)
	}
}

// TestLockKeepsWhatIsNotNamed runs for one of two packages, and then without the other.
func TestLockKeepsWhatIsNotNamed(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, fixturePath)
	for _, name := range []string{"a", "b"} {
		check(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		src := "package " + name + "\n\nimport \"context\"\n\ntype In struct{ N int }\n\n//absurd:step\nfunc one(ctx context.Context, in In) error { return nil }\n"
		check(t, os.WriteFile(filepath.Join(dir, name, "x.go"), []byte(src), 0o644))
	}
	_, err := runIn(t, dir, Options{})
	check(t, err)
	result, err := runIn(t, dir, Options{Patterns: []string{"./a"}})
	check(t, err)
	if len(result.Changes) > 0 {
		t.Errorf("a run for one package gives %v", result.Changes)
	}
	check(t, os.RemoveAll(filepath.Join(dir, "b")))
	_, err = runIn(t, dir, Options{})
	var mistakes Diagnostics
	if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].Message != "is gone, which breaks tasks that are running" || mistakes[0].At.String() != lockName {
		t.Errorf("a step that is gone gives %v", err)
	}
}

// TestNamingOnePackageChangesNothing has a workflow that uses a step of another package, and a helper that sleeps of a third, which has no
// annotations. A run for the workflow's package alone sees all of that as a run for everything does.
func TestNamingOnePackageChangesNothing(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeModule(t, dir, fixturePath)
	writeFiles(t, dir, map[string]string{
		"a/a.go": "package a\n\nimport \"context\"\n\n//absurd:step name=first\nfunc one(ctx context.Context) error { return nil }\n",
		"nap/nap.go": "package nap\n\nimport (\n\t\"time\"\n\n\t\"github.com/absurdgen/absurdgen/workflow\"\n)\n\n" +
			"func Take(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Hour) }\n",
		"b/b.go": "package b\n\nimport (\n\t\"example.com/fixture/a\"\n\t\"example.com/fixture/nap\"\n\t\"github.com/absurdgen/absurdgen/workflow\"\n)\n\n" +
			"//absurd:workflow\nfunc run(ctx workflow.Context) error {\n\tif err := nap.Take(ctx); err != nil {\n\t\treturn err\n\t}\n\treturn a.One.Do(ctx)\n}\n",
	})
	_, err := runIn(t, dir, Options{})
	check(t, err)
	text, err := os.ReadFile(filepath.Join(dir, lockName))
	check(t, err)
	if want := "workflow b.run b queue=default\n\tsleep\n\tstep first\n"; !strings.Contains(string(text), want) {
		t.Errorf("the lock lacks %q:\n%s", want, text)
	}
	for _, pattern := range []string{"./a", "./b", "./nap"} {
		result, err := runIn(t, dir, Options{Patterns: []string{pattern}})
		check(t, err)
		if len(result.Changes) > 0 || len(result.Shape) > 0 {
			t.Errorf("a run for %s gives %v, %v", pattern, result.Changes, result.Shape)
		}
	}
	writeFiles(t, dir, map[string]string{"a/a.go": "package a\n\nimport \"context\"\n\n//absurd:step name=first attempts=3\nfunc one(ctx context.Context) error { return nil }\n"})
	_, err = runIn(t, dir, Options{Patterns: []string{"./b"}})
	var mistakes Diagnostics
	if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].Slug != "not-generated" || !strings.Contains(mistakes[0].Message, "is not current") {
		t.Errorf("old code in an imported package gives %v", err)
	}
}
