package absurdgen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

// A Change is one file that differs from what a run produces.
type Change struct {
	File string `json:"file"` // relative to the directory of the run when it is inside, with slashes
	Kind Kind   `json:"kind"`
	path string
	text []byte
}

// Kind says how a file differs.
type Kind string

// The kinds of change.
const (
	New      Kind = "new"      // it is missing
	Changed  Kind = "changed"  // it has other bytes
	Orphaned Kind = "orphaned" // its package has no annotations any more
)

// changes compares the output with the disk. A package whose absurd_gen.go is not ours is a problem, and so is one that is
// imported without being named, and whose own is not current: what was checked here is not what will be compiled.
func changes(t *tree, units []*unit, output map[string][]byte) (list []Change, problems []diag.Problem) {
	for _, p := range t.roots {
		want := output[p.PkgPath]
		c := Change{path: filepath.Join(p.Dir, fileName), text: want}
		c.File = relative(t.dir, c.path)
		switch {
		case want == nil && p.own == nil, p.own != nil && bytes.Equal(p.own.text, want):
			continue
		case !p.named && want != nil:
			problem := diag.New(unitOf(units, p)[0].handles()[0].d.Pos, diag.NotGenerated, "name "+p.PkgPath+" too, or ./... for all packages",
				"%s is %s, and package %s is imported but not named in this run", fileName, missingOrOld(p), p.PkgPath)
			problems = append(problems, problem)
			continue
		case !p.named:
			continue
		case want == nil && !ours(p.own.text):
			continue // somebody's file of the same name, which is none of our business
		case want == nil:
			c.Kind = Orphaned
		case p.own == nil:
			c.Kind = New
		case !ours(p.own.text):
			problem := diag.New(0, diag.ForeignFile, "move its code into another file", "the file was not written by absurdgen, and would be overwritten")
			problem.Place = diag.Place{File: c.path, Line: 1, Column: 1}
			problems = append(problems, problem)
			continue
		default:
			c.Kind = Changed
		}
		list = append(list, c)
	}
	return list, problems
}

func missingOrOld(p *pkg) string {
	if p.own == nil {
		return "missing"
	}
	return "not current"
}

// ours reports whether absurdgen wrote the file, however it was damaged since: the header is one of its lines, or
// nothing is left of it.
func ours(text []byte) bool {
	for line := range bytes.Lines(text) {
		if string(bytes.TrimRight(line, "\r\n")) == header {
			return true
		}
	}
	return len(bytes.TrimSpace(text)) == 0
}

// apply makes one change. Readers see the old file or the new one, never a part.
func (c Change) apply() (err error) {
	if c.Kind == Orphaned {
		return os.Remove(c.path)
	}
	temp, err := os.CreateTemp(filepath.Dir(c.path), fileName+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temp.Close())
			if rm := os.Remove(temp.Name()); !errors.Is(rm, fs.ErrNotExist) {
				err = errors.Join(err, rm)
			}
		}
	}()
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(c.path); err == nil {
		mode = info.Mode().Perm()
	}
	if _, err := temp.Write(c.text); err != nil {
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), c.path)
}

func applyAll(list []Change) error {
	for _, c := range list {
		if err := c.apply(); err != nil {
			return fmt.Errorf("absurdgen: %w", err)
		}
	}
	return nil
}
