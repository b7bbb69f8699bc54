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

func (v verb) help(docs map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "//absurd:%s\n%s", v.name, wrap(docs[v.typ.Name()], "    "))
	for i := range v.typ.NumField() {
		f := v.typ.Field(i)
		form := reflect.New(f.Type).Interface().(value).form()
		fmt.Fprintf(&b, "\n  %s=%s\n%s", f.Tag.Get("key"), form, wrap(docs[v.typ.Name()+"."+f.Name], "    "))
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
