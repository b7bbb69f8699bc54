//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that PostgreSQL runs as: the user of this process, or, as PostgreSQL refuses root, another one.
type account struct {
	uid, gid int
	name     string
	other    bool // not the user of this process
}

func serverAccount(ctx context.Context) (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uid, gid: os.Getegid(), name: userName(uid)}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil && uid != 0 {
			acc := account{uid: uid, gid: gid, name: name, other: true}
			if err := acc.command(ctx, "/bin/sh", "-c", ":").Run(); err != nil { // some containers' root cannot
				return account{}, fmt.Errorf("PostgreSQL does not run as root, and root cannot become %s: %w: "+
					"run as another user, or set DATABASE_URL", name, err)
			}
			return acc, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody " +
		"to run it as: add one, run as another user, or set DATABASE_URL")
}

// command prepares a program that runs as the account, away from the caller's directory and locale.
func (a account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = cleanEnv(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return cmd
}

// own gives a file that this process has made to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// reaches reports whether the account may enter the directory. Only asking as that account gives a true answer.
func (a account) reaches(ctx context.Context, dir string) (bool, error) {
	if !a.other {
		return true, nil
	}
	err := a.command(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", dir).Run()
	if refused := (*exec.ExitError)(nil); ctx.Err() == nil && errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}

// cleanEnv drops what would change how PostgreSQL behaves or reveal a secret to it.
func cleanEnv(env []string) []string {
	kept := make([]string, 0, len(env)+2)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "PG"), strings.HasPrefix(name, "LC_"):
		case name == "LANG", name == "LANGUAGE", name == "TZ", name == "DATABASE_URL":
		default:
			kept = append(kept, kv)
		}
	}
	return append(kept, "LC_ALL=C", "TZ=UTC") // initdb writes the time zone into the configuration
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}

func owner(fi fs.FileInfo) int { return int(fi.Sys().(*syscall.Stat_t).Uid) }

// trustedDir makes a directory if need be, and checks that nobody else can have put something there.
func trustedDir(path string) (string, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !fi.IsDir() || owner(fi) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s must be a directory that belongs to %s and that nobody else can write: remove it",
			path, userName(os.Geteuid()))
	}
	if os.Geteuid() == 0 { // the account that root's servers run as must be able to enter, whatever our umask is
		return path, os.Chmod(path, 0o755)
	}
	return path, nil
}

// cacheDir is where downloads and templates are kept: in the user's cache, or root's, or, where there is none or it
// cannot be written, among the temporary files.
func cacheDir() (string, error) {
	usual := "/var/cache/absurdgen"
	if os.Geteuid() != 0 {
		if dir, err := os.UserCacheDir(); err == nil {
			usual = filepath.Join(dir, "absurdgen")
		}
	}
	if dir, err := trustedDir(usual); err == nil {
		return dir, nil
	}
	return trustedDir(filepath.Join(os.TempDir(), "absurdgen-"+strconv.Itoa(os.Geteuid())))
}
