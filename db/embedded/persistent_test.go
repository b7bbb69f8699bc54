//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"ephemeral": {}, "persistent": {Dir: initializedDir(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUser(t, o, nil)
			command := u.ask("keep")
			u.kill()
			eventually(t, "the supervisor knows that no user is left", func() bool {
				u.wantKept()
				return !place{run: u.Run}.inUse()
			})
			if o.Dir != "" { // joining and leaving changes nothing
				other := startUser(t, o, nil)
				if got := other.ask("stop"); got != "stopped" || other.Server != u.Server {
					t.Errorf("server %d, want %d; %s", other.Server, u.Server, got)
				}
			}
			u.wantKept()
			if out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v %s", command, err, out)
			}
			u.wantGone()
		})
	}
}

// Who stops a server by hand does so for all of its users.
func TestStoppedUnderItsUser(t *testing.T) {
	t.Parallel()
	u := startUser(t, Options{}, nil)
	if out, err := exec.Command("/bin/sh", "-c", u.ask("keep")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	u.wantGone()
	if got := u.ask("stop"); got != "stopped" {
		t.Error(got)
	}
}

func (u *program) wantKept() {
	u.t.Helper()
	mustQuery(u.t, u.DSN, "SELECT 'up'")
}

func TestVersionMismatch(t *testing.T) {
	t.Parallel()
	dir := initializedDir(t)
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	version := filepath.Join(dir, "data", "PG_VERSION")
	was, err := os.ReadFile(version)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(version, []byte("97\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Options{Dir: dir})
	var mismatch *VersionError
	if !errors.As(err, &mismatch) {
		t.Fatalf("error is %v", err)
	}
	have := strings.TrimSpace(string(was))
	if mismatch.Want != 97 || strconv.Itoa(mismatch.Have) != have || mismatch.Data != filepath.Join(dir, "data") {
		t.Errorf("error is %+v", mismatch)
	}
	for _, want := range []string{"made by PostgreSQL 97", "holds PostgreSQL " + have, "install PostgreSQL 97", "PG_BIN", "pg_dumpall"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	_, err = Start(t.Context(), Options{Dir: dir, Version: mismatch.Have})
	if err == nil || !strings.Contains(err.Error(), "was made by PostgreSQL 97") {
		t.Errorf("with Options.Version: error is %v", err)
	}

	// Nothing was touched.
	if err := os.WriteFile(version, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Start(t.Context(), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestUnusableDir(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a data directory itself": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("15\n"), 0o600) },
			"is a data directory of PostgreSQL itself",
		},
		"something else named data": {
			func(dir string) error {
				data := filepath.Join(dir, "data")
				acc, err := serverAccount(t.Context())
				return errors.Join(err, os.Mkdir(data, 0o700), acc.own(data), os.WriteFile(filepath.Join(data, "mine"), nil, 0o600))
			},
			"is there, but is no data directory of PostgreSQL",
		},
		"data that is gone": {
			func(dir string) error { return os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "data")) },
			"nowhere, which is gone",
		},
		"of an ancient version": {
			func(dir string) error {
				data := filepath.Join(dir, "data")
				acc, err := serverAccount(t.Context())
				return errors.Join(err, os.Mkdir(data, 0o700), acc.own(data),
					os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9.6\n"), 0o600))
			},
			`says "9.6": versions before 14 are not supported`,
		},
		"a file": {
			func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
			"not a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openDirectory(t)
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "embedded:") != 1 {
				t.Errorf("error is %v, want it to contain %q", err, c.want)
			}
		})
	}
}

// In a container process ids repeat: the one in postmaster.pid may be anybody's.
func TestStalePostmasterPid(t *testing.T) {
	t.Parallel()
	dir := filledDir(t, initializedDir(t))
	acc, err := serverAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := acc.command(context.Background(), "/bin/cat") // alive, of the same account, and no server
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	pid := filepath.Join(dir, "data", "postmaster.pid")
	run, err := os.Readlink(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	content := strconv.Itoa(other.Process.Pid) + "\n" + filepath.Join(dir, "data") + "\n1\n5432\n" + run + "\n\n  1 1\nready   \n"
	if err := errors.Join(os.WriteFile(pid, []byte(content), 0o600), acc.own(pid)); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := mustQuery(t, s.DSN(), "SELECT v FROM t"); got != "kept" {
		t.Errorf("the table says %q", got)
	}
}

func TestServerStartedByOtherMeans(t *testing.T) {
	t.Parallel()
	dir := filledDir(t, initializedDir(t))
	acc, err := serverAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bin, err := newSearch(acc, 0).find(t.Context(), Options{NoDownload: true}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	cmd := acc.command(context.Background(), filepath.Join(bin.dir, "postgres"), "-D", data, "-k", data, "-h", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGINT)
	p := place{data: data}
	eventually(t, "the other server is ready", func() bool {
		pm, err := p.postmaster()
		return err == nil && pm.ready
	})
	_, err = Start(t.Context(), Options{Dir: dir})
	want := "(PID " + strconv.Itoa(cmd.Process.Pid) + ") running in data directory"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want it to contain %q", err, want)
	}
	if got := mustQuery(t, socketDSN(data), "SELECT v FROM t"); got != "kept" {
		t.Errorf("the other server says %q", got)
	}
}

// The path of a socket may have 107 bytes, on macOS 103. Directories are often longer.
func TestLongDirectories(t *testing.T) {
	t.Parallel()
	long := filepath.Join(openDirectory(t), strings.Repeat("long/", 30))
	if err := os.MkdirAll(long, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{"ephemeral": {Durable: true}, "persistent": {Dir: filepath.Join(long, "it's")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUser(t, o, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TMPDIR="+long) })
			u.wantUp()
			u.kill()
			u.wantGone()
		})
	}
}
