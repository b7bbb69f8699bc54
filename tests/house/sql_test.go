package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sqlText finds what reads like SQL: a statement with the keyword that makes it one, or a name in the schema.
var sqlText = regexp.MustCompile(`(?is)\bselect\b.+\bfrom\b|^\s*select\s+\w+\(|\binsert\s+into\b|\bupdate\s+[\w.]+\s+set\b|\bdelete\s+from\b|` +
	`\b(create|alter|drop)\s+(table|function|schema|database|index|role|type|view)\b\s+\w|\babsurd\.[a-z_]+\s*\(`)

// TestSQLStaysInItsRooms: SQL text stands in db and queries, where the compiler of sqlc looks at it. Tests may ask what they like.
func TestSQLStaysInItsRooms(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, content []byte) {
		inRoom := strings.HasPrefix(path, "db/") || strings.HasPrefix(path, "tests/")
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || inRoom || strings.Contains(path, "/testdata/") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, content, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && sqlText.MatchString(text) {
				t.Errorf("%s: SQL outside db and queries: %s", fset.Position(lit.Pos()), lit.Value)
			}
			return true
		})
	})
}

// TestSQLTextIsFound: the pattern finds SQL and leaves prose alone.
func TestSQLTextIsFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"select * from t":                                true,
		"SELECT now()":                                   true,
		"insert into t values (1)":                       true,
		"update absurd.tasks set state = 'p'":            true,
		"delete from t":                                  true,
		"create table t ()":                              true,
		"select absurd.sweep(1)":                         true,
		"select a queue":                                 false,
		"workflow: the schema is older than the program": false,
		"create it with Client.CreateQueue":              false,
		"updates the worker":                             false,
	} {
		if got := sqlText.MatchString(text); got != want {
			t.Errorf("%q is taken for SQL: %v, want %v", text, got, want)
		}
	}
}
