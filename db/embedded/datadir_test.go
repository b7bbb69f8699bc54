//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

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
