//go:build linux || darwin

package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	out, errs, code := absurd(t, "", "demo")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, standard error %q:\n%s", code, errs, out)
	}
	a := readAccount(t, out)
	if a.expected != 46 || a.seen != 46 {
		t.Errorf("expected %d, seen %d; the ten orders ask for 46", a.expected, a.seen)
	}
	if len(a.rows) != 10 {
		t.Errorf("%d rows in the table", len(a.rows))
	}
	run, replayed := 0, 0
	for id, r := range a.rows {
		if r.state != "completed" {
			t.Errorf("%s is %s", id, r.state)
		}
		run += r.run
		replayed += r.replayed
	}
	// Every repeat that the gateway dropped is a function call more than there are steps.
	if a.repeats < 1 || run < 46+a.repeats || replayed < 1 {
		t.Errorf("%d calls of functions, %d replayed, %d repeats", run, replayed, a.repeats)
	}
	a.aWorkerWasKilled(t, out)
	if strings.Contains(out, "\x1b") {
		t.Error("there are control sequences in what is piped")
	}
}

// On a server of one's own the demo takes a database of its own and removes it. Several do so at once, over other data.
func TestDemoOnServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	password := config.Password
	if password == "" { // then it does not matter
		password = "sekret"
		dsn = as(t, dsn, config.User, password)
	}
	execute(t, dsn, "create schema absurd; create table absurd.mine(); create table orders()")
	file := filepath.Join(t.TempDir(), "orders.json")
	const orders = `[
		{"id": "one", "cents": 1, "items": [{"sku": "a"}, {"sku": "a"}, {"sku": "b"}]},
		{"id": "two", "cents": 100001, "items": [{"sku": "c"}], "reminder_seconds": 1}]`
	if err := os.WriteFile(file, []byte(orders), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := absurd(t, dsn, "demo", "-orders", file)
			if code != 0 || errs != "" {
				t.Fatalf("exit code %d, standard error %q:\n%s", code, errs, out)
			}
			a := readAccount(t, out)
			if a.expected != 7 || a.seen != 7 || a.repeats < 1 || len(a.rows) != 2 {
				t.Errorf("%+v", a)
			}
			a.aWorkerWasKilled(t, out)
			if !strings.Contains(out, "DATABASE_URL") || strings.Contains(out, password) {
				t.Errorf("the server is not named, or its password is:\n%s", out)
			}
			made := regexp.MustCompile(`in the new database (absurd_\w+)`).FindStringSubmatch(out)
			if made == nil {
				t.Fatalf("the database is not named:\n%s", out)
			}
			var there bool
			err := dial(t, server).QueryRow(t.Context(), "select exists (select from pg_database where datname = $1)", made[1]).Scan(&there)
			if err != nil || there {
				t.Errorf("database %s is still there: %v, %v", made[1], there, err)
			}
		})
	}
}

