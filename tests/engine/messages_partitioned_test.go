package engine

import (
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

// Inboxes, unique keys and notes work in a partitioned queue too.
func TestMessagesInAPartitionedQueue(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `select absurd.drop_queue('q'); select absurd.create_queue('q', 'partitioned')`)
	w := newWorker(t, pool)
	id := spawn(t, pool, `{"unique_key": "k", "tags": {"a": "1"}, "messages": [{"inbox": "a", "payload": 1}]}`)[0]
	equal(t, "joined", spawn(t, pool, `{"unique_key": "k", "messages": [{"inbox": "a", "payload": 2}]}`)[0], id)
	task := w.claimOne()
	arg := w.arguments(pass{task: task, action: "suspend", receives: []wait{{"r", "a", time.Time{}}}})
	arg.NoteUnits, arg.Attributes, arg.Published = []int32{1}, append(arg.Attributes, raw(`{"x": "1"}`)), append(arg.Published, raw(`{"p": 2}`))
	if answers, err := w.try(pool, arg); err != nil || answers[0] != "ok" {
		t.Fatal(answers, err)
	}
	equal(t, "records", records(t, pool, id), []string{"m v r 1"})
	notes, err := db.New().GetNotes(t.Context(), pool, db.GetNotesParams{Queue: "q", Task: id})
	if err != nil || len(notes) != 1 {
		t.Fatal(notes, err)
	}
	equal(t, "notes", string(notes[0].Tags)+string(notes[0].Attributes)+string(notes[0].Published), `{"a": "1"}{"x": "1"}{"p": 2}`)
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r2", "b", time.Time{}}}})
	equal(t, "answers", send(t, pool, message{id, "b", `3`, "k"}, message{id, "b", `4`, "k"}), []string{"sent", "repeated"})
	equal(t, "records", records(t, pool, id), []string{"m v r 1", "m v r2 3"})
	w.mustCommit(pass{task: w.claimOne(), action: "complete", payload: `1`})
	if next := spawn(t, pool, `{"unique_key": "k"}`)[0]; next == id {
		t.Error("the key of a task that has ended is not free")
	}
}
