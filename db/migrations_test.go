package db

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestLoadMigrations(t *testing.T) {
	t.Parallel()
	files := func(names ...string) fstest.MapFS {
		fsys := fstest.MapFS{}
		for _, name := range names {
			fsys["migrations/"+name] = &fstest.MapFile{Data: []byte("select 1;")}
		}
		return fsys
	}
	for _, test := range []struct {
		files fstest.MapFS
		want  string // the names, or part of the error
	}{
		{files("0020_b.sql", "0003_a.sql", "notes.txt"), "0003_a 0020_b"},
		{files("0003_a.sql", "0003_b.sql"), "0003_a and 0003_b have the same number"},
		{files("3_a.sql"), "name it like 0020_workers.sql"},
		{files("0003.sql"), "name it like 0020_workers.sql"},
		{files("abcd_a.sql"), "name it like 0020_workers.sql"},
		{files("0000_a.sql"), "name it like 0020_workers.sql"},
	} {
		migrations, err := loadMigrations(test.files)
		var names []string
		for _, m := range migrations {
			names = append(names, m.String())
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%v: %s, want %s", test.files, got, test.want)
		}
	}
}

func TestStatusTellsGapsFromChanges(t *testing.T) {
	t.Parallel()
	known := []migration{{version: 1, name: "a", checksum: "x"}, {version: 3, name: "b", checksum: "y"}, {version: 5, name: "c", checksum: "z"}}
	for _, test := range []struct {
		applied map[int]string
		want    State
	}{
		{map[int]string{}, StateNotInstalled},
		{map[int]string{1: "x", 3: "y", 5: "z"}, StateCurrent},
		{map[int]string{1: "x", 5: "z"}, StateTooOld}, // 3 came with a merge, after 5 was applied
		{map[int]string{1: "x", 3: "other"}, StateChanged},
		{map[int]string{1: "x", 2: "gone", 3: "y", 5: "z"}, StateChanged},
		{map[int]string{1: "x", 3: "other", 9: "new"}, StateTooNew}, // whoever made 9 may have had reasons
	} {
		status := Status{Latest: 5}
		status.compare(test.applied, known)
		if status.State != test.want {
			t.Errorf("%v: %v, want %v", test.applied, status.State, test.want)
		}
	}
}
