package house

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportedNamesAreDocumented looks at every package that is not a command or generated: each has a package comment, and each
// exported name a comment of its own or that of its group.
func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{.Name}} {{.Dir}} {{join .GoFiles ","}}`, "./...")
	list.Dir = root(t)
	for _, line := range strings.Split(strings.TrimSpace(run(t, list)), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue // tests only
		}
		path, name, dir := fields[0], fields[1], fields[2]
		fset := token.NewFileSet()
		var files []*ast.File
		for _, base := range strings.Split(fields[3], ",") {
			content, err := os.ReadFile(filepath.Join(dir, base))
			if err != nil {
				t.Fatal(err)
			}
			if generated(content) {
				continue
			}
			file, err := parser.ParseFile(fset, filepath.Join(strings.TrimPrefix(path, module+"/"), base), content, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		pkg, err := doc.NewFromFiles(fset, files, path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(pkg.Doc) == "" {
			t.Errorf("package %s has no package comment", path)
		}
		if name != "main" {
			undocumented(pkg, func(pos token.Pos, name string) { t.Errorf("%s: %s has no comment", fset.Position(pos), name) })
		}
	}
}

// undocumented reports the exported names of a package that have no comment.
func undocumented(pkg *doc.Package, report func(token.Pos, string)) {
	values := func(all []*doc.Value) {
		for _, v := range all {
			for _, spec := range v.Decl.Specs {
				s := spec.(*ast.ValueSpec)
				for _, name := range s.Names {
					if name.IsExported() && v.Doc == "" && s.Doc.Text() == "" && s.Comment.Text() == "" {
						report(name.Pos(), name.Name)
					}
				}
			}
		}
	}
	functions := func(all []*doc.Func) {
		for _, f := range all {
			if f.Doc == "" && !implied(f) {
				report(f.Decl.Pos(), f.Name)
			}
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	functions(pkg.Funcs)
	for _, typ := range pkg.Types {
		if typ.Doc == "" {
			report(typ.Decl.Pos(), typ.Name)
		}
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
}

// implied reports whether a method says all by its name, because every reader knows its interface.
func implied(f *doc.Func) bool {
	return f.Recv != "" && (f.Name == "Error" || f.Name == "String")
}
