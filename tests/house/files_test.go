package house

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module is this repository.
const module = "github.com/absurdgen/absurdgen"

// root returns the directory of the repository.
func root(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(run(t, exec.Command("go", "list", "-m", "-f", "{{.Dir}}")))
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	return string(out)
}

// eachFile calls f for the files of the repository: for its path from the root, with slashes, and its content.
func eachFile(t *testing.T, f func(path string, content []byte)) {
	t.Helper()
	top := root(t)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(d.Name(), ".git"); hidden || d.Name() == "node_modules" {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(relative), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var generatedHeader = regexp.MustCompile(`(?m)^(//|--) Code generated .* DO NOT EDIT\.$`)

func generated(content []byte) bool { return generatedHeader.Match(content) }

// TestFileLength: a file holds one concept, and a reader can take it in.
func TestFileLength(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, content []byte) {
		if ext := filepath.Ext(path); ext != ".go" && ext != ".sql" || generated(content) {
			return
		}
		limit := 450
		if strings.HasSuffix(path, "_test.go") {
			limit = 750 // a row of cases is read one by one
		}
		if n := bytes.Count(content, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, the limit is %d: find the second concept in it", path, n, limit)
		}
	})
}

// TestNoMachinePaths: nothing in the repository knows the machine that it was written on.
func TestNoMachinePaths(t *testing.T) {
	t.Parallel()
	// In parts, so that this file does not find itself.
	paths := regexp.MustCompile(`(^|[\s"'=(:])/(wor` + `k|roo` + `t|tm` + `p)/[\w.-]`)
	eachFile(t, func(path string, content []byte) {
		if found := paths.Find(content); found != nil && !bytes.ContainsRune(content, 0) {
			t.Errorf("%s names a path of somebody's machine: %q", path, found)
		}
	})
}
