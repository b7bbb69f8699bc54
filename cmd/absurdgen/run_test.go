package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/absurdgen"
)

// project makes a module with the given files the current directory, and returns it.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	runtime, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The module requires the runtime, which is this module, and all that it requires.
	all := map[string]string{}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(runtime, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	const path = "github.com/absurdgen/absurdgen"
	all["go.mod"] = strings.Replace(all["go.mod"], "module "+path+"\n", "module example.com/shop\n", 1) + "\nrequire " + path + " v0.0.0\n\nreplace " + path + " => " + runtime + "\n"
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOWORK", "off")
	return dir
}

func absurd(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	// A slow load says so; a busy machine makes any load slow.
	return code, out.String(), strings.ReplaceAll(err.String(), "absurdgen: loading packages; the first time this compiles what they import\n", "")
}

const (
	good = "package shop\n\nimport \"context\"\n\n//absurd:step\nfunc charge(ctx context.Context) error { return nil }\n"
	bad  = "package shop\n\nimport \"context\"\n\n//absurd:step backoff=2s-1m\nfunc charge(ctx context.Context) error { return nil }\n"
)

func TestGenerateAndCheck(t *testing.T) {
	dir := project(t, map[string]string{"shop.go": good})
	code, _, stderr := absurd(t, "-check", "./...")
	if want := "absurd_gen.go: new\nabsurd.lock: new\ngenerated code is not up to date; run:\n\tgo tool absurdgen ./...\n"; code != exitWrong || stderr != want {
		t.Errorf("-check before: exit %d, stderr %q, want %q", code, stderr, want)
	}
	if code, stdout, stderr := absurd(t, "./..."); code != exitOK || stdout+stderr != "" {
		t.Errorf("generate: exit %d, output %q", code, stdout+stderr)
	}
	if code, stdout, stderr := absurd(t, "-check", "./..."); code != exitOK || stdout+stderr != "" {
		t.Errorf("-check after: exit %d, output %q", code, stdout+stderr)
	}
	changed := strings.Replace(good, "absurd:step", "absurd:step attempts=3", 1)
	if err := os.WriteFile(filepath.Join(dir, "shop.go"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := absurd(t, "-check"); code != exitWrong || !strings.HasPrefix(stderr, "absurd_gen.go: changed\n") || !strings.HasSuffix(stderr, "\tgo tool absurdgen .\n") {
		t.Errorf("-check after an edit: exit %d, stderr %q", code, stderr)
	}
}

func TestMistakes(t *testing.T) {
	project(t, map[string]string{"shop.go": bad})
	want := "shop.go:5:15: step charge: backoff \"2s-1m\" is not LO..HI [bad-range]\n\ttry backoff=2s..1m\n"
	if code, stdout, stderr := absurd(t); code != exitWrong || stdout != "" || stderr != want {
		t.Errorf("exit %d, stdout %q, stderr %q, want %q", code, stdout, stderr, want)
	}
	code, stdout, stderr := absurd(t, "-json")
	var got struct {
		Diagnostics absurdgen.Diagnostics
		Changes     []absurdgen.Change
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("-json printed %q: %v", stdout, err)
	}
	if code != exitWrong || stderr != "" || len(got.Diagnostics) != 1 || got.Diagnostics[0].String()+"\n" != want || got.Changes == nil {
		t.Errorf("-json: exit %d, stderr %q, decoded %+v", code, stderr, got)
	}
}

func TestJSONOfChanges(t *testing.T) {
	project(t, map[string]string{"shop.go": good})
	code, stdout, _ := absurd(t, "-json", "-check")
	const want = `{
  "diagnostics": [],
  "changes": [
    {
      "file": "absurd_gen.go",
      "kind": "new"
    },
    {
      "file": "absurd.lock",
      "kind": "new"
    }
  ],
  "shape": [
    {
      "class": "safe",
      "kind": "step",
      "name": "shop.charge",
      "what": "is new"
    }
  ]
}
`
	if code != exitWrong || stdout != want {
		t.Errorf("exit %d, stdout %s", code, stdout)
	}
}

func TestVerbose(t *testing.T) {
	project(t, map[string]string{"shop.go": good})
	code, _, stderr := absurd(t, "-v")
	for _, want := range []string{"load ", "self-check ", "write ", "absurd_gen.go: new", "absurd.lock: new", "absurd.lock: safe: step shop.charge is new", "1 handles in 1 packages, 2 files differ"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("exit %d, -v does not print %q:\n%s", code, want, stderr)
		}
	}
}

func TestAccept(t *testing.T) {
	dir := project(t, map[string]string{"shop.go": good})
	if code, stdout, stderr := absurd(t); code != exitOK {
		t.Fatalf("exit %d: %s", code, stdout+stderr)
	}
	renamed := strings.Replace(good, "absurd:step", "absurd:step name=shop.pay", 1)
	if err := os.WriteFile(filepath.Join(dir, "shop.go"), []byte(renamed), 0o644); err != nil {
		t.Fatal(err)
	}
	const want = "absurd.lock: step shop.charge: is gone, which breaks tasks that are running [lock-breaking]\n" +
		"\tadd name=shop.charge where it went, or run: go tool absurdgen accept shop.charge -why REASON\n"
	if code, _, stderr := absurd(t); code != exitWrong || stderr != want {
		t.Errorf("a rename: exit %d, stderr %q, want %q", code, stderr, want)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"accept"}, exitUsage, "accept whose change?"},
		{[]string{"accept", "shop.charge"}, exitUsage, "accept needs -why REASON"},
		{[]string{"accept", "shop.charge", "-why", "nothing is deployed"}, exitOK, ""},
		{[]string{"accept", "shop.charge", "-why", "again"}, exitWrong, "nothing to accept"},
		{[]string{"-check"}, exitOK, ""},
	} {
		if code, stdout, stderr := absurd(t, c.args...); code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("absurdgen %q: exit %d, want %d; stderr %q lacks %q", c.args, code, c.code, stderr, c.want)
		}
	}
}

