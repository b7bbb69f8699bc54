//go:build linux || darwin

package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The tests kill real processes. The test binary plays them all: a program that uses a server (see runUser), and
// programs of PostgreSQL that only know their version (see fakeVersion).
func TestMain(m *testing.M) {
	switch {
	case fakeVersion():
	case os.Getenv("EMBEDDED_TEST_USER") != "":
		runUser(os.Getenv("EMBEDDED_TEST_USER"))
	default:
		os.Exit(m.Run())
	}
}

// state is what a user process says about its server.
type state struct {
	DSN, Run, Data, Lock string
	Server               int // process id of postgres
	Err                  string
}

// runUser starts a server with the options given as JSON, says so, and does what the lines of standard input say:
// a query, whose one text value it prints, or keep, or stop. It ignores Ctrl-C.
func runUser(options string) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	ctx := context.Background()
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	s, err := Start(ctx, o)
	if err != nil {
		out.Encode(state{Err: err.Error()})
		return
	}
	out.Encode(stateOf(s))
	answer := func(v string, err error) {
		if err != nil {
			v = "error: " + err.Error()
		}
		out.Encode(v)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch line := lines.Text(); line {
		case "keep":
			answer(s.Keep())
		case "stop":
			answer("stopped", s.Stop())
		default:
			answer(query(ctx, s.DSN(), line))
		}
	}
}

func stateOf(s *Server) state {
	pm, err := s.hold.postmaster()
	if err != nil {
		panic(err)
	}
	return state{DSN: s.DSN(), Run: s.hold.run, Data: s.hold.data, Lock: s.hold.lock, Server: pm.pid}
}

func query(ctx context.Context, dsn, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return "", err
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(values, " "), err
}

func mustQuery(t *testing.T, dsn, sql string) string {
	t.Helper()
	v, err := query(t.Context(), dsn, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// program is a process that uses a server.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *json.Decoder
	state
	lock *os.File // the server's, to see whether all its processes are gone
}

// launchUser starts a user process in a process group of its own. change may alter it before.
func launchUser(t *testing.T, o Options, change func(*exec.Cmd)) *program {
	t.Helper()
	options, err := json.Marshal(map[string]any{"Dir": o.Dir, "Durable": o.Durable, "Version": o.Version,
		"Settings": o.Settings, "NoDownload": o.NoDownload})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDDED_TEST_USER="+string(options))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	if change != nil {
		change(cmd)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u := &program{t: t, cmd: cmd, in: in, out: json.NewDecoder(out)}
	t.Cleanup(u.kill)
	return u
}

// startUser starts a user process and waits for its server.
func startUser(t *testing.T, o Options, change func(*exec.Cmd)) *program {
	t.Helper()
	u := launchUser(t, o, change)
	u.await()
	if u.Err != "" {
		t.Fatal(u.Err)
	}
	return u
}

func (u *program) await() {
	u.t.Helper()
	if err := u.out.Decode(&u.state); err != nil {
		u.t.Fatalf("the user process has said nothing: %v", err)
	}
	if u.Lock != "" {
		f, err := os.Open(u.Lock)
		if err != nil {
			u.t.Fatal(err)
		}
		u.lock = f
		u.t.Cleanup(func() { f.Close() })
	}
}

func (u *program) ask(line string) string {
	u.t.Helper()
	var answer string
	if _, err := fmt.Fprintln(u.in, strings.Join(strings.Fields(line), " ")); err != nil {
		u.t.Fatal(err)
	}
	if err := u.out.Decode(&answer); err != nil {
		u.t.Fatalf("%s: %v", line, err)
	}
	return answer
}

// kill is kill -9.
func (u *program) kill() {
	u.cmd.Process.Kill()
	u.cmd.Wait()
}

// wantGone waits until every process of the server is gone and its run directory is swept.
func (u *program) wantGone() {
	u.t.Helper()
	eventually(u.t, "the server is gone", func() bool {
		if syscall.Flock(int(u.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			return false
		}
		syscall.Flock(int(u.lock.Fd()), syscall.LOCK_UN)
		return true
	})
	u.wantSwept()
}

func (u *program) wantSwept() {
	u.t.Helper()
	eventually(u.t, u.Run+" is swept", func() bool {
		_, err := os.Lstat(u.Run)
		return os.IsNotExist(err)
	})
}

// wantUp checks that the server runs and that u can use it.
func (u *program) wantUp() {
	u.t.Helper()
	if got := u.ask("SELECT 'up'"); got != "up" {
		u.t.Fatal(got)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}

// supervisors returns the process ids of a server's supervisor and of its child that watches.
func supervisors(t *testing.T, server int) (parent, child int) {
	t.Helper()
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("there is no ps to find the supervisors with")
	}
	type process struct{ pid, parent, group int }
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,pgid=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	all := map[int]process{}
	for line := range strings.Lines(string(out)) {
		var p process
		if _, err := fmt.Sscan(line, &p.pid, &p.parent, &p.group); err != nil {
			t.Fatal(err)
		}
		all[p.pid] = p
	}
	parent = all[server].parent
	for _, p := range all {
		if p.parent == parent && p.group == parent && p.pid != server {
			child = p.pid
		}
	}
	if parent <= 1 || child == 0 {
		t.Fatalf("no supervisors of %d found: %d, %d", server, parent, child)
	}
	return parent, child
}

func kill9(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// openDirectory returns a directory that every user may enter, unlike that of t.TempDir, in memory if possible.
func openDirectory(t *testing.T) string {
	t.Helper()
	parent, ok := memoryDir(roomInMemory)
	if !ok {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "embedded-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fakeVersion plays postgres and initdb in a directory of fakeBin.
func fakeVersion() bool {
	name := filepath.Base(os.Args[0])
	if (name != "postgres" && name != "initdb") || len(os.Args) != 2 || os.Args[1] != "--version" {
		return false
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "version"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s (PostgreSQL) %s", name, bytes.TrimSpace(b))
	return true
}

// fakeBin makes a directory with programs of the names that say they are of a version of PostgreSQL.
func fakeBin(t *testing.T, dir string, major int, names ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if os.Link(os.Args[0], filepath.Join(dir, name)) == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(strconv.Itoa(major)+".1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
