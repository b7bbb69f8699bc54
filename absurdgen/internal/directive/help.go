package directive

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:embed verbs.go
var registrySource []byte

// Help returns the text about one verb, or about all when name is empty.
func Help(name string) (string, error) {
	docs, err := registryDocs()
	if err != nil {
		return "", err
	}
	if name != "" {
		v, ok := lookup(name)
		if !ok {
			return "", fmt.Errorf("%s", strings.TrimSuffix(unknownVerb(token.NoPos, name).What+"; "+unknownVerb(token.NoPos, name).Fix, "; "))
		}
		return v.help(docs), nil
	}
	var b strings.Builder
	b.WriteString("A directive is a line of a declaration's doc comment: //absurd:VERB KEY=VALUE ...\n" +
		"A word with spaces is quoted as a whole: \"queue=night shift\".\n")
	for _, v := range verbs() {
		b.WriteString("\n" + v.help(docs))
	}
	return b.String(), nil
}

// Manual returns the same text as a page of Markdown.
func Manual() (string, error) {
	docs, err := registryDocs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, v := range verbs() {
		fmt.Fprintf(&b, "\n## %s\n\n%s", v.name, markdown(docs[v.typ.Name()]))
		for i, f := range v.words() {
			if i == 0 {
				b.WriteString("\n| key | |\n|---|---|\n")
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(f.text, "|", "\\|"), strings.TrimSpace(strings.ReplaceAll(f.doc(docs), "\n", " ")))
		}
		if v.name == "allow" {
			b.WriteString("\n| rule | what it forbids in a workflow |\n|---|---|\n")
			for _, r := range rules() {
				fmt.Fprintf(&b, "| `%s` | %s |\n", r.name, r.forbids)
			}
		}
	}
	return b.String(), nil
}

func markdown(text string) string {
	p := comment.Parser{}
	pr := comment.Printer{}
	return string(pr.Markdown(p.Parse(text)))
}

// A word is one key as it is written, with the name of its doc comment.
type word struct{ text, name string }

func (w word) doc(docs map[string]string) string { return docs[w.name] }

func (v verb) words() (words []word) {
	for _, key := range v.order {
		f := v.typ.Field(v.keys[key])
		text := key
		if form := reflect.New(f.Type).Interface().(value).form(); form != "" {
			text += "=" + form
		}
		words = append(words, word{text, v.typ.Name() + "." + f.Name})
	}
	return words
}

func (v verb) help(docs map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "//absurd:%s\n%s", v.name, wrap(docs[v.typ.Name()], "    "))
	for _, w := range v.words() {
		fmt.Fprintf(&b, "\n  %s\n%s", w.text, wrap(w.doc(docs), "    "))
	}
	if v.name == "allow" {
		b.WriteString("\n")
		for _, r := range rules() {
			fmt.Fprintf(&b, "  %-10s %s\n", r.name, r.forbids)
		}
	}
	return b.String()
}

// registryDocs maps Type and Type.Field to their doc comments.
func registryDocs() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "verbs.go", registrySource, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("absurdgen: reading the help text: %w", err)
	}
	docs := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec := gen.Specs[0].(*ast.TypeSpec)
		docs[spec.Name.Name] = gen.Doc.Text()
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			docs[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
		}
	}
	return docs, nil
}

func wrap(text, indent string) string {
	p := comment.Parser{}
	pr := comment.Printer{TextPrefix: indent, TextWidth: 78}
	return string(pr.Text(p.Parse(text)))
}
