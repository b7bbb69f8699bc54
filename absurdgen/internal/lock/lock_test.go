package lock

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, body string) *File {
	t.Helper()
	f, err := Parse([]byte(version + "\n" + body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return f
}

func TestFormatAndParse(t *testing.T) {
	t.Parallel()
	f := &File{Entries: []Entry{
		{Kind: "workflow", Name: "orders.fulfil", Package: "example.com/orders", Attrs: []Attr{{"queue", "night shift"}, {"in", "map[string]x.T"}},
			Ops: []Op{{Kind: "step", Name: "a"}, {Kind: "if", Ops: []Op{{Kind: "await", Name: "b"}, {Kind: "loop", Ops: []Op{{Kind: "sleep"}}}}}, {Kind: "else", Ops: []Op{{Kind: "step", Name: "c"}}}}},
		{Kind: "type", Name: "x.T", Ops: []Op{{Kind: "a b", Name: `struct{x "=#}`}, {Kind: "größe", Name: "string,string"}}},
		{Kind: "accepted", Name: "orders.fulfil", Attrs: []Attr{{"why", "it = \"fine\"\n"}}},
	}}
	text := f.Format()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("after Format and Parse (-want +got):\n%s\n%s", diff, text)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "line 1: the file begins with",
		"<<<<<<< HEAD\nformat 1\n":         "line 1: the file begins with",
		"format 2\n":                       "line 1: the file begins with",
		"format 1\nstep\n":                 "line 2: the line is not an entry",
		"format 1\nthing x\n":              "line 2: the line is not an entry",
		"format 1\n\tstep x\n":             "line 2: the operation stands under nothing",
		"format 1\nstep x\n\t\tstep x\n":   "line 3: the operation stands under nothing",
		"format 1\nstep x\nstep x\n":       "line 3: step x stands here twice",
		"format 1\ntype t\n\ta int\n\ta\n": `line 4: the field "a" stands here twice`,
		"format 1\nstep \"x\n":             "line 2: the line is not made of words",
		"format 1\nstep x a=1 a=2\n":       "line 2: the line is not an entry",
		"format 1\nstep  x\n":              "line 2: the line is not made of words",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestCompare has one case for each rule.
func TestCompare(t *testing.T) {
	t.Parallel()
	const w = "workflow w p\n"
	for _, c := range []struct{ name, old, next, want string }{
		{"same", w + "\tstep a\n", w + "\tstep a\n", ""},
		{"append", w + "\tstep a\n", w + "\tstep a\n\tstep b\n", "safe: goes on with step b"},
		{"append in a block", w + "\tif\n\t\tstep a\n", w + "\tif\n\t\tstep a\n\t\tstep b\n", "review: goes on with step b in if"},
		{"remove the last", w + "\tstep a\n\tstep b\n", w + "\tstep a\n", "breaking: has no step b any more"},
		{"remove the first", w + "\tstep a\n\tstep b\n", w + "\tstep b\n", "breaking: has no step a any more before step b"},
		{"insert", w + "\tstep a\n", w + "\tstep b\n\tstep a\n", "breaking: has step b before step a"},
		{"insert what comes again", w + "\tstep a\n\tstep b\n", w + "\tstep b\n\tstep a\n\tstep b\n", "breaking: has step b before step a"},
		{"remove what comes again", w + "\tstep a\n\tstep b\n\tstep a\n", w + "\tstep b\n\tstep a\n", "breaking: has no step a any more before step b"},
		{"swap", w + "\tstep a\n\tstep b\n", w + "\tstep b\n\tstep a\n", "breaking: has step a and step b in another order"},
		{"rename", w + "\tstep a\n", w + "\tstep b\n", "breaking: has step b where it had step a"},
		{"kind", w + "\tstep a\n", w + "\tchild a\n", "breaking: has child a where it had step a"},
		{"into a block", w + "\tstep a\n", w + "\tif\n\t\tstep a\n", "breaking: has if where it had step a"},
		{"loop to map", w + "\tloop\n\t\tstep a\n", w + "\tmap a\n", "review: has a map where it had a loop"},
		{"deep", w + "\tloop\n\t\tif\n\t\t\tstep a\n", w + "\tloop\n\t\tif\n\t\t\tstep b\n", "breaking: has step b where it had step a in loop, if"},
		{"guarded insert", w + "\tstep a\n", w + "\tchanged x\n\t\tnew\n\t\t\tstep b\n\tstep a\n", "safe: has a change that does not reach running tasks"},
		{"guarded replacement", w + "\tstep a\n\tstep c\n", w + "\tchanged x\n\t\tnew\n\t\t\tstep b\n\t\told\n\t\t\tstep a\n\tstep c\n", "safe: has a change that does not reach running tasks"},
		{"wrongly guarded", w + "\tstep a\n", w + "\tchanged x\n\t\tnew\n\t\t\tstep a\n", "breaking: has no step a any more"},
		{"state set", w + "\tstep a\n\tstep b\n", w + "\tset s\n\tstep a\n\tloop\n\t\tset s\n\tstep b\n", "safe: has a change that does not reach running tasks"},
		{"state not set", w + "\tloop\n\t\tset s\n\t\tstep a\n", w + "\tloop\n\t\tstep a\n", "safe: has a change that does not reach running tasks"},
		{"state set before else", w + "\tif\n\telse\n\t\tstep a\n", w + "\tif\n\t\tset s\n\telse\n\t\tstep a\n", "safe: has a change that does not reach running tasks"},
		{"state set in a branch", w + "\tgo\n\t\tset s\n", w, "breaking: has no go any more"},
		{"queue", "workflow w p queue=a\n", "workflow w p queue=b\n", "breaking: has queue=b now; it was a"},
		{"input", "workflow w p in=a\n", "workflow w p\n", "breaking: has no in any more; it was a"},
		{"key added", "step s p\n", "step s p key=ID\n", "review: has a key now, ID"},
		{"key changed", "step s p key=ID\n", "step s p key=SKU\n", "breaking: has key=SKU now; it was ID"},
		{"unknown refused", "step s p\n", "step s p unknown=refuse\n", "review: refuses unknown fields now, and stored payloads may have some"},
		{"unknown ignored", "step s p unknown=refuse\n", "step s p\n", "safe: ignores unknown fields now"},
		{"tx added", "step s p\n", "step s p tx=yes\n", "safe: has a transaction of its own now"},
		{"tx gone", "step s p tx=yes\n", "step s p\n", "review: has no transaction of its own any more"},
		{"output added", "step s p\n", "step s p out=x\n", "breaking: has out=x now"},
		{"new entry", "", "step s p\n", "safe: is new"},
		{"gone", "step s p\n", "", "breaking: is gone"},
		{"moved to another package", "step s p\n", "step s q\n", ""},
		{"inbox gone", "inbox i p in=x\n", "", "breaking: is gone"},
		{"inbox retyped", "inbox i p in=x\n", "inbox i p in=y\n", "breaking: has in=y now; it was x"},
		{"state retyped", "state s p in=x\n", "state s p in=y\n", "review: has in=y now; it was x"},
		{"state gone", "state s p in=x\n", "", "review: is gone"},
		{"type gone", "type t\n\ta string\n", "", "safe: is gone"},
		{"type moved", "step s p in=[]a.T\ntype a.T\n\tid string\n\tnext *a.T\n\tof map[string]a.U\ntype a.U\n\tn int\n",
			"step s p in=[]b.T\ntype b.T\n\tid string\n\tnext *b.T\n\tof map[string]b.V\ntype b.V\n\tn int\n",
			"safe: has in=[]b.T now, which looks as []a.T did\nsafe: is new\nsafe: is new\nsafe: is gone\nsafe: is gone"},
		{"type moved and changed", "step s p in=a.T\ntype a.T\n\tid string\n", "step s p in=b.T\ntype b.T\n\tid int\n",
			"breaking: has in=b.T now; it was a.T\nsafe: is new\nsafe: is gone"},
		{"slice of what was one", "step s p in=a.T\ntype a.T\n\tid string\n", "step s p in=[]a.T\ntype a.T\n\tid string\n", "breaking: has in=[]a.T now; it was a.T"},
		{"field of a renamed type", "type t\n\ta []p.X\ntype p.X\n\tn int\n", "type t\n\ta []p.Y\ntype p.Y\n\tn int\n", "safe: is new\nsafe: is gone"},
		{"field quoted", "type t\n\ta int\n", "type t\n\ta int,string\n", "breaking: has the field a as int,string now; it was int"},
		{"new field", "type t\n\ta string\n", "type t\n\ta string\n\tb int\n", "safe: has the new field b"},
		{"field gone", "type t\n\ta string\n\tb int\n", "type t\n\ta string\n", "breaking: has no field b any more"},
		{"field retyped", "type t\n\ta string\n", "type t\n\ta int\n", "breaking: has the field a as int now; it was string"},
		{"accepted", "accepted x why=y\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, change := range Compare(parse(t, c.old), parse(t, c.next)) {
				got = append(got, fmt.Sprintf("%s: %s", change.Class, change.What))
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", version, version + "\nstep a p key=ID in=x\n", version + "\nworkflow w p queue=\"a b\"\n\tif\n\t\tstep a\n\telse\n\t\tsleep\n",
		version + "\ntype t\n\ta string\n\t\"b c\" []int\n", version + "\naccepted x why=\"because\"\n", version + "\n# comment\r\n\r\nevent e p\r\n", version + "\nstep \"\" \"\"\n\t\"\"\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse(text)
		if err != nil {
			return
		}
		once := file.Format()
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("%v in what Format wrote:\n%s", err, once)
		}
		if twice := again.Format(); string(once) != string(twice) {
			t.Fatalf("Format is not stable:\n%s\n%s", once, twice)
		}
		if changes := Compare(file, again); len(changes) > 0 {
			t.Fatalf("a file differs from itself: %v", changes)
		}
	})
}
