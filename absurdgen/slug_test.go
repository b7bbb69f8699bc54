package absurdgen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEverySlugHasACase wants each kind of mistake to be shown by a case of the corpus.
func TestEverySlugHasACase(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"runtime-missing": "TestRuntimeMissing",
		"runtime-version": "TestRuntimeMissing",
	}
	file, err := parser.ParseFile(token.NewFileSet(), "internal/diag/slug.go", nil, 0)
	check(t, err)
	var corpus strings.Builder
	paths, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(t, err)
		corpus.Write(text)
	}
	seen := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		slug, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		check(t, err)
		if seen[slug] {
			t.Errorf("%s: two slugs are %q", spec.Names[0], slug)
		}
		seen[slug] = true
		if elsewhere[slug] == "" && !strings.Contains(corpus.String(), "["+slug+"]\n") {
			t.Errorf("%s: no case of the corpus shows [%s]", spec.Names[0], slug)
		}
		return true
	})
	if len(seen) < 50 {
		t.Errorf("found %d slugs", len(seen))
	}
}
