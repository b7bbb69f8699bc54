//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEphemeral(t *testing.T) {
	t.Parallel()
	// None of this may reach the server or change where the DSN leads.
	u := startUser(t, Options{Settings: map[string]string{"Max_Connections": "17"}}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "PGHOST=nowhere.invalid", "PGPORT=1", "PGUSER=eve", "PGDATABASE=eve", "PGDATA=/nowhere",
			"PGSSLMODE=verify-full", "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8", "TZ=Asia/Tokyo")
	})
	got := u.ask(`SELECT concat_ws(' ', current_user, current_database(), d.datcollate, pg_encoding_to_char(d.encoding),
		current_setting('TimeZone'), current_setting('max_connections'), current_setting('fsync'),
		current_setting('synchronous_commit'), '<' || current_setting('listen_addresses') || '>')
		FROM pg_database d WHERE datname = current_database()`)
	if want := "postgres postgres C UTF8 UTC 17 off on <>"; got != want {
		t.Errorf("server is %q, want %q", got, want)
	}
	if got := u.ask("stop"); got != "stopped" {
		t.Fatal(got)
	}
	if _, err := os.Lstat(u.Run); !os.IsNotExist(err) {
		t.Errorf("after Stop there is still %s (%v)", u.Run, err)
	}
	u.wantGone()
	if got := u.ask("stop"); got != "stopped" {
		t.Errorf("second Stop: %s", got)
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	const sql = "SELECT current_setting('fsync') || current_setting('full_page_writes') || current_setting('synchronous_commit')"
	if got := mustQuery(t, s.DSN(), sql); got != "ononon" {
		t.Errorf("fsync, full_page_writes, synchronous_commit are %s", got)
	}
	if strings.HasPrefix(stateOf(s).Data, "/dev/shm") {
		t.Error("a durable server is in memory")
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"public":       {Options{Settings: map[string]string{"Listen_Addresses": "*"}}, "Listen_Addresses cannot be chosen"},
		"no name":      {Options{Settings: map[string]string{"fsync = off\nport": "1"}}, "is not the name of a PostgreSQL setting"},
		"unknown name": {Options{Settings: map[string]string{"work_men": "1MB"}}, `unrecognized configuration parameter "work_men"`},
		"old":          {Options{Version: 9}, "PostgreSQL 14 is the oldest supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Start(t.Context(), c.options)
			if err == nil {
				s.Stop()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "embedded:") != 1 {
				t.Errorf("error is %q, want it to contain %q, and its prefix once", err, c.want)
			}
		})
	}
}

func TestKilledUserLeavesNothing(t *testing.T) {
	t.Parallel()
	u := startUser(t, Options{}, nil)
	u.wantUp()
	u.kill()
	u.wantGone()
}

// A process that is killed before there is anything to stop leaves nothing either.
func TestKilledWhilePreparing(t *testing.T) {
	t.Parallel()
	acc, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	run, err := makeRun(t.Context(), acc, o.Log, ephemeralPrefix, temporaries()...)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	p := ephemeralPlace(acc, run)
	lock, err := tryLock(p.lock)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	l, err := p.launch(o, binaries{dir: "/nowhere"}, lock, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := mkdirAndFill(p.data); err != nil {
		t.Fatal(err)
	}
	l.close() // as the kernel does for a killed process
	eventually(t, run+" is swept", func() bool {
		_, err := os.Lstat(run)
		return os.IsNotExist(err)
	})
}

func mkdirAndFill(dir string) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever user sweeps
		return err
	}
	return os.WriteFile(filepath.Join(dir, "half"), nil, 0o666)
}

// What outlives even its supervisors is swept by the next one who starts a server.
func TestSweepAfterEverybodyWasKilled(t *testing.T) {
	t.Parallel()
	for name, serverToo := range map[string]bool{"server lives": false, "server killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUser(t, Options{}, nil)
			parent, child := supervisors(t, u.Server)
			u.killSupervisors([]int{parent, child})
			if serverToo {
				kill9(t, u.Server)
				eventually(t, "the server's processes are gone", func() bool {
					f, err := tryLock(u.Lock)
					if err == nil {
						f.Close()
					}
					return err == nil
				})
			}
			acc, err := serverAccount()
			if err != nil {
				t.Fatal(err)
			}
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(u.Run, old, old); err != nil {
				t.Fatal(err)
			}
			sweepStale(filepath.Dir(u.Run), acc, slog.New(slog.DiscardHandler))
			if _, err := os.Lstat(u.Run); err != nil {
				t.Fatalf("swept while its user lives: %v", err)
			}
			u.kill()
			sweepStale(filepath.Dir(u.Run), acc, slog.New(slog.DiscardHandler))
			u.wantGone()
		})
	}
}

func TestKilledServerLeavesNothing(t *testing.T) {
	t.Parallel()
	u := startUser(t, Options{}, nil)
	b, err := os.ReadFile(filepath.Join(u.Data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	segment := strings.Fields(strings.Split(string(b), "\n")[6])[1]
	kill9(t, u.Server)
	u.kill()
	u.wantGone()
	if out, err := exec.Command("ipcs", "-m", "-i", segment).CombinedOutput(); err == nil && strings.Contains(string(out), "cuid") {
		t.Errorf("shared memory segment %s is left:\n%s", segment, out)
	}
}

// Of many that need the same template, one makes it.
func TestTemplateIsMadeOnce(t *testing.T) {
	t.Parallel()
	acc, err := serverAccount()
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

func TestOpenPrefersDatabaseURL(t *testing.T) {
	const dsn = "postgres://somebody@db.invalid/app"
	t.Setenv("DATABASE_URL", dsn)
	s, err := Open(t.Context(), Options{Dir: "/dev/null/impossible"})
	if err != nil {
		t.Fatal(err)
	}
	if s.DSN() != dsn {
		t.Errorf("DSN is %s", s.DSN())
	}
	if command, err := s.Keep(); command != "" || err != nil {
		t.Errorf("Keep: %q, %v", command, err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
