package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

type message struct {
	task        pgtype.UUID
	inbox, text string
	key         string
}

// send sends messages in one call and returns what became of them.
func send(tb testing.TB, on db.DBTX, messages ...message) []string {
	tb.Helper()
	answers, err := trySend(tb, on, messages...)
	if err != nil {
		tb.Fatal(err)
	}
	return answers
}

func trySend(tb testing.TB, on db.DBTX, messages ...message) ([]string, error) {
	arg := db.SendMessagesParams{Queue: "q"}
	for _, m := range messages {
		arg.Tasks = append(arg.Tasks, m.task)
		arg.Inboxes = append(arg.Inboxes, m.inbox)
		arg.Keys = append(arg.Keys, m.key)
		arg.Payloads = append(arg.Payloads, raw(m.text))
	}
	rows, err := db.New().SendMessages(tb.Context(), on, arg)
	answers := make([]string, len(rows))
	for _, r := range rows {
		answers[r.Ord-1] = r.Answer
	}
	return answers, db.Err(err)
}

// unread returns the messages of a task that wait, as "inbox payload".
func unread(tb testing.TB, pool *pgxpool.Pool, task pgtype.UUID) []string {
	tb.Helper()
	return column[string](tb, pool, `select inbox_name || ' ' || payload from absurd.messages where task_id = $1 order by message_no`, task)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestSendAnswers(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	ended := spawn(t, pool, "")[0]
	w.mustCommit(pass{task: w.claimOne(), action: "complete", payload: `1`})
	open := spawn(t, pool, "")[0]
	unknown := pgtype.UUID{Bytes: [16]byte{1}, Valid: true}

	got := send(t, pool, message{open, "a", `1`, "k"}, message{ended, "a", `2`, ""}, message{open, "a", `3`, "k"}, message{unknown, "a", `4`, "k"},
		message{open, "b", `5`, "k"}, message{open, "a", `6`, ""}, message{open, "a", `7`, ""}, message{open, "a", ``, "other"})
	equal(t, "answers", got, []string{"sent", "ended", "repeated", "unknown", "sent", "sent", "sent", "sent"})
	equal(t, "messages", unread(t, pool, open), []string{"a 1", "b 5", "a 6", "a 7", "a null"})
	equal(t, "the key again", send(t, pool, message{open, "a", `8`, "k"}), []string{"repeated"})

	for what, m := range map[string]message{"no inbox": {open, "", `1`, ""}, "a blank inbox": {open, " ", `1`, ""},
		"a long inbox": {open, strings.Repeat("x", 1001), `1`, ""}, "a long key": {open, "a", `1`, strings.Repeat("x", 1001)}} {
		if _, err := trySend(t, pool, message{open, "a", `1`, ""}, m); !errors.Is(err, db.ErrInvalidName) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := db.New().SendMessages(t.Context(), pool, db.SendMessagesParams{Queue: "q", Tasks: []pgtype.UUID{open}}); !errors.Is(db.Err(err), db.ErrInvalidOption) {
		t.Errorf("arrays of different lengths: %v", err)
	}
	equal(t, "messages after refusals", len(unread(t, pool, open)), 5)
	checkInvariants(t, pool)
}

// The oldest message goes to the oldest receive, one at each wake-up, whether the messages or the receives come first.
func TestMessagesGoToReceivesInOrder(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	send(t, pool, message{id, "a", `"a1"`, ""}, message{id, "b", `"b1"`, "k"}, message{id, "a", `"a2"`, ""}, message{id, "c", `"c1"`, ""})

	receives := []wait{{"r9", "a", time.Time{}}, {"r1", "a", hour()}, {"r2", "b", hour()}}
	var got []string
	for range 3 {
		w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: receives})
		if state := outcome(t, pool, id).State; state != "pending" {
			t.Fatalf("the task is %s though a message was there", state)
		}
		got = records(t, pool, id)
		receives = slices.DeleteFunc(receives, func(x wait) bool { return strings.Contains(got[len(got)-1], " "+x.name+" ") })
	}
	equal(t, "records", got, []string{`m v r9 "a1"`, `m v r2 "b1"`, `m v r1 "a2"`})
	equal(t, "left", unread(t, pool, id), []string{`c "c1"`})

	// Now the receives wait, the older ones with the name that sorts last.
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"z1", "a", hour()}, {"y1", "a", hour()}}})
	w.mustCommit(pass{task: wake(t, w, id), action: "suspend", receives: []wait{{"z1", "a", hour()}, {"y1", "a", hour()}, {"x1", "a", hour()}}})
	equal(t, "answers", send(t, pool, message{id, "a", `"a3"`, ""}, message{id, "a", `"a4"`, ""}), []string{"sent", "sent"})
	equal(t, "records", records(t, pool, id)[3:], []string{`m v z1 "a3"`})
	equal(t, "left", unread(t, pool, id), []string{`c "c1"`, `a "a4"`})
	checkInvariants(t, pool)
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"y1", "a", hour()}, {"x1", "a", hour()}}})
	equal(t, "records", records(t, pool, id)[4:], []string{`m v y1 "a4"`})
	checkInvariants(t, pool)
}

