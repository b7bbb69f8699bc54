package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// An application that has emitted and not yet committed must not hold up a worker's flush, and must not be missed.
func TestFlushDoesNotWaitForAnOpenEmit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		placeholder bool // somebody waits for the event already, so its row exists
		commit      bool // the application commits
	}{
		{"new event, committed", false, true},
		{"new event, rolled back", false, false},
		{"awaited event, committed", true, true},
		{"awaited event, rolled back", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pool := newEngine(t)
			w := newWorker(t, pool)
			if test.placeholder {
				w.suspended(wait{"before", "e", time.Time{}})
			}
			spawn(t, pool, "", "", "")
			claimed := w.claim(3)
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context())
			emit(t, tx, "e", `"payload"`)

			// Its own event cannot be locked, another unit's event is new, and a third unit has nothing to do with either.
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			exec(t, conn, `set lock_timeout = '20s'`)
			arg := w.arguments(
				pass{task: claimed[0], action: "suspend", waits: []wait{{"a", "e", time.Time{}}}},
				pass{task: claimed[1], action: "suspend", waits: []wait{{"b", "other", time.Time{}}}},
				pass{task: claimed[2], action: "complete", payload: `1`})
			if answers, err := w.try(conn, arg); err != nil || !slices.Equal(answers, []string{"ok", "ok", "ok"}) {
				t.Fatalf("flush beside the open transaction: %v, %v", answers, err)
			}
			if timeout := one[string](t, conn, `show lock_timeout`); timeout != "20s" {
				t.Errorf("lock_timeout is %s after the flush", timeout)
			}

			first := one[time.Time](t, pool, `select min(due_at) from absurd.timers where kind = 'e'`)
			waitUntil(t, pool, `select $1 < clock_timestamp()`, first)
			sweep(t, pool, 10) // the look again finds the row still locked, and arms the next one
			if n := one[int](t, pool, `select count(*) from absurd.timers where kind = 'e' and due_at > $1`, first); n != 1 {
				t.Fatalf("%d looks armed", n)
			}
			if !test.commit {
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
				waitUntil(t, pool, `select min(due_at) < clock_timestamp() from absurd.timers where kind = 'e'`)
				sweep(t, pool, 10)
				if n := one[int](t, pool, `select count(*) from absurd.timers`); n != 0 {
					t.Fatalf("%d looks armed although the wait is registered", n)
				}
				emit(t, pool, "e", `"payload"`)
			} else if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			} else {
				waitUntil(t, pool, `select min(due_at) < clock_timestamp() from absurd.timers where kind = 'e'`)
			}
			want := []pgtype.UUID{claimed[0].TaskID}
			for _, task := range w.claim(10) {
				if i := slices.Index(want, task.TaskID); i >= 0 {
					want = slices.Delete(want, i, i+1)
				}
			}
			if len(want) > 0 {
				t.Error("the task did not wake")
			}
			if got := records(t, pool, claimed[0].TaskID); !slices.Equal(got, []string{`e v a "payload"`}) {
				t.Errorf("records %v", got)
			}
			checkInvariants(t, pool)
		})
	}
}

// Emit must wait for a flush that has registered its wait and not committed: otherwise neither would see the other.
func TestEmitSeesAWaitThatIsBeingStored(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	spawn(t, pool, "")
	task := w.claimOne()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if answers, err := w.try(tx, w.arguments(pass{task: task, action: "suspend", waits: []wait{{"a", "e", time.Time{}}}})); err != nil || answers[0] != "ok" {
		t.Fatal(answers, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		emit(t, pool, "e", `1`)
	}()
	waitForLocks(t, pool, 1)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	w.claimOne()
	checkInvariants(t, pool)
}

func TestEmitNeedsAFreshSnapshot(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	err := pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := db.New().EmitEvents(t.Context(), tx, db.EmitEventsParams{Queue: "q", Names: []string{"e"}, Payloads: []json.RawMessage{nil}})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "read committed") {
		t.Fatalf("emit at repeatable read: %v", err)
	}
}

