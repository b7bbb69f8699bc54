//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newDir returns a directory for a persistent server that has no data yet.
func newDir(t *testing.T) string { return filepath.Join(openDirectory(t), "pg") }

// initializedDir returns one with data, which is made faster here than by initdb.
func initializedDir(t *testing.T) string {
	t.Helper()
	dir := newDir(t)
	acc, err := serverAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := newSearch(acc, 0).find(t.Context(), Options{}, cache)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := template(t.Context(), acc, bin, cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), archive, filepath.Join(dir, "data"), acc); err != nil {
		t.Fatal(err)
	}
	return dir
}

// filledDir starts a server in dir and stops it, and returns dir: the directory of a stopped persistent server with a table t that holds one row, 'kept'.
func filledDir(t *testing.T, dir string) string {
	t.Helper()
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mustQuery(t, s.DSN(), "CREATE TABLE t AS SELECT 'kept'::text AS v")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPersistentKeepsData(t *testing.T) {
	t.Parallel()
	dir := filledDir(t, newDir(t))
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := mustQuery(t, s.DSN(), "SELECT v || current_setting('fsync') FROM t"); got != "kepton" {
		t.Errorf("value and fsync are %q", got)
	}
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "database system was shut down at") {
		t.Errorf("the server was not shut down properly before:\n%s", log)
	}
	if strings.Contains(string(log), "incomplete startup packet") {
		t.Errorf("looking at the server disturbs it:\n%s", log)
	}
}

// The server lives as long as its last user, whoever started it.
func TestOwnerLeaves(t *testing.T) {
	t.Parallel()
	o := Options{Dir: initializedDir(t)}
	first := startUser(t, o, nil)
	second := startUser(t, o, nil)
	if first.Server != second.Server {
		t.Fatalf("two servers: %d and %d", first.Server, second.Server)
	}
	first.kill()
	second.wantUp()
	third := startUser(t, o, nil)
	if got := second.ask("stop"); got != "stopped" {
		t.Fatal(got)
	}
	third.wantUp()
	if third.Server != first.Server {
		t.Error("the server was replaced")
	}
	third.kill()
	third.wantGone()
	if _, err := os.Stat(filepath.Join(o.Dir, "data", "PG_VERSION")); err != nil {
		t.Errorf("the data is gone: %v", err)
	}
}

func TestSixStartersAtOnce(t *testing.T) {
	t.Parallel()
	o := Options{Dir: newDir(t)}
	var users []*program
	for range 6 {
		users = append(users, launchUser(t, o, nil))
	}
	for _, u := range users {
		u.await()
		if u.Err != "" {
			t.Fatal(u.Err)
		}
		if u.Server != users[0].Server {
			t.Errorf("two servers: %d and %d", u.Server, users[0].Server)
		}
		u.wantUp()
	}
	for _, u := range users {
		u.kill()
	}
	users[0].wantGone()
}

// A user that comes while the server stops gets a new one, and never a dying one.
func TestStartWhileStopping(t *testing.T) {
	t.Parallel()
	o := Options{Dir: initializedDir(t)}
	u := startUser(t, o, nil)
	for range 10 {
		next := launchUser(t, o, nil)
		u.kill()
		next.await()
		if next.Err != "" {
			t.Fatal(next.Err)
		}
		next.wantUp()
		u = next
	}
	u.kill()
	u.wantGone()
}

// A user that comes when the supervisor has seen the last one go, but not yet closed the door, is not lost.
func TestUserComesInTheLastMoment(t *testing.T) {
	t.Parallel()
	o := Options{Dir: initializedDir(t)}
	// The supervisor closes the door by mv, which here takes as long as the file gate is there.
	dir := openDirectory(t)
	gate, waiting := filepath.Join(dir, "gate"), filepath.Join(dir, "waiting")
	mv := fmt.Sprintf("#!/bin/sh\n[ -e '%s' ] && : >'%s'\nwhile [ -e '%s' ]; do sleep 0.01; done\nPATH='%s' exec mv \"$@\"\n",
		gate, waiting, gate, os.Getenv("PATH"))
	err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "mv"), []byte(mv), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	first := startUser(t, o, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH")) })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first.kill()
	exists := func(path string) bool {
		_, err := os.Lstat(path)
		return err == nil
	}
	eventually(t, "the supervisor closes the door", func() bool { return exists(waiting) })
	second := startUser(t, o, nil)
	if second.Server != first.Server {
		t.Errorf("two servers: %d and %d", first.Server, second.Server)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	third := startUser(t, o, nil) // waits while the door is closed
	if third.Server != first.Server {
		t.Errorf("two servers: %d and %d", first.Server, third.Server)
	}
	second.wantUp()
	second.kill()
	third.wantUp()
	third.kill()
	third.wantGone()
}
