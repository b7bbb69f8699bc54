//go:build linux || darwin

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/absurdgen/absurdgen/db"
)

func TestDev(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	// Root's server runs as another user, who has to be let in: otherwise its data goes elsewhere, and stays there.
	for _, dir := range []string{filepath.Dir(tmp), tmp} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(tmp, "dev")
	// What is written the first time is there the second time.
	for _, sql := range []string{"create table kept()", "drop table kept"} {
		cmd := newCommand(t, "", "dev", "-dir", dir)
		out, to := startDetached(t, cmd)
		line := awaitLine(t, out, "export ")
		dsn, ok := strings.CutPrefix(strings.TrimSpace(line), "export DATABASE_URL='")
		dsn, ok2 := strings.CutSuffix(dsn, "'")
		if !ok || !ok2 {
			t.Fatalf("not a line for a shell: %q", line)
		}
		execute(t, dsn, sql)
		if status, err := db.ReadStatus(t.Context(), dial(t, dsn)); err != nil || status.Err() != nil {
			t.Errorf("the schema is not current: %v, %v", err, status.Err())
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		to.Close()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("exit code %d after Ctrl-C", code)
		}
		_, errs, code := absurd(t, dsn, "migrate", "status")
		if code != 1 {
			t.Errorf("the server is still there after Ctrl-C: exit code %d", code)
		}
		oneClearLine(t, errs, "no PostgreSQL listens at", "unset DATABASE_URL")
	}
}

func TestDevWithDatabaseURL(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	out, errs, code := absurd(t, dsn, "dev")
	if code != 0 || !strings.Contains(out, "is at version") {
		t.Errorf("exit code %d, %q", code, out)
	}
	oneClearLine(t, errs, "DATABASE_URL is set", "unset it")
	if _, errs, code := absurd(t, dsn, "dev", "-dir", "x"); code != 2 || !strings.Contains(errs, "unset it first") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}
