package runtime

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of database/sql

	"github.com/absurdgen/absurdgen/workflow"
)

func TestUnique(t *testing.T) {
	r := newRig(t)
	join, refuse := workflow.WithUnique("k", workflow.Join), workflow.WithUnique("k", workflow.Refuse)
	first := spawn(r, collect, "", join)
	if again := spawn(r, collect, "other input", join); again.ID != first.ID || again.Created {
		t.Errorf("joined %s (created: %v), want %s", again.ID, again.Created, first.ID)
	}
	if _, err := collect.Spawn(r.ctx, r.client, "", refuse); !errors.Is(err, workflow.ErrNotUnique) {
		t.Errorf("refused with %v, want ErrNotUnique", err)
	}
	if other := spawn(r, collect, "", workflow.WithUnique("other", workflow.Refuse)); !other.Created {
		t.Error("another key found a task")
	}
	if _, err := collect.Spawn(r.ctx, r.client, "", join, workflow.WithIdempotencyKey("k")); !errors.Is(err, workflow.ErrInvalidOption) {
		t.Errorf("with both keys: %v", err)
	}
	many, err := collect.SpawnMany(r.ctx, r.client, []string{"a", "b"}, workflow.WithUnique("many", workflow.Join))
	if err != nil || many[0].ID != many[1].ID || !many[0].Created || many[1].Created {
		t.Errorf("two in one call: %v, %v", many, err)
	}
	if err := first.Terminate(r.ctx); err != nil {
		t.Fatal(err)
	}
	if next := spawn(r, collect, "", refuse); !next.Created || next.ID == first.ID {
		t.Error("the key of a task that has ended is not free")
	}
}

// TestUniqueConcurrently: of many spawns at once, one makes the task, and every message arrives.
func TestUniqueConcurrently(t *testing.T) {
	r := newRig(t)
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	const spawners, rounds = 4, 12
	var group sync.WaitGroup
	var mu sync.Mutex
	tasks := make(map[workflow.TaskID]workflow.Task[[]string])
	for s := range spawners {
		group.Go(func() {
			for n := range rounds {
				note := "note"
				if n%4 == 3 && s == 0 {
					note = "end" // the next one starts anew
				}
				task, err := collect.Spawn(r.ctx, r.client, "", workflow.WithUnique("k", workflow.Join), workflow.WithMessage(notes, note))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				tasks[task.ID] = task
				mu.Unlock()
			}
		})
	}
	group.Wait()
	last := spawn(r, collect, "", workflow.WithUnique("k", workflow.Join), workflow.WithMessage(notes, "end"))
	tasks[last.ID] = last
	got := 0
	for _, task := range tasks {
		got += len(result(r, task))
	}
	// What comes behind an "end" stays unread.
	unread := one[int](r, `select count(*) from absurd.messages where payload = '"note"'`)
	if want := spawners*rounds - rounds/4; got+unread != want {
		t.Errorf("%d notes received and %d unread, want %d in all", got, unread, want)
	}
	if n := one[int](r, `select count(*) from absurd.tasks`); n != len(tasks) {
		t.Errorf("%d tasks, but %d were returned", n, len(tasks))
	}
}

func TestSpawnWithMessage(t *testing.T) {
	r := newRig(t)
	key := workflow.WithIdempotencyKey("k")
	task := spawn(r, collect, "", key, workflow.WithMessage(notes, "first", workflow.MessageKey("1")), workflow.WithMessage(notes, "second"))
	again := spawn(r, collect, "", key, workflow.WithMessage(notes, "first", workflow.MessageKey("1")), workflow.WithMessage(notes, "end"))
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	if diff := cmp.Diff([]string{"first", "second"}, result(r, again)); diff != "" || again.ID != task.ID {
		t.Errorf("task %s and %s: %s", task.ID, again.ID, diff)
	}
	if _, err := collect.Spawn(r.ctx, r.client, "", key, workflow.WithMessage(notes, "too late")); !errors.Is(err, workflow.ErrTaskEnded) {
		t.Errorf("with a message to a task that has ended: %v", err)
	}
	elsewhere := workflow.NewInbox[string]("elsewhere", workflow.Queue("other"))
	if _, err := collect.Spawn(r.ctx, r.client, "", workflow.WithMessage(elsewhere, "")); err == nil || !strings.Contains(err.Error(), "declare the inbox with that queue") {
		t.Errorf("with a message to an inbox of another queue: %v", err)
	}
}

