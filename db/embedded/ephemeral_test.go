//go:build linux || darwin

package embedded

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
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
		current_setting('synchronous_commit'), current_setting('unix_socket_permissions'), '<' || current_setting('listen_addresses') || '>')
		FROM pg_database d WHERE datname = current_database()`)
	if want := "postgres postgres C UTF8 UTC 17 off on 0700 <>"; got != want {
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

// A program may forget the Server and remember its DSN.
func TestForgottenServer(t *testing.T) {
	t.Parallel()
	start := func() string {
		s, err := Start(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.DSN()
	}
	dsn := start()
	for range 20 {
		runtime.GC()
		if got := mustQuery(t, dsn, "SELECT 'up'"); got != "up" {
			t.Fatal(got)
		}
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
