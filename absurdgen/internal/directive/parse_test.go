package directive

import (
	"go/ast"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	d, problems := Parse(&ast.Comment{Slash: 100, Text: `//absurd:step "name=orders.charge" attempts=5  backoff=2s..1m timeout=30s key=Customer.ID as=Charge`})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := &Step{Name: "orders.charge", Attempts: 5, Backoff: Range{2 * time.Second, time.Minute}, Timeout: Duration(30 * time.Second),
		Key: Path{"Customer", "ID"}, As: "Charge"}
	if d.Verb != "step" || !reflect.DeepEqual(d.Spec, want) {
		t.Errorf("read %s %+v, want %+v", d.Verb, d.Spec, want)
	}
	if got := d.ArgPos("attempts"); got != 100+35 {
		t.Errorf("attempts stands at %d", got)
	}
	if got := d.ArgPos("nothing"); got != 100 {
		t.Errorf("a key that was not written stands at %d", got)
	}
}

// TestHelpCoversTheRegistry wants a text for every verb and key, and none that only repeats the name.
func TestHelpCoversTheRegistry(t *testing.T) {
	t.Parallel()
	docs, err := registryDocs()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs() {
		if !strings.HasPrefix(docs[v.typ.Name()], v.typ.Name()+" makes ") {
			t.Errorf("%s is described as %q", v.name, docs[v.typ.Name()])
		}
		for i := range v.typ.NumField() {
			name := v.typ.Field(i).Name
			if v.typ.Field(i).Tag == "" {
				continue // a part of allow
			}
			if text := docs[v.typ.Name()+"."+name]; !strings.HasPrefix(text, name+" ") || len(text) < len(name)+20 {
				t.Errorf("%s %s is described as %q", v.name, name, text)
			}
		}
	}
}

// TestRepairsAreRight feeds each suggestion back: what a message says to try must be accepted.
func TestRepairsAreRight(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"name=1st", "name=a/b", "name=äöü", "name=" + strings.Repeat("é", 300) + strings.Repeat("a/", 300), "as=x-y", "as=4", "as=_", "as=größe",
		"attempts=0", "timeout=30", "timeout=-1s", "backoff=2s-1m", "backoff=5s", "backoff=1m..2s", "backoff=2..60", "backoff=..", "backoff=a..b", "backoff=-1s..5",
		"backoff=2s...1m", "backoff=1s....", "key=a[0]", "key=.", "unknown=refused"} {
		_, problems := Parse(&ast.Comment{Slash: 1, Text: "//absurd:step " + args})
		if len(problems) != 1 {
			t.Errorf("%s: %d problems", args, len(problems))
			continue
		}
		try, ok := strings.CutPrefix(problems[0].Fix, "try ")
		if !ok {
			t.Errorf("%s: the fix is %q", args, problems[0].Fix)
			continue
		}
		try, _, _ = strings.Cut(try, ", or ")
		if _, again := Parse(&ast.Comment{Slash: 1, Text: "//absurd:step " + try}); len(again) > 0 {
			t.Errorf("%s: the fix %q is refused: %s", args, try, again[0].What)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"//absurd:step name=orders.charge attempts=5 backoff=2s..1m timeout=30s key=Customer.ID as=Charge",
		"//absurd:workflow queue=jobs maxdelay=1h maxduration=720h", "//absurd:event key=ID", "// absurd:step", "//absurd:Step", "//Absurd: workflow",
		"/*absurd:step*/", "//absurdgen:event key=ID", "//absurd:step \"queue=a b\" `key=x`", "//absurd:step \"open", "//absurd:", "//absurd:step =", "//absurd:step a=\"b\"",
		"//absurd:step backoff=..", "//absurd:step backoff=1s...2s", "//absurd:step name==", "//absurd:step key=.", "//\x00absurd:step", "//absurd:step \xff=\xff", "//",
		"//absurd:allow maprange global -- sorted below", "//absurd:allow", "//absurd:allow -- ", "//absurd:allow time time--x", "//absurd:step tx", "//absurd:step tx=1",
		"//absurd:workflow version=2 unknown=refuse", "//absurd:inbox name=a unknown=x", "//absurd:state as=S", "//absurd:undo", "//absurd:schedule cron=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.HasPrefix(text, "//") && !strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "//") && strings.ContainsAny(text, "\r\n") {
			return // no comment that go/scanner would give
		}
		const slash = token.Pos(1000)
		end := slash + token.Pos(len(text))
		d, problems := Parse(&ast.Comment{Slash: slash, Text: text})
		for _, p := range problems {
			if p.Pos < slash || p.Pos > end {
				t.Errorf("%q: [%s] stands at %d, outside the comment", text, p.Slug, p.Pos-slash)
			}
			if p.What == "" || p.Slug == "" || strings.Contains(p.What+p.Fix, "\n") {
				t.Errorf("%q: problem %+v is not a line of text", text, p)
			}
		}
		if d == nil {
			return
		}
		if !Mentions([]byte(text)) {
			t.Errorf("%q is a directive that Mentions overlooks", text)
		}
		for key, pos := range d.Args {
			if pos < slash || pos > end {
				t.Errorf("%q: %s stands outside the comment", text, key)
			}
		}
		if len(problems) == 0 && strings.Contains(text, "name=") && Get[Name](d, "name") != "" && CheckName(string(Get[Name](d, "name"))) != "" {
			t.Errorf("%q: the name %q is accepted", text, Get[Name](d, "name"))
		}
	})
}