// wake has a sleeping task claimed without an outcome of its waits: an operator looks at it.
func wake(tb testing.TB, w *worker, id pgtype.UUID) db.ClaimedTask {
	tb.Helper()
	exec(tb, w.pool, `select absurd.make_pending(queue_no, array[task_id], clock_timestamp()) from absurd.tasks where task_id = $1`, id)
	return w.claimOne()
}

// A task that wakes for another reason takes no message with it: the receive may have lost a race to that.
func TestMessagesWaitWhenSomethingElseWakes(t *testing.T) {
	t.Parallel()
	receive := []wait{{"r", "a", time.Time{}}}
	for what, test := range map[string]func(*testing.T, *worker) pgtype.UUID{
		"an event that was there": func(t *testing.T, w *worker) pgtype.UUID {
			emit(t, w.pool, "e", `1`)
			id := spawn(t, w.pool, "")[0]
			send(t, w.pool, message{id, "a", `1`, ""})
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"e", "e", hour()}}, receives: receive})
			return id
		},
		"a sleep that is over": func(t *testing.T, w *worker) pgtype.UUID {
			id := spawn(t, w.pool, "")[0]
			send(t, w.pool, message{id, "a", `1`, ""})
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", due: time.Now().Add(-time.Second), receives: receive})
			return id
		},
		"an event before the message": func(t *testing.T, w *worker) pgtype.UUID {
			id := spawn(t, w.pool, "")[0]
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"e", "e", hour()}}, receives: receive})
			emit(t, w.pool, "e", `1`)
			send(t, w.pool, message{id, "a", `1`, ""})
			return id
		},
		"a sleep that is over, but not seen yet": func(t *testing.T, w *worker) pgtype.UUID {
			id := spawn(t, w.pool, "")[0]
			w.mustCommit(pass{task: w.claimOne(), action: "suspend", due: time.Now().Add(time.Minute), receives: receive})
			anHourPasses(t, w.pool)
			send(t, w.pool, message{id, "a", `1`, ""})
			return id
		},
		"a worker that runs it": func(t *testing.T, w *worker) pgtype.UUID {
			id := w.suspended(wait{"e", "e", hour()})
			emit(t, w.pool, "e", `1`)
			w.claimOne()
			send(t, w.pool, message{id, "a", `1`, ""})
			return id
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			id := test(t, newWorker(t, pool))
			equal(t, "messages", unread(t, pool, id), []string{"a 1"})
			for _, r := range records(t, pool, id) {
				if strings.HasPrefix(r, "m") {
					t.Errorf("record %s", r)
				}
			}
		})
	}
}

// A message that is there is received, however short the timeout; one that comes later is for the next receive.
func TestMessagesAndTimeouts(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	past := time.Now().Add(-time.Second)
	id := spawn(t, pool, "")[0]
	send(t, pool, message{id, "a", `1`, ""})
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r1", "a", past}}})
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r2", "a", past}}})
	send(t, pool, message{id, "a", `2`, ""})
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r3", "a", hour()}}})
	equal(t, "records", records(t, pool, id), []string{"m v r1 1", "m t r2 ", "m v r3 2"})
	equal(t, "left", unread(t, pool, id), []string{})

	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r4", "a", hour()}}})
	anHourPasses(t, pool)
	anHourPasses(t, pool)
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r5", "a", time.Time{}}}})
	equal(t, "the timeout", records(t, pool, id)[3:], []string{"m t r4 "})
	checkInvariants(t, pool)
}

