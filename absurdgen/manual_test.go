package absurdgen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/absurdgen/internal/directive"
	"github.com/google/go-cmp/cmp"
)

// TestManual keeps the pages about directives and mistakes current: the one is made of the registry of verbs, the other of the slugs
// and, for each, a case of the corpus.
func TestManual(t *testing.T) {
	t.Parallel()
	verbs, err := directive.Manual()
	check(t, err)
	page(t, "directives.md", "# Directives\n\n<!-- The text behind this line is written by go test ./absurdgen -run TestManual -update, from the registry of verbs. -->\n\n"+
		"A directive is a line of a declaration's doc comment: `//absurd:VERB KEY=VALUE ...`, without a space behind the slashes. A word with spaces\n"+
		"is quoted as a whole: `\"queue=night shift\"`. `go tool absurdgen help VERB` prints the same text.\n"+verbs)

	var b strings.Builder
	b.WriteString("# Mistakes\n\n<!-- The text behind this line is written by go test ./absurdgen -run TestManual -update, from the slugs and the corpus. -->\n\n" +
		"What `absurdgen` can say, by the word in brackets behind each message. The word stays the same over releases. Each entry shows one such\n" +
		"message, with the line below it that says what to write.\n")
	shown := examples(t)
	group := ""
	for _, s := range slugs(t) {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group, "."))
		}
		fmt.Fprintf(&b, "\n### %s\n\n", s.slug)
		if s.meaning != "" {
			fmt.Fprintf(&b, "%s\n\n", strings.ToUpper(s.meaning[:1])+s.meaning[1:]+".")
		}
		if text := shown[s.slug]; text != "" {
			fmt.Fprintf(&b, "```\n%s```\n", strings.ReplaceAll(text, "\t", "    "))
		}
	}
	page(t, "mistakes.md", b.String())
}

// page compares a file of the manual, or writes it.
func page(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("..", "docs", name)
	if *update {
		check(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	got, err := os.ReadFile(path)
	check(t, err)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/%s is not current (-want +got); run the test with -update:\n%s", name, diff)
	}
}

type slugDoc struct{ group, slug, meaning string }

// slugs reads the slugs as they are declared, with their comments.
func slugs(t *testing.T) (list []slugDoc) {
	file, err := parser.ParseFile(token.NewFileSet(), "internal/diag/slug.go", nil, parser.ParseComments)
	check(t, err)
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.ValueSpec)
			slug, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			check(t, err)
			group, _, _ := strings.Cut(gen.Doc.Text(), ". ")
			list = append(list, slugDoc{strings.TrimSpace(group), slug, strings.TrimSpace(spec.Comment.Text())})
		}
	}
	return list
}

// examples finds the first diagnostic of the corpus for each slug, with the lines that belong to it.
func examples(t *testing.T) map[string]string {
	paths, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	shown := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(t, err)
		_, diagnostics, ok := strings.Cut(string(text), "-- diagnostics --\n")
		if !ok {
			continue
		}
		slug := ""
		for line := range strings.Lines(diagnostics) {
			if strings.HasPrefix(line, "\t") {
				if slug != "" {
					shown[slug] += line
				}
				continue
			}
			i := strings.LastIndexByte(line, '[')
			if slug = strings.TrimSuffix(line[i+1:], "]\n"); shown[slug] != "" {
				slug = "" // another case has it
				continue
			}
			shown[slug] = line
		}
	}
	return shown
}
