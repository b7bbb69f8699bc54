package engine

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

// A spawn that joins open tasks and sends to them locks them as a batch of messages does, so that neither waits for the other in a circle.
func TestSpawnsAndMessagesDoNotDeadlock(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	first := spawn(t, pool, `{"unique_key": "b"}`)[0]
	second := spawn(t, pool, `{"unique_key": "a"}`)[0] // the order of the keys is not that of the ids

	held, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, held, `select from absurd.unique_keys where unique_key = 'b' for update`)
	waiting := func(n int) {
		t.Helper()
		waitForLocks(t, pool, n)
	}
	ended := make(chan error, 2)
	go func() {
		_, err := pool.Exec(t.Context(), `select * from absurd.spawn_tasks('q', '{t,t}', '{1,1}', array[$1, $2]::jsonb[])`,
			`{"unique_key": "a", "messages": [{"inbox": "i"}]}`, `{"unique_key": "b", "messages": [{"inbox": "i"}]}`)
		ended <- err
	}()
	waiting(1)
	go func() {
		rows, err := db.New().SendMessages(t.Context(), pool, db.SendMessagesParams{Queue: "q", Tasks: []pgtype.UUID{first, second},
			Inboxes: []string{"i", "i"}, Keys: []string{"", ""}, Payloads: []json.RawMessage{raw(`1`), raw(`1`)}})
		if err == nil && len(rows) != 2 {
			t.Errorf("sent %+v", rows)
		}
		ended <- err
	}()
	if err := <-ended; err != nil { // the messages, which nobody holds up
		t.Fatal(err)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, pool, `select count(*) from absurd.messages`); n != 4 {
		t.Errorf("%d messages, want 4", n)
	}
}

// An owner of a unique key that ends while a spawn waits for it is followed by the first new task with the key, for all of them.
func TestOwnerEndsWhileASpawnWaits(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	owner := spawn(t, pool, `{"unique_key": "k"}`)[0]
	held, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(t.Context()) //nolint:errcheck // it has ended
	exec(t, held, `select absurd.terminate_task('q', $1)`, owner)
	spawned := make(chan []pgtype.UUID, 1)
	go func() {
		sends := `{"unique_key": "k", "messages": [{"inbox": "i"}]}`
		rows, err := db.New().SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t", "t"},
			Params: []json.RawMessage{raw(`1`), raw(`1`)}, Options: []json.RawMessage{raw(sends), raw(sends)}})
		if err != nil {
			t.Error(err)
		}
		ids := make([]pgtype.UUID, len(rows))
		for _, row := range rows {
			ids[row.Ord-1] = row.TaskID
		}
		spawned <- ids
	}()
	waitForLocks(t, pool, 1)
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := <-spawned
	if len(ids) != 2 || ids[0] != ids[1] || slices.Contains(ids, owner) {
		t.Fatalf("spawned %v, want one new task twice", ids)
	}
	if n := one[int](t, pool, `select count(*) from absurd.messages where task_id = $1`, ids[0]); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	checkInvariants(t, pool)
}