// What is sent in a transaction is there when it commits; until then the worker's flush is busy and does not wait.
func TestSendInATransaction(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	task := w.claimOne()
	for _, end := range []string{"rollback", "commit"} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		send(t, tx, message{id, "a", `1`, "k"})
		equal(t, "answers", w.commit(pass{task: task, action: "suspend", receives: []wait{{"r", "a", hour()}}}), []string{"busy"})
		exec(t, tx, end)
		tx.Rollback(t.Context())
	}
	w.mustCommit(pass{task: task, action: "suspend", receives: []wait{{"r", "a", hour()}}})
	equal(t, "records", records(t, pool, id), []string{"m v r 1"})
}

// Messages stay over attempts, retries and the end of the task, and go with it.
func TestMessagesLiveAsLongAsTheTask(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	send(t, pool, message{id, "a", `1`, "k"}, message{id, "a", `2`, ""})
	w.mustCommit(pass{task: w.claimOne(), action: "suspend", receives: []wait{{"r", "a", hour()}}})
	w.mustCommit(pass{task: w.claimOne(), action: "retry", payload: `{}`})
	w.mustCommit(pass{task: w.claimOne(), action: "fail", payload: `{}`})
	equal(t, "a failed task", send(t, pool, message{id, "a", `3`, ""}), []string{"ended"})
	if _, err := db.New().RetryTaskNow(t.Context(), pool, db.RetryTaskNowParams{Queue: "q", Task: id}); err != nil {
		t.Fatal(err)
	}
	equal(t, "the key after a retry", send(t, pool, message{id, "a", `4`, "k"}), []string{"repeated"})
	equal(t, "messages", unread(t, pool, id), []string{"a 2"})
	w.mustCommit(pass{task: w.claimOne(), action: "complete", payload: `1`})
	exec(t, pool, `select absurd.cleanup_tasks('q', 0)`)
	equal(t, "tasks", one[int](t, pool, `select count(*) from absurd.tasks`), 0)
	equal(t, "messages", one[int](t, pool, `select count(*) from absurd.messages`), 0)
	equal(t, "keys", one[int](t, pool, `select count(*) from absurd.message_keys`), 0)
}

// Many senders, workers that suspend on receives in several inboxes, and workers that vanish: every message is received once, in
// the order of its sender, and none is forgotten.
func TestEveryMessageIsReceivedOnce(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	const tasks, senders, each = 8, 4, 40
	ids := spawn(t, pool, make([]string, tasks)...)

	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			for n := range each {
				var messages []message
				for i, id := range ids {
					text, _ := json.Marshal(fmt.Sprintf("%d.%d", sender, n))
					m := message{id, fmt.Sprint("inbox", (sender+i)%2), string(text), fmt.Sprintf("%d.%d", sender, n)}
					messages = append(messages, m)
					if rand.IntN(4) == 0 {
						messages = append(messages, m) // as if the sender were not sure
					}
				}
				if _, err := trySend(t, pool, messages...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	for range 3 {
		group.Go(func() {
			w := newWorker(t, pool)
			for {
				select {
				case <-done:
					return
				default:
				}
				if rand.IntN(30) == 0 { // it vanishes with what it holds
					w.claim(3)
					exec(t, pool, `update absurd.workers set lease_expires_at = 'epoch' where worker_id = $1`, w.id)
					sweep(t, pool, 1000)
					w = newWorker(t, pool)
				}
				for _, task := range w.claim(4) {
					p := pass{task: task, action: "suspend"}
					// As after a replay: what is recorded is not asked for again.
					open := one[int](t, pool, `select count(*) from absurd.checkpoints where task_id = $1`, task.TaskID)
					for i := range 2 {
						p.receives = append(p.receives, wait{name: fmt.Sprintf("r%d.%d", i, open), event: fmt.Sprint("inbox", i)})
					}
					for answers := []string{"busy"}; answers[0] == "busy"; {
						if answers = w.commit(p); answers[0] == "lost" {
							break
						}
					}
				}
			}
		})
	}
	waitUntil(t, pool, `select count(*) >= $1 from absurd.checkpoints`, tasks*senders*each)
	close(done)
	group.Wait()
	checkInvariants(t, pool)
	for _, id := range ids {
		got := column[string](t, pool, `select state #>> '{}' from absurd.checkpoints where task_id = $1 order by seq`, id)
		next := make([]int, senders)
		for _, text := range got {
			var sender, n int
			if _, err := fmt.Sscanf(text, "%d.%d", &sender, &n); err != nil {
				t.Fatal(err)
			}
			if n != next[sender] {
				t.Fatalf("message %s was received when %d.%d was due", text, sender, next[sender])
			}
			next[sender]++
		}
	}
}
