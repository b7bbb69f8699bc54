//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// binaries are a PostgreSQL that can be run: a directory with postgres and initdb.
type binaries struct {
	dir     string
	version string // as postgres --version says it
	major   int
}

// installed are the directories that packages of PostgreSQL for the supported systems use.
func installed() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Red Hat, from postgresql.org
		"/usr/lib/postgresql*/bin",                           // SUSE
		"/usr/libexec/postgresql*",                           // Alpine
		"/usr/local/pgsql/bin",                               // from source
		"/opt/PostgreSQL/*/bin",                              // EnterpriseDB
		"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple processors
		"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
		"/Library/PostgreSQL/*/bin",                          // EnterpriseDB on macOS
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		"/opt/local/lib/postgresql*/bin",                     // MacPorts
	}
}

// search looks for binaries and remembers what it has seen.
type search struct {
	acc   account
	want  int // major version, 0: any
	env   func(string) string
	globs []string

	tried []string
	seen  map[string]bool
	other binaries // the first of another major version than wanted
}

func newSearch(acc account, want int) *search {
	return &search{acc: acc, want: want, env: os.Getenv, globs: installed(), seen: map[string]bool{}}
}

// find returns the binaries that PG_BIN names, or else the first that are installed here or were downloaded before, or
// else, if nothing is there at all or o.Version asks for it, downloads some.
func (s *search) find(ctx context.Context, o Options, cache string) (binaries, error) {
	if bin, err := s.local(ctx); err != nil || bin.dir != "" {
		return bin, err
	}
	rel, pinned := releaseOf(s.want)
	_, err := os.Stat(rel.dir(cache))
	present := pinned && err == nil
	if present {
		if bin, ok := s.try(ctx, "download", rel.bin(cache)); ok {
			return bin, nil
		}
	}
	if s.other.dir != "" && o.Version == 0 {
		return binaries{}, s.mismatch()
	}
	notFound := &NotFoundError{Version: s.want, Install: installCommand()}
	switch {
	case !pinned:
		s.note("download: there is no PostgreSQL %sfor %s/%s", s.wanted(), runtime.GOOS, runtime.GOARCH)
	case present:
		s.note("download: remove %s to have it downloaded again", rel.dir(cache))
	case o.NoDownload:
		s.note("download: forbidden by Options.NoDownload")
	default:
		notFound.Err = newDownload(rel, cache, o.Announce).run(ctx)
		if notFound.Err != nil {
			s.note("download: %v", notFound.Err)
		} else if bin, ok := s.try(ctx, "download", rel.bin(cache)); ok {
			return bin, nil
		}
	}
	notFound.Tried = s.tried
	return binaries{}, notFound
}

func (s *search) mismatch() *VersionError {
	return &VersionError{Want: s.want, Bin: s.other.dir, Have: s.other.major}
}

// wanted is the wanted version for a message, with a space behind it, empty if any will do.
func (s *search) wanted() string {
	if s.want == 0 {
		return ""
	}
	return strconv.Itoa(s.want) + " "
}

func (s *search) note(format string, args ...any) {
	s.tried = append(s.tried, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// local returns the first binaries on this machine that fit, or none. PG_BIN, where set, is the only place looked at.
func (s *search) local(ctx context.Context) (binaries, error) {
	if dir := s.env("PG_BIN"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return binaries{}, fmt.Errorf("PG_BIN: %w", err)
		}
		bin, ok := s.try(ctx, "PG_BIN", abs)
		switch {
		case ok:
			return bin, nil
		case s.other.dir != "":
			return binaries{}, s.mismatch()
		default:
			return binaries{}, fmt.Errorf("%s; it must be the directory that holds postgres and initdb", s.tried[0])
		}
	}
	s.note("PG_BIN: not set")
	for _, from := range []struct {
		name string
		dirs []string
	}{
		{"PATH", withPostgres(filepath.SplitList(s.env("PATH")))},
		{"pg_config --bindir", s.pgConfig(ctx)},
		{"the usual directories", s.usual()},
	} {
		if len(from.dirs) == 0 {
			s.note("%s: no postgres", from.name)
		}
		for _, dir := range from.dirs {
			if bin, ok := s.try(ctx, from.name, dir); ok {
				return bin, nil
			}
		}
	}
	return binaries{}, nil
}

// withPostgres returns those directories that have a file postgres.
func withPostgres(dirs []string) []string {
	return slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "postgres"))
		return err != nil || !filepath.IsAbs(dir)
	})
}

