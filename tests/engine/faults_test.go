package engine

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

//go:embed testdata/faults.txt
var faults string

// Every known fault has a test that would see it again, and each test that is named exists.
func TestEveryFaultIsPinned(t *testing.T) {
	t.Parallel()
	rooms := map[string][]string{
		"contract": names(t, "../contract/lines.txt", `(?m)^(\S+) `),
		"engine":   names(t, "*_test.go", `(?m)^func (Test\w+)\(`),
		"runtime":  names(t, "../runtime/*_test.go", `(?m)^func (Test\w+)\(`),
	}
	pinned := map[string]bool{}
	for line := range strings.Lines(faults) {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 || !slices.Contains([]string{"contract", "rule"}, fields[1]) {
			t.Errorf("not a line of this list: %s", line)
			continue
		}
		room, name, _ := strings.Cut(fields[2], ":")
		if !slices.Contains(rooms[room], name) {
			t.Errorf("%s is pinned by a test that does not exist: %s", fields[0], fields[2])
		}
		pinned[fields[0]] = true
	}
	for n := range 25 {
		if fault := fmt.Sprint("E", n+1); !pinned[fault] {
			t.Errorf("no test pins %s", fault)
		}
	}
}

// names returns what an expression finds in files.
func names(t *testing.T, glob, expression string) []string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatal(glob, err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
			found = append(found, match[1])
		}
	}
	return found
}

// A task that says nothing about attempts has five.
func TestAttemptsAreFinite(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "", "{}", `{"max_attempts": null}`)
	for _, task := range w.claim(5) {
		if task.MaxAttempts == nil || *task.MaxAttempts != 5 {
			t.Errorf("a task has %v attempts, want 5", task.MaxAttempts)
		}
	}
}

// A transaction of the application that has emitted, cancelled and spawned, and stays open, delays no flush of other tasks, and no claim:
// also not of tasks that wait for the event that it has emitted.
func TestOpenTransactionDelaysNoOtherFlush(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `do $$ begin execute format('alter database %I set lock_timeout = ''20s''', current_database()); end $$`)
	pool.Reset() // the sessions that come now fail where they would wait for the transaction
	w := newWorker(t, pool)
	ids := spawn(t, pool, "", "", "", "", `{"priority": 1}`)
	held := w.claim(4)

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, tx, `select absurd.emit_event('q', 'go', '1')`)
	exec(t, tx, `select absurd.cancel_task('q', $1)`, ids[4])
	exec(t, tx, `select absurd.spawn_task('q', 'new', '{}', '{"idempotency_key": "k"}')`)
	exec(t, tx, `select * from absurd.spawn_tasks('q', '{t,other}', '{1,2}', null)`)

	w.mustCommit(
		pass{task: held[0], action: "complete", payload: `1`, records: []record{value("a", `1`)}},
		pass{task: held[1], action: "suspend", waits: []wait{{"w", "go", time.Time{}}}},
		pass{task: held[2], action: "record", records: []record{value("a", `1`)}},
		pass{task: held[3], action: "retry", payload: `{}`, due: time.Now()})
	if claimed := w.claim(5); len(claimed) != 1 || claimed[0].TaskID != ids[3] {
		t.Errorf("claimed %v, want only the task that is tried again", claimed)
	}
	if _, err := w.q.SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t"}, Params: []json.RawMessage{raw(`1`)}}); err != nil {
		t.Error(err)
	}
	sweep(t, pool, 100)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The waiter is told in the end, by a look that the engine takes again.
	waitUntil(t, pool, `select exists (select from absurd.sweep(100)) or (select bool_or(state = 'p' and has_records) from absurd.tasks)`)
}
