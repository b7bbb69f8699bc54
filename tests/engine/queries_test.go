package engine

import (
	_ "embed"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jackc/pgx/v5/pgxpool"
)

// internals are the functions that only other functions call, one a line. Whatever is not among them has a query.
//
//go:embed testdata/internals.txt
var internalNames string

var internals = strings.Fields(internalNames)

// signature is what callers see of a function: its arguments with types and defaults, and the columns of its rows.
type signature struct {
	Name, Arguments string
	Columns         []string
}

// signatures reads the functions of schema absurd, by name and arguments. A function that returns one value counts as one
// with a column of its own name.
func signatures(t *testing.T, pool *pgxpool.Pool) map[string]signature {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select p.proname, pg_get_function_arguments(p.oid),
		       coalesce((select array_agg(p.proargnames[i] || ' ' || format_type(p.proallargtypes[i], null) order by i)
		                 from generate_subscripts(p.proargmodes, 1) i where p.proargmodes[i] in ('t', 'o')),
		                (select array_agg(a.attname || ' ' || format_type(a.atttypid, null) order by a.attnum)
		                 from pg_attribute a join pg_class c on c.oid = a.attrelid where c.reltype = p.prorettype and a.attnum > 0),
		                array[p.proname || ' ' || format_type(p.prorettype, null)])
		from pg_proc p where p.pronamespace = 'absurd'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]signature{}
	for rows.Next() {
		var s signature
		if err := rows.Scan(&s.Name, &s.Arguments, &s.Columns); err != nil {
			t.Fatal(err)
		}
		found[s.Name+"("+s.Arguments+")"] = s
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// The types that sqlc works with are those of the installed functions.
func TestDeclaredTypesAreTheInstalledOnes(t *testing.T) {
	t.Parallel()
	installed := signatures(t, newEngine(t))

	declared := newDatabase(t)
	text, err := os.ReadFile("../../db/sqlc_types.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, declared, "set check_function_bodies = off; create schema absurd;"+string(text))
	declarations := signatures(t, declared)
	if len(declarations) < 10 {
		t.Fatalf("only %d declarations found", len(declarations))
	}
	for key, want := range declarations {
		got, ok := installed[key]
		if !ok {
			t.Errorf("declared but not installed: %s", key)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-declared +installed):\n%s", key, diff)
		}
	}
}

// Every function and every argument of it is in a query, except for internals.
func TestEveryFunctionHasAQuery(t *testing.T) {
	t.Parallel()
	called := map[string]bool{}
	for _, query := range queryTexts(t, "../../queries/*.sql", `(?m)^-- name: .*\n(?:--.*\n)*((?:[^-\n].*\n)+)`) {
		call := regexp.MustCompile(`absurd\.(\w+)\((?s:(.*))\)`).FindStringSubmatch(query)
		if call == nil && strings.HasPrefix(query, "select set_config('absurd.") {
			continue // the server's own
		}
		if call == nil {
			t.Errorf("a query calls no function:%s", query)
			continue
		}
		var arguments []string
		for _, name := range regexp.MustCompile(`(p_\w+) =>`).FindAllStringSubmatch(call[2], -1) {
			arguments = append(arguments, name[1])
		}
		called[call[1]+" "+strings.Join(slices.Sorted(slices.Values(arguments)), " ")] = true
	}
	unused := map[string]bool{}
	for _, name := range internals {
		unused[name] = true
	}
	for key, s := range signatures(t, newEngine(t)) {
		delete(unused, s.Name)
		names := regexp.MustCompile(`(?:^|, )(p_\w+)`).FindAllStringSubmatch(s.Arguments, -1)
		var arguments []string
		for _, name := range names {
			arguments = append(arguments, name[1])
		}
		call := s.Name + " " + strings.Join(slices.Sorted(slices.Values(arguments)), " ")
		switch internal := slices.Contains(internals, s.Name); {
		case !internal && !called[call]:
			t.Errorf("no query calls %s with all its arguments", key)
		case internal && called[call]:
			t.Errorf("%s is listed as internal and has a query", key)
		}
		delete(called, call)
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("listed as internal, but not installed: %s", name)
	}
	for _, call := range slices.Sorted(maps.Keys(called)) {
		t.Errorf("a query calls what is not installed: %s", call)
	}
}

// The server accepts the text of every generated query.
func TestGeneratedQueriesPrepare(t *testing.T) {
	t.Parallel()
	conn, err := newEngine(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	queries := queryTexts(t, "../../db/*.sql.gen.go", "(?s)`(-- name: .*?)`")
	if len(queries) < 30 {
		t.Fatalf("only %d queries found", len(queries))
	}
	for _, query := range queries {
		if _, err := conn.Conn().Prepare(t.Context(), "", query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// No wrapper has an argument or a result whose type sqlc could not tell.
func TestGeneratedCodeIsTyped(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../db/*.gen.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The variadic arguments of DBTX are pgx's own.
		if rest := strings.ReplaceAll(string(text), "...interface{}", ""); strings.Contains(rest, "interface{}") {
			t.Errorf("%s has an untyped value", file)
		}
	}
}

func queryTexts(t *testing.T, glob, expression string) []string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
			queries = append(queries, match[1])
		}
	}
	return queries
}