func (s *search) pgConfig(ctx context.Context) []string {
	for _, dir := range filepath.SplitList(s.env("PATH")) {
		name := filepath.Join(dir, "pg_config")
		if fi, err := os.Stat(name); err != nil || fi.IsDir() || !filepath.IsAbs(dir) {
			continue
		}
		out, err := s.acc.command(ctx, name, "--bindir").Output()
		if err != nil {
			s.note("pg_config --bindir: %s: %v", name, err)
			return nil
		}
		return withPostgres([]string{strings.TrimSpace(string(out))})
	}
	return nil
}

// usual returns the directories of installed packages, the highest version first.
func (s *search) usual() []string {
	var dirs []string
	for _, g := range s.globs {
		found, _ := filepath.Glob(g)
		dirs = append(dirs, withPostgres(found)...)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return pathVersion(b) - pathVersion(a) })
	return dirs
}

var numbers = regexp.MustCompile(`([0-9]+)[0-9.]*`)

// pathVersion returns the last number in a path, without what follows a dot, or -1. In those that installed returns it
// is the major version.
func pathVersion(dir string) int {
	all := numbers.FindAllStringSubmatch(dir, -1)
	if len(all) == 0 {
		return -1
	}
	v, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		return -1
	}
	return v
}

// versionOutput is what postgres --version and initdb --version print.
var versionOutput = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[^\n]*)`)

// try checks one directory. It returns true if its binaries work, for the account, and are of the wanted version.
func (s *search) try(ctx context.Context, from, dir string) (binaries, bool) {
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		s.note("%s: no postgres in %s", from, dir)
		return binaries{}, false
	}
	bin := binaries{dir: filepath.Dir(server)} // initdb and the server's other files are beside the real one
	if s.seen[server] {
		return binaries{}, false
	}
	s.seen[server] = true
	if filepath.Base(server) != "postgres" || isScript(server) {
		s.note("%s: %s stands for the server but is not it", from, server)
		return binaries{}, false
	}
	for _, name := range []string{"initdb", "postgres"} {
		out, err := s.acc.command(ctx, filepath.Join(bin.dir, name), "--version").CombinedOutput()
		m := versionOutput.FindSubmatch(out)
		switch {
		case errors.Is(err, os.ErrNotExist):
			s.note("%s: %s has no %s that can run here", from, bin.dir, name)
		case err != nil:
			s.note("%s: %s --version, as %s: %v %s", from, filepath.Join(bin.dir, name), s.acc.name, err, firstLine(out))
		case m == nil:
			s.note("%s: %s --version does not name a version: %s", from, filepath.Join(bin.dir, name), firstLine(out))
		default:
			bin.version = string(m[1])
			bin.major, _ = strconv.Atoi(string(m[2]))
			continue
		}
		return binaries{}, false
	}
	switch {
	case bin.major < oldest:
		s.note("%s: %s is PostgreSQL %d, too old", from, bin.dir, bin.major)
		return binaries{}, false
	case s.want != 0 && bin.major != s.want:
		s.note("%s: %s is PostgreSQL %d", from, bin.dir, bin.major)
		if s.other.dir == "" {
			s.other = bin
		}
		return binaries{}, false
	}
	return bin, true
}

// isScript reports whether a file is a shell script. One that does not replace itself by the server would be what is
// stopped in its stead.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "#!"
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// installCommand returns what installs PostgreSQL on this system.
func installCommand() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17"
	}
	b, _ := os.ReadFile("/etc/os-release")
	command := installOn(string(b))
	if os.Geteuid() != 0 && !strings.HasPrefix(command, "install ") {
		command = "sudo " + command
	}
	return command
}

func installOn(osRelease string) string {
	var ids []string // the system, and those it is like
	for line := range strings.Lines(osRelease) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), "="); k == "ID" || k == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(v, `"'`))...)
		}
	}
	for _, system := range []struct{ id, command string }{
		{"debian", "apt-get install postgresql"},
		{"fedora", "dnf install postgresql-server"},
		{"rhel", "dnf install postgresql-server"},
		{"alpine", "apk add postgresql"},
		{"arch", "pacman -S postgresql"},
		{"suse", "zypper install postgresql-server"},
	} {
		if slices.Contains(ids, system.id) {
			return system.command
		}
	}
	return "install PostgreSQL with the package manager of this system"
}