// A role that may not create a database runs the demo in the one that it has, again and again.
func TestDemoWithoutRightToCreateDatabase(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	role := config.Database + "_role"
	execute(t, dsn, "create role "+role+" login password 'pw'; grant create on database "+config.Database+" to "+role)
	t.Cleanup(func() { execute(t, dsn, "drop owned by "+role+"; drop role "+role) })
	file := filepath.Join(t.TempDir(), "orders.json")
	// The order is large: the event of the first demo must not approve the order of the second.
	if err := os.WriteFile(file, []byte(`[{"id": "X", "cents": 200000, "items": [{"sku": "a"}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, errs, code := absurd(t, as(t, dsn, role, "pw"), "demo", "-orders", file)
		if code != 0 || errs != "" {
			t.Fatalf("exit code %d, standard error %q:\n%s", code, errs, out)
		}
		if a := readAccount(t, out); a.expected != 2 || a.seen != 2 || !strings.Contains(out, "the clerk approves") {
			t.Errorf("%+v\n%s", a, out)
		}
	}
}

// What -keep leaves can be reached and stopped as it says.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(file, []byte(`[{"id": "X", "cents": 1, "items": [{"sku": "a"}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := absurd(t, "", "demo", "-keep", "-orders", file)
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, standard error %q:\n%s", code, errs, out)
	}
	said := regexp.MustCompile(`export DATABASE_URL='(.*)'\n.*\n +(.*)\n$`).FindStringSubmatch(out)
	if said == nil {
		t.Fatalf("it does not say how to reach and to stop the server:\n%s", out)
	}
	stop := exec.Command("sh", "-c", said[2])
	t.Cleanup(func() {
		if err := stop.Run(); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			conn, err := pgx.Connect(context.Background(), said[1])
			if err != nil {
				return
			}
			conn.Close(context.Background())
			if time.Now().After(end) {
				t.Fatal("the server is still there")
			}
		}
	})
	if out, errs, code := absurd(t, said[1], "migrate", "status"); code != 0 {
		t.Errorf("%s%s", out, errs)
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, moment := range []struct {
		name, line string
		signal     syscall.Signal
		group      bool
	}{
		{"Ctrl-C while it starts", "PostgreSQL:", syscall.SIGINT, true},
		{"Ctrl-C after the kill", "nobody tells the other", syscall.SIGINT, true},
		{"SIGTERM to one process", "charged", syscall.SIGTERM, false},
		{"kill -9 of the demo", "charged", syscall.SIGKILL, false},
	} {
		t.Run(moment.name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			cmd := newCommand(t, "", "demo")
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
			out, to := startDetached(t, cmd)
			text := awaitLine(t, out, moment.line)
			left := leftovers(t, cmd.Process.Pid)
			target := cmd.Process.Pid
			if moment.group {
				target = -target
			}
			if err := syscall.Kill(target, moment.signal); err != nil {
				t.Fatal(err)
			}
			for out.Scan() {
				text += out.Text() + "\n"
			}
			to.Close()
			_ = cmd.Wait()
			if moment.signal != syscall.SIGKILL && cmd.ProcessState.ExitCode() != 128+int(moment.signal) {
				t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
			}
			for _, m := range regexp.MustCompile(`process (\d+)`).FindAllStringSubmatch(text, -1) {
				pid, _ := strconv.Atoi(m[1])
				left.pids = append(left.pids, pid)
			}
			left.mustGo(t)
			if files, err := os.ReadDir(tmp); err != nil || len(files) > 0 {
				t.Errorf("in the temp folder: %v, %v", files, err)
			}
		})
	}
}

func TestDemoRefusesWrongOrdersFirst(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(file, []byte("[\n {\"id\": \"A\", \"price\": 1}\n]"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := absurd(t, "", "demo", "-orders", file)
	if code != 1 || out != "" {
		t.Errorf("exit code %d, standard output %q", code, out)
	}
	oneClearLine(t, errs, file+":2:2:", `"price"`, "cents")
}

// account is the end of what the demo prints.
type account struct {
	rows                    map[string]row
	expected, seen, repeats int
}

type row struct {
	state         string
	run, replayed int
}

func readAccount(t *testing.T, out string) account {
	t.Helper()
	a := account{rows: map[string]row{}}
	m := regexp.MustCompile(`side effects: (\d+) expected, (\d+) seen .* the gateway dropped (\d+) repeat`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("there is no line about side effects:\n%s", out)
	}
	for i, n := range []*int{&a.expected, &a.seen, &a.repeats} {
		*n, _ = strconv.Atoi(m[i+1])
	}
	_, table, _ := strings.Cut(out, "steps replayed")
	for _, m := range regexp.MustCompile(`(?m)^(\S+) +\.\.[0-9a-f]{8} +(\w+) +1 +(\d+) +(\d+) +[\d.]+s$`).FindAllStringSubmatch(table, -1) {
		r := row{state: m[2]}
		r.run, _ = strconv.Atoi(m[3])
		r.replayed, _ = strconv.Atoi(m[4])
		a.rows[m[1]] = r
	}
	return a
}

// aWorkerWasKilled asserts that one of the two workers was killed in mid-step, that the other one took over, and that repeats
// were told.
func (a account) aWorkerWasKilled(t *testing.T, out string) {
	t.Helper()
	killed := regexp.MustCompile(`kill -9 (\d+): worker ([AB]) is gone`).FindStringSubmatch(out)
	if killed == nil {
		t.Fatalf("no worker was killed:\n%s", out)
	}
	if !strings.Contains(out, "worker "+killed[2]+": process "+killed[1]) {
		t.Errorf("process %s is not worker %s:\n%s", killed[1], killed[2], out)
	}
	other := map[string]string{"A": "B", "B": "A"}[killed[2]]
	if !strings.Contains(out, "worker "+other+" takes over") {
		t.Errorf("worker %s did not take over:\n%s", other, out)
	}
	// A repeat whose report is overtaken by the end of the call is counted and not told.
	if n := strings.Count(out, "the gateway drops the repeat"); n < 1 || n > a.repeats {
		t.Errorf("%d repeats told, %d counted:\n%s", n, a.repeats, out)
	}
}

// startDetached starts a command as the leader of a process group and returns its standard output, and what keeps that open.
func startDetached(t *testing.T, cmd *exec.Cmd) (*bufio.Scanner, *os.File) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewScanner(r), r
}

// awaitLine reads until a line holds the text, and returns what it read.
func awaitLine(t *testing.T, out *bufio.Scanner, text string) string {
	t.Helper()
	var all strings.Builder
	for out.Scan() {
		all.WriteString(out.Text() + "\n")
		if strings.Contains(out.Text(), text) {
			return all.String()
		}
	}
	t.Fatalf("no line with %q:\n%s", text, all.String())
	return ""
}

// remains are what a process must not leave: processes, and the directories of private servers.
type remains struct {
	pids []int
	dirs []string
}

// leftovers looks up what a running process would have to take down. The directory of a private server is held open.
func leftovers(t *testing.T, pid int) remains {
	t.Helper()
	left := remains{pids: []int{pid}}
	fds, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil || len(fds) == 0 {
		return left // not Linux
	}
	for _, fd := range fds {
		dir, err := os.Readlink(fd)
		if fi, statErr := os.Stat(dir); err != nil || statErr != nil || !fi.IsDir() || !strings.HasPrefix(filepath.Base(dir), "absurd-pg-") {
			continue
		}
		left.dirs = append(left.dirs, dir)
		text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		postmaster, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		left.pids = append(left.pids, postmaster)
	}
	if len(left.dirs) == 0 {
		t.Errorf("process %d holds no server", pid)
	}
	return left
}

// mustGo waits until nothing remains: after a kill -9 others have to notice.
func (r remains) mustGo(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var there []string
		for _, pid := range r.pids {
			if syscall.Kill(pid, 0) != syscall.ESRCH {
				there = append(there, "process "+strconv.Itoa(pid))
			}
		}
		for _, dir := range r.dirs {
			if _, err := os.Lstat(dir); err == nil {
				there = append(there, dir)
			}
		}
		if len(there) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: %s", cmp.Diff([]string(nil), there))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
