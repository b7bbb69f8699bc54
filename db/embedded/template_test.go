//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Of many that need the same template, one makes it.
func TestTemplateIsMadeOnce(t *testing.T) {
	t.Parallel()
	acc, err := serverAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// An initdb that counts.
	cache := openDirectory(t)
	count := filepath.Join(cache, "count")
	script := fmt.Sprintf("#!/bin/sh\necho once >>'%s'\nfor dir do :; done\necho 15 >\"$dir/PG_VERSION\"\n", count)
	err = errors.Join(os.WriteFile(count, nil, 0o600), acc.own(count), os.WriteFile(filepath.Join(cache, "initdb"), []byte(script), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	counting := binaries{dir: cache, version: "15.1"}
	var (
		wg       sync.WaitGroup
		archives [4]string
		errs     [4]error
	)
	for i := range archives {
		wg.Go(func() { archives[i], errs[i] = template(t.Context(), acc, counting, cache) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for _, a := range archives {
		if a != archives[0] {
			t.Errorf("two archives: %s and %s", a, archives[0])
		}
	}
	if b, _ := os.ReadFile(count); string(b) != "once\n" {
		t.Errorf("initdb ran %d times", strings.Count(string(b), "\n"))
	}
	if rest, _ := filepath.Glob(filepath.Join(cache, "*partial*")); len(rest) != 0 {
		t.Errorf("left over: %s", rest)
	}

	// What a killed builder has left is in nobody's way.
	if err := os.Rename(archives[0], filepath.Join(strings.TrimSuffix(archives[0], ".tar")+".partial")); err != nil {
		t.Fatal(err)
	}
	if _, err := template(t.Context(), acc, counting, cache); err != nil {
		t.Error(err)
	}

	// A template is for one version, one account.
	other := counting
	other.version += ".1"
	if a, err := template(t.Context(), acc, other, cache); err != nil || a == archives[0] {
		t.Errorf("another version got %s, error %v", a, err)
	}
	// A month without use is the end of one.
	long := time.Now().Add(-31 * 24 * time.Hour)
	if err := os.Chtimes(archives[0], long, long); err != nil {
		t.Fatal(err)
	}
	dropUnused(cache, time.Now())
	if left, _ := filepath.Glob(filepath.Join(cache, "template-*.tar")); len(left) != 1 || left[0] == archives[0] {
		t.Errorf("archives after a month: %s", left)
	}
}

func TestDamagedTemplate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cluster", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	content := append([]byte("some"), make([]byte, 100_000)...)
	if err := os.WriteFile(filepath.Join(dir, "cluster", "base", "1"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "cluster.tar")
	if err := pack(filepath.Join(dir, "cluster"), archive); err != nil {
		t.Fatal(err)
	}
	self := account{uid: os.Geteuid(), gid: os.Getegid()}
	if err := unpack(t.Context(), archive, filepath.Join(dir, "good"), self); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "good", "base", "1")); err != nil || string(got) != string(content) {
		t.Errorf("unpacked %d bytes, error %v; packed were %d", len(got), err, len(content))
	}
	if fi, err := os.Stat(archive); err != nil || fi.Size() > 10_000 {
		t.Errorf("zeros are in the archive: %v %v", fi.Size(), err)
	}
	for _, size := range []int64{2500, 2048, 1500, 0} { // inside an entry and between two
		if err := os.Truncate(archive, size); err != nil {
			t.Fatal(err)
		}
		err := unpack(t.Context(), archive, filepath.Join(dir, fmt.Sprint("bad", size)), self)
		if err == nil || !strings.Contains(err.Error(), archive+" is damaged, remove it") {
			t.Errorf("cut to %d bytes: error is %v", size, err)
		}
	}
}