func TestTagsDelayAndTenant(t *testing.T) {
	r := newRig(t)
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	task := spawn(r, collect, "", workflow.WithTags(map[string]string{"a": "1"}), workflow.WithTags(map[string]string{"b": "ü"}),
		workflow.WithTenant("acme"), workflow.WithDelay(time.Hour), workflow.WithPriority(-3))
	got := one[string](r, `select tenant || ' ' || priority || ' ' || state::text || ' ' || tags::text from absurd.tasks where task_id = $1`, uuid(task.ID))
	if want := `acme -3 s {"a": "1", "b": "ü"}`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if one[bool](r, `select available_at < clock_timestamp() + interval '59 minutes' from absurd.tasks where task_id = $1`, uuid(task.ID)) {
		t.Error("it starts too early")
	}
	many := make(map[string]string)
	for i := range 65 {
		many[strings.Repeat("x", i+1)] = ""
	}
	if _, err := collect.Spawn(r.ctx, r.client, "", workflow.WithTags(many)); !errors.Is(err, workflow.ErrInvalidOption) {
		t.Errorf("65 tags: %v", err)
	}
}

// TestSQLTx: everything that can be done in a pgx.Tx can be done in a *sql.Tx.
func TestSQLTx(t *testing.T) {
	r := newRig(t)
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	database, err := sql.Open("pgx", r.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Close() })
	in := func(end func(*sql.Tx) error, f func(*sql.Tx)) {
		t.Helper()
		tx, err := database.BeginTx(r.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		f(tx)
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
	}
	odd := `quotes " and \ and {braces}, NULL, ünïcode` // text arrays must keep it
	var task workflow.Task[[]string]
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		in(end, func(tx *sql.Tx) {
			tasks, err := collect.SpawnMany(r.ctx, r.client.SQLTx(tx), []string{odd, odd}, workflow.WithUnique(odd, workflow.Join))
			if err != nil {
				t.Fatal(err)
			}
			task = tasks[1]
			if err := notes.Send(r.ctx, workflow.SQLTx(tx), task.ID, odd, workflow.MessageKey(odd)); err != nil {
				t.Fatal(err)
			}
			if err := signal.Emit(r.ctx, workflow.SQLTx(tx), named{odd, odd}); err != nil {
				t.Fatal(err)
			}
		})
	}
	in((*sql.Tx).Rollback, func(tx *sql.Tx) {
		if err := notes.Send(r.ctx, workflow.SQLTx(tx), workflow.TaskID{1}, ""); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("send to nobody: %v", err)
		}
		if _, err := collect.Spawn(r.ctx, workflow.SQLTx(tx), "", workflow.WithPriority(1000)); !errors.Is(err, workflow.ErrInvalidOption) {
			t.Errorf("spawn with a bad option: %v", err)
		}
	})
	r.send(task.ID, "end")
	if diff := cmp.Diff([]string{odd}, result(r, task)); diff != "" {
		t.Error(diff)
	}
	if got := one[string](r, `select payload ->> 'Value' from absurd.events where event_name = $1 and payload is not null`, "signal:"+odd); got != odd {
		t.Errorf("event %q", got)
	}
	if n := one[int](r, `select count(*) from absurd.tasks`); n != 1 {
		t.Errorf("%d tasks", n)
	}
}

// TestClientTx: a task that is spawned with the client's own transaction can be waited for when that is committed.
func TestClientTx(t *testing.T) {
	r := newRig(t)
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	tx, err := r.pool.Begin(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	task, err := collect.Spawn(r.ctx, r.client.Tx(tx), "", workflow.WithMessage(notes, "end"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(r.ctx); err != nil {
		t.Fatal(err)
	}
	if got := result(r, task); len(got) > 0 {
		t.Errorf("received %q", got)
	}
}
