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

func serverAccount() (account, error) {
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
			return account{uid: uid, gid: gid, name: name, other: true}, nil
		}
	}
	return account{}, errors.New("embedded: PostgreSQL does not run as root, and there is no user postgres or nobody " +
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
func (a account) reaches(ctx context.Context, dir string) bool {
	return !a.other || a.command(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", dir).Run() == nil
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

// systemDir returns a directory for things of the account, made if need be. It can be trusted: only this process's
// user can have put something there.
func systemDir(path string) (string, error) {
	// PostgreSQL, which runs as another user, must be able to enter root's directory.
	perm := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		perm = 0o755
	}
	if err := os.MkdirAll(path, perm); err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	if !fi.IsDir() || owner(fi) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("embedded: %s must be a directory that belongs to %s and that nobody else can write: remove it",
			path, userName(os.Geteuid()))
	}
	return path, nil
}

// cacheDir is where downloads and templates are kept.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return systemDir("/var/cache/absurdgen")
	}
	if dir, err := os.UserCacheDir(); err == nil {
		if dir, err = systemDir(filepath.Join(dir, "absurdgen")); err == nil {
			return dir, nil
		}
	}
	// No home directory, or one that cannot be written.
	return systemDir(filepath.Join(os.TempDir(), "absurdgen-"+strconv.Itoa(os.Geteuid())))
}
