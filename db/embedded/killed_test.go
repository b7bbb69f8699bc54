//go:build linux || darwin

package embedded

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestKilledSupervisors(t *testing.T) {
	t.Parallel()
	for name, which := range map[string]func(parent, child int) []int{
		"both":   func(parent, child int) []int { return []int{parent, child} },
		"parent": func(parent, _ int) []int { return []int{parent} },
		"child":  func(_, child int) []int { return []int{child} },
	} {
		t.Run(name+", then another user comes", func(t *testing.T) {
			t.Parallel()
			o := Options{Dir: initializedDir(t)}
			first := startUser(t, o, nil)
			first.killSupervisors(which(supervisors(t, first.Server)))
			second := startUser(t, o, nil)
			if first.Server != second.Server {
				t.Errorf("two servers: %d and %d", first.Server, second.Server)
			}
			first.kill()
			second.wantUp()
			second.kill()
			second.wantGone()
		})
		t.Run(name+", then the user stops", func(t *testing.T) {
			t.Parallel()
			u := startUser(t, Options{}, nil)
			u.killSupervisors(which(supervisors(t, u.Server)))
			u.wantUp()
			if got := u.ask("stop"); got != "stopped" {
				t.Fatal(got)
			}
			u.wantGone()
		})
	}
}

// killSupervisors kills them. If those are both, it waits until they have let go of live.
func (u *program) killSupervisors(pids []int) {
	u.t.Helper()
	kill9(u.t, pids...)
	eventually(u.t, "they are dead", func() bool { return len(pids) == 1 || !place{run: u.Run}.supervised() })
}

func TestKilledPostmaster(t *testing.T) {
	t.Parallel()
	o := Options{Dir: filledDir(t, initializedDir(t))}
	first := startUser(t, o, nil)
	kill9(t, first.Server)
	eventually(t, "the server is dead", func() bool { return !place{run: first.Run}.listening() })
	second := startUser(t, o, nil) // while the first one still holds what it had
	if got := second.ask("SELECT v FROM t"); got != "kept" {
		t.Errorf("the table says %q", got)
	}
	first.kill()
	second.wantUp()
	second.kill()
	second.wantGone()
}

func TestKilledEverything(t *testing.T) {
	t.Parallel()
	o := Options{Dir: filledDir(t, initializedDir(t))}
	u := startUser(t, o, nil)
	parent, child := supervisors(t, u.Server)
	u.killSupervisors([]int{parent, child})
	kill9(t, u.Server)
	u.kill()
	eventually(t, "the server is dead", func() bool { return !place{run: u.Run}.listening() })
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := mustQuery(t, s.DSN(), "SELECT v FROM t"); got != "kept" {
		t.Errorf("the table says %q", got)
	}
	u.wantSwept()
}

// Ctrl-C reaches the whole process group of a terminal. The server is not in it: its users still need it.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"ephemeral": {}, "persistent": {Dir: initializedDir(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUser(t, o, nil)
			if err := syscall.Kill(-u.cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			u.wantUp()
			parent, child := supervisors(t, u.Server)
			for _, pid := range []int{u.Server, parent, child} {
				if group, err := syscall.Getpgid(pid); err != nil || group == u.cmd.Process.Pid {
					t.Errorf("process %d is in the user's group %d (%v)", pid, group, err)
				}
			}
			u.kill()
			u.wantGone()
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
	acc, err := serverAccount(t.Context())
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
			acc, err := serverAccount(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(u.Run, old, old); err != nil {
				t.Fatal(err)
			}
			sweepStale(filepath.Dir(u.Run), acc, slog.New(slog.DiscardHandler))
			if !serverToo {
				u.wantUp()
			}
			u.kill()
			u.wantGone()
		})
	}
}

func TestSweepSparesTheSupervised(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	before, err := os.Stat(s.hold.file("supervise.sh"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.hold.run, old, old); err != nil {
		t.Fatal(err)
	}
	sweepStale(filepath.Dir(s.hold.run), s.hold.acc, slog.New(slog.DiscardHandler))
	after, err := os.Stat(s.hold.file("supervise.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("it has got a second supervisor")
	}
}

// A directory that somebody has just made has no supervisor yet.
func TestSweepSparesTheYoung(t *testing.T) {
	t.Parallel()
	acc, err := serverAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	parent := openDirectory(t)
	run, err := makeRun(t.Context(), acc, log, ephemeralPrefix, parent)
	if err != nil {
		t.Fatal(err)
	}
	sweepStale(parent, acc, log)
	if _, err := os.Lstat(run); err != nil {
		t.Error(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(run, old, old); err != nil {
		t.Fatal(err)
	}
	sweepStale(parent, acc, log)
	if _, err := os.Lstat(run); err == nil {
		t.Errorf("%s is left", run)
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