func TestSchema(t *testing.T) {
	project(t, map[string]string{"shop.go": "package shop\n\nimport \"context\"\n\ntype Order struct{ ID string `json:\"id\"` }\n\n" +
		"//absurd:step unknown=refuse\nfunc charge(ctx context.Context, o Order) (int, error) { return 0, nil }\n"})
	code, stdout, stderr := absurd(t, "schema", "./...")
	var got []absurdgen.Schema
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK || stderr != "" || len(got) != 1 {
		t.Fatalf("exit %d, stdout %q, stderr %q: %v", code, stdout, stderr, err)
	}
	var in bytes.Buffer
	if err := json.Compact(&in, got[0].In); err != nil {
		t.Fatal(err)
	}
	const want = `{"$defs":{"shop.Order":{"additionalProperties":false,"properties":{"id":{"type":"string"}},"type":"object"}},"$ref":"#/$defs/shop.Order",` +
		`"$schema":"https://json-schema.org/draft/2020-12/schema"}`
	if got[0].Kind != "step" || got[0].Name != "shop.charge" || in.String() != want || len(got[0].InFingerprint) != 16 || got[0].OutFingerprint == got[0].InFingerprint {
		t.Errorf("the schema is %+v, its input %s", got[0], &in)
	}
	if _, err := os.Stat("absurd_gen.go"); err == nil {
		t.Error("the command has written code")
	}
	if code, _, stderr := absurd(t, "schema", "./nowhere"); code != exitWrong || !strings.Contains(stderr, "[load]") {
		t.Errorf("of nothing: exit %d, stderr %q", code, stderr)
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		code   int
		wanted []string
	}{
		{[]string{"help"}, exitOK, []string{"usage:", "//absurd:workflow", "//absurd:event", "backoff=LO..HI"}},
		{[]string{"help", "step"}, exitOK, []string{"//absurd:step\n", "timeout=DURATION\n", "Timeout ends the step's context"}},
		{[]string{"help", "stp"}, exitUsage, []string{`unknown verb "stp"; did you mean step?`}},
		{[]string{"help", "help"}, exitOK, []string{"usage:", "absurdgen help [verb]"}},
		{[]string{"help", "accept"}, exitOK, []string{"absurdgen accept NAME -why REASON"}},
		{[]string{"generate"}, exitWrong, []string{"package generate is not in std", "absurdgen help", "./generate"}},
		{[]string{"version"}, exitOK, []string{"absurdgen ", "ABI 2"}},
		{[]string{"-nonsense"}, exitUsage, []string{"flag provided but not defined: -nonsense", "usage:"}},
		{[]string{"-h"}, exitOK, []string{"usage:", "-check"}},
	} {
		code, stdout, stderr := absurd(t, c.args...)
		for _, want := range c.wanted {
			if code != c.code || !strings.Contains(stdout+stderr, want) {
				t.Errorf("absurdgen %v: exit %d, want %d; output lacks %q:\n%s", c.args, code, c.code, want, stdout+stderr)
			}
		}
	}
}
