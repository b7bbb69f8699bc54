//go:build linux || darwin

package embedded

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be other users")
	}
}

// as makes a program run as another user, with a cache of its own.
func as(t *testing.T, uid int) func(*exec.Cmd) {
	t.Helper()
	dir := openDirectory(t)
	exe := filepath.Join(dir, "program")
	// By a program of its own: a descriptor for writing here could be copied into a child that is just being forked.
	if out, err := exec.Command("cp", os.Args[0], exe).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	home := filepath.Join(dir, "home")
	if err := errors.Join(os.Chmod(exe, 0o755), os.Mkdir(home, 0o700), os.Chown(home, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = exe, "/"
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CACHE_HOME="+home)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
}

// ordinaryUser returns the id of a user that is not root.
func ordinaryUser(t *testing.T) int {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil || uid < 0 {
		t.Skip("nobody has no id")
	}
	return uid
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	uid := ordinaryUser(t)
	for name, dir := range map[string]string{"ephemeral": "", "persistent": filepath.Join(openDirectory(t), "pg")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if dir != "" {
				if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, uid)); err != nil {
					t.Fatal(err)
				}
			}
			u := startUser(t, Options{Dir: dir}, as(t, uid))
			u.wantUp()
			fi, err := os.Stat(u.Data)
			if err != nil {
				t.Fatal(err)
			}
			if owner(fi) != uid {
				t.Errorf("the data belongs to %s", userName(owner(fi)))
			}
			u.kill()
			u.wantGone()
			if dir == "" {
				return
			}
			// Root's server would run as another user than the data belongs to.
			_, err = Start(t.Context(), Options{Dir: dir})
			acc, accErr := serverAccount(t.Context())
			if accErr != nil || acc.uid == uid {
				t.Skip("root's server would run as the same user")
			}
			want := filepath.Join(dir, "data") + " belongs to nobody, and PostgreSQL would run as " + acc.name
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error is %v, want it to contain %q", err, want)
			}
		})
	}
}

func TestDirOfSomebodyElse(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := launchUser(t, Options{Dir: filledDir(t, initializedDir(t))}, as(t, ordinaryUser(t)))
	u.await()
	if !strings.Contains(u.Err, "belongs to root, and PostgreSQL would run as nobody") {
		t.Errorf("error is %q", u.Err)
	}
}

func TestStrictUmask(t *testing.T) {
	t.Parallel()
	u := startUser(t, Options{}, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `umask 077; exec "$0"`, os.Args[0]}
	})
	u.wantUp()
	u.kill()
	u.wantGone()
}

func TestUserWithoutName(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const uid = 54321
	if _, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		t.Skip("the user has a name here")
	}
	u := launchUser(t, Options{}, as(t, uid))
	u.await()
	if !strings.Contains(u.Err, "uid 54321 has no passwd entry") {
		t.Errorf("error is %q", u.Err)
	}
}

// Root's directories are often closed to the user that the server runs as.
func TestClosedDir(t *testing.T) {
	t.Parallel()
	needRoot(t)
	closed := filepath.Join(openDirectory(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filledDir(t, filepath.Join(closed, "pg"))
	target, err := os.Readlink(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(target) })
	if filepath.Dir(target) != rootData {
		t.Errorf("the data is in %s", target)
	}
	u := startUser(t, Options{Dir: dir}, nil)
	if got := u.ask("SELECT v FROM t"); got != "kept" {
		t.Errorf("the table says %q", got)
	}
	u.kill()
	u.wantGone()
	// What others can write is not trusted.
	if err := os.Chmod(target, 0o777); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(t.Context(), Options{Dir: dir}); err == nil {
		s.Stop()
		t.Error("the server has started on data that everybody can write")
	} else if !strings.Contains(err.Error(), "has invalid permissions") {
		t.Errorf("error is %v", err)
	}
}

func TestCleanEnv(t *testing.T) {
	t.Parallel()
	got := cleanEnv([]string{"PATH=/bin", "PGHOST=h", "PGDATA=/d", "LC_ALL=tr_TR", "LC_TIME=tr_TR", "LANG=tr_TR", "LANGUAGE=tr", "TZ=Asia/Tokyo",
		"DATABASE_URL=secret", "LD_LIBRARY_PATH=/lib"})
	if want := []string{"PATH=/bin", "LD_LIBRARY_PATH=/lib", "LC_ALL=C", "TZ=UTC"}; !slices.Equal(got, want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
}

func TestTrustedDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	if _, err := trustedDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := trustedDir(dir); err == nil || !strings.Contains(err.Error(), "nobody else can write") {
		t.Errorf("error is %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := trustedDir(link); err == nil {
		t.Error("a link is trusted")
	}
}