// A run that suspends twice on an event that an open transaction emits has two timers to look at it again. Both are due at
// once, and the wait is settled once.
func TestWaitsAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	id := spawn(t, pool, "")[0]
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `select absurd.emit_event('q', 'held', '1')`); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // the second time with the first timer still there
		w.mustCommit(pass{task: w.claimOne(), action: "suspend", waits: []wait{{"held", "held", time.Time{}}, {fmt.Sprint("wake", n), fmt.Sprint("now", n), time.Time{}}}})
		// Not due before both are there, however slow the machine.
		exec(t, pool, `update absurd.timers set due_at = due_at + interval '1 hour' where kind = 'e' and due_at < now() + interval '1 minute'`)
		if n == 0 {
			emit(t, pool, "now0", `1`)
		}
	}
	if n := one[int](t, pool, `select count(*) from absurd.timers where kind = 'e'`); n != 2 {
		t.Fatalf("%d timers, want 2", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `update absurd.timers set due_at = due_at - interval '2 hours' where kind = 'e'`)
	sweep(t, pool, 100)
	w.claimOne()
	if got, want := records(t, pool, id), []string{"e v wake0 1", "e v held 1"}; !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	checkInvariants(t, pool)
}

// Many workers suspend on few events while others emit them, some in transactions that stay open for a while or roll
// back. Whatever the order, no task may sleep on an event that has been emitted.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	const tasks, events = 300, 40
	spawn(t, pool, make([]string, tasks)...)

	var group sync.WaitGroup
	for range 4 { // emitters; each event is emitted by several
		group.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for _, n := range random.Perm(events) {
				if err := emitSomehow(t, pool, random, fmt.Sprint("e", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 { // workers; each claims, and suspends on some events or goes on until it has had enough
		group.Go(func() {
			w := newWorker(t, pool)
			random := rand.New(rand.NewPCG(rand.Uint64(), 2))
			for idle := 0; idle < 20; {
				claimed := w.claim(1 + random.IntN(20))
				if len(claimed) == 0 {
					idle++
					continue
				}
				idle = 0
				var passes []pass
				for _, task := range claimed {
					p := pass{task: task, action: "suspend"}
					for i := range 1 + random.IntN(3) {
						n := random.IntN(events)
						p.waits = append(p.waits, wait{name: fmt.Sprintf("w%d.%d", i, n), event: fmt.Sprint("e", n)})
					}
					if task.Token > 5 {
						p = pass{task: task, action: "complete", payload: `1`}
					}
					passes = append(passes, p)
				}
				for len(passes) > 0 {
					var again []pass
					for i, answer := range w.commit(passes...) {
						switch answer {
						case "busy":
							again = append(again, passes[i])
						case "ok":
						default:
							t.Errorf("answer %s", answer)
						}
					}
					passes = again
				}
			}
		})
	}
	group.Wait()

	// In the end every event is emitted, so every task must come to its end.
	for n := range events {
		emit(t, pool, fmt.Sprint("e", n), `1`)
	}
	checkInvariants(t, pool)
	w := newWorker(t, pool)
	for deadline := time.Now().Add(patience); one[bool](t, pool, `select exists (select from absurd.tasks where state <> 'c')`); {
		if time.Now().After(deadline) {
			t.Fatalf("tasks asleep for ever: %v", column[string](t, pool, `
				select t.task_id || ' ' || t.state::text || ' ' || string_agg(w.event_name || ' ' || w.registered, ', ')
				from absurd.tasks t left join absurd.waits w using (queue_no, task_id) where t.state <> 'c' group by 1, t.state`))
		}
		sweep(t, pool, 1000)
		for _, task := range w.claim(tasks) {
			w.commit(pass{task: task, action: "complete", payload: `1`})
		}
	}
	checkInvariants(t, pool)
}

// emitSomehow emits in one statement, or in a transaction that does something else before it commits or rolls back.
func emitSomehow(t *testing.T, pool *pgxpool.Pool, random *rand.Rand, name string) error {
	arg := db.EmitEventsParams{Queue: "q", Names: []string{name}, Payloads: []json.RawMessage{raw(`1`)}}
	if random.IntN(3) == 0 {
		_, err := db.New().EmitEvents(t.Context(), pool, arg)
		return err
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		return err
	}
	defer tx.Rollback(t.Context())
	if _, err := db.New().EmitEvents(t.Context(), tx, arg); err != nil {
		return err
	}
	if _, err := tx.Exec(t.Context(), `select pg_sleep($1)`, random.Float64()/20); err != nil { // the application's own work
		return err
	}
	if random.IntN(3) == 0 {
		return tx.Rollback(t.Context())
	}
	return tx.Commit(t.Context())
}
