package absurdgen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOrderDoesNotMatter turns the declarations of each file around, and then gives each a file of its own with a name that sorts the
// other way. The output stays the same, byte for byte, and so does the lock.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, archive := range []string{"orders", "receivers", "events"} {
		t.Run(archive, func(t *testing.T) {
			t.Parallel()
			dir := fromCase(t, archive)
			_, err := runIn(t, dir, Options{})
			check(t, err)
			want, wantLock := generated(t, dir), fileText(t, filepath.Join(dir, lockName))
			paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
			check(t, err)
			for _, way := range []struct {
				name  string
				write func(path string, head string, decls []string)
			}{
				{"turned around", func(path, head string, decls []string) {
					check(t, os.WriteFile(path, []byte(head+strings.Join(decls, "\n\n")+"\n"), 0o644))
				}},
				{"apart", func(path, head string, decls []string) {
					check(t, os.Remove(path))
					for i, d := range decls {
						name := fmt.Sprintf("z%03d_%s", len(decls)-i, filepath.Base(path))
						check(t, os.WriteFile(filepath.Join(dir, name), []byte(onlyUsed(t, head, d)), 0o644))
					}
				}},
			} {
				for _, path := range paths {
					if filepath.Base(path) == fileName {
						continue
					}
					head, decls := split(t, path)
					slices.Reverse(decls)
					way.write(path, head, decls)
				}
				result, err := runIn(t, dir, Options{})
				check(t, err)
				if len(result.Changes) > 0 {
					t.Errorf("%s: changes are %v\n%s", way.name, result.Changes, cmp.Diff(want, generated(t, dir)))
				}
				if diff := cmp.Diff(wantLock, fileText(t, filepath.Join(dir, lockName))); diff != "" {
					t.Errorf("%s: the lock (-want +got):\n%s", way.name, diff)
				}
			}
		})
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	check(t, err)
	return string(text)
}

// split cuts a file into what stands above its declarations, imports included, and the declarations with their comments.
func split(t *testing.T, path string) (head string, decls []string) {
	t.Helper()
	text := fileText(t, path)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	check(t, err)
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	end := offset(file.Name.End())
	for _, d := range file.Decls {
		from, to := offset(d.Pos()), offset(d.End())
		switch d := d.(type) {
		case *ast.GenDecl:
			if d.Doc != nil {
				from = offset(d.Doc.Pos())
			}
			if d.Tok == token.IMPORT {
				end = to
				continue
			}
		case *ast.FuncDecl:
			if d.Doc != nil {
				from = offset(d.Doc.Pos())
			}
		}
		decls = append(decls, text[from:to])
	}
	return text[:end] + "\n\n", decls
}

// onlyUsed makes a file of a declaration, without the imports that it does not use.
func onlyUsed(t *testing.T, head, decl string) string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "x.go", head+decl, parser.ParseComments)
	check(t, err)
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\n", file.Name.Name)
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := strings.TrimPrefix(filepath.Base(path), "v5")
		if name == "" { // github.com/jackc/pgx/v5
			name = filepath.Base(filepath.Dir(path))
		}
		if used[name] {
			fmt.Fprintf(&b, "import %s\n", spec.Path.Value)
		}
	}
	return b.String() + "\n" + decl + "\n"
}
