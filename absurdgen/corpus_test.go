package absurdgen

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata/*.txtar")

// TestCorpus runs every archive of testdata: one a behaviour, one a mistake. An archive holds Go files; behind them stand
// the generated files (want/...), the diagnostics, and changes other than new files. A line "$ absurdgen ARGS" in its
// comment makes it run alone, with those arguments; all others share one load. Codecs are shown only where the name begins with
// codecs, and are type-checked and vetted everywhere.
func TestCorpus(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	f := sharedFixture()
	check(t, f.err)
	writeModule(t, f.dir, fixturePath)
	cases := make([]*corpusCase, len(paths))
	for i, path := range paths {
		a, err := txtar.ParseFile(path)
		check(t, err)
		c := &corpusCase{file: path, name: strings.TrimSuffix(filepath.Base(path), ".txtar"), archive: a}
		c.args, c.alone = commandLine(string(a.Comment))
		if !c.alone {
			c.dir, c.path = filepath.Join(f.dir, c.name), fixturePath+"/"+c.name
			unpack(t, a, c.dir, c.path)
		}
		cases[i] = c
	}
	f.tree, err = load(t.Context(), f.dir, []string{"./..."}, nil, fixtureEnv(), settings{codecs: true, locked: true})
	check(t, err)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, f)
		})
	}
}

type corpusCase struct {
	file, name string
	archive    *txtar.Archive
	args       []string
	alone      bool
	dir, path  string
}

// commandLine reads the words behind "$ absurdgen" in an archive's comment.
func commandLine(comment string) (args []string, ok bool) {
	for line := range strings.Lines(comment) {
		if rest, ok := strings.CutPrefix(line, "$ absurdgen"); ok {
			return strings.Fields(rest), true
		}
	}
	return nil, false
}

func (c *corpusCase) run(t *testing.T, f *fixture) {
	tree := c.load(t, f)
	p, err := generate(tree, nil)
	var mistakes Diagnostics
	if err != nil && !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	c.compare(t, c.outcome(p, mistakes))
	if err != nil {
		return
	}
	vet(t, p)
	c.withCodecs(t, f)
	again := c.load(t, f)
	again.locked = false
	for _, root := range again.roots {
		root.own = nil
		if text := p.output[root.PkgPath]; text != nil {
			root.own = &source{path: filepath.Join(root.Dir, fileName), text: text}
		}
		reverse(root.sources)
	}
	p, err = generate(again, nil)
	if err != nil {
		t.Fatalf("second run: %v", err)
	}
	if len(p.changes) > 0 {
		t.Errorf("second run, with files in another order: %s is %s", p.changes[0].File, p.changes[0].Kind)
	}
}

// withCodecs generates once more with codecs, which must type-check and vet in every case.
func (c *corpusCase) withCodecs(t *testing.T, f *fixture) {
	tree := c.load(t, f)
	tree.codecs, tree.locked = true, false
	p, err := generate(tree, nil)
	if err != nil {
		t.Fatalf("with codecs: %v", err)
	}
	vet(t, p)
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

func (c *corpusCase) load(t *testing.T, f *fixture) *tree {
	t.Helper()
	if !c.alone {
		part := f.tree.part(c.dir)
		part.codecs = strings.HasPrefix(c.name, "codecs")
		return part
	}
	flags := flag.NewFlagSet("absurdgen", flag.ContinueOnError)
	tags := flags.String("tags", "", "")
	check(t, flags.Parse(c.args))
	c.dir, c.path = tempDir(t), fixturePath
	writeModule(t, c.dir, c.path)
	unpack(t, c.archive, c.dir, c.path)
	var buildFlags []string
	if *tags != "" {
		buildFlags = []string{"-tags=" + *tags}
	}
	tree, err := load(t.Context(), c.dir, flags.Args(), buildFlags, fixtureEnv(), settings{codecs: true, locked: true})
	check(t, err)
	tree.codecs = false
	return tree
}

// outcome is what the archive should say behind its input.
func (c *corpusCase) outcome(p *plan, mistakes Diagnostics) []txtar.File {
	back := func(text []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(c.path), []byte(casePath)), []byte(c.dir), []byte("$DIR"))
	}
	if len(mistakes) > 0 {
		return []txtar.File{{Name: "diagnostics", Data: back([]byte(mistakes.Error() + "\n"))}}
	}
	var files []txtar.File
	var rest bytes.Buffer
	for _, change := range p.changes {
		if change.Kind != New {
			fmt.Fprintf(&rest, "%s %s\n", change.Kind, change.File)
		}
		if change.File == lockName {
			files = append(files, txtar.File{Name: "want/" + lockName, Data: back(change.text)})
		}
	}
	for _, u := range p.units {
		rel, _ := filepath.Rel(c.dir, u.pkg.Dir)
		files = append(files, txtar.File{Name: filepath.ToSlash(filepath.Join("want", rel, fileName)), Data: back(p.output[u.pkg.PkgPath])})
	}
	if rest.Len() > 0 {
		files = append(files, txtar.File{Name: "changes", Data: rest.Bytes()})
	}
	return files
}

func (c *corpusCase) compare(t *testing.T, got []txtar.File) {
	t.Helper()
	full := txtar.Archive{Comment: c.archive.Comment}
	for _, f := range c.archive.Files {
		if !isOutcome(f.Name) {
			full.Files = append(full.Files, f)
		}
	}
	full.Files = append(full.Files, got...)
	text := txtar.Format(&full)
	if *update {
		check(t, os.WriteFile(c.file, text, 0o644))
		return
	}
	if diff := cmp.Diff(string(txtar.Format(c.archive)), string(text)); diff != "" {
		t.Errorf("%s (-want +got); run the test with -update when the new text is right:\n%s", c.file, diff)
	}
}
