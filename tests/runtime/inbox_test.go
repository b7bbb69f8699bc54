package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

var notes = workflow.NewInbox[string]("notes")

func (r *rig) send(to workflow.TaskID, note string, opts ...workflow.SendOption) {
	r.Helper()
	if err := notes.Send(r.ctx, r.client, to, note, opts...); err != nil {
		r.Fatal(err)
	}
}

// collect receives notes until one of them is "end", and returns all before it.
var collect = workflow.NewFlow[string, []string]("collect")

func collectNotes(ctx workflow.Context, _ string) ([]string, error) {
	got := []string{}
	for {
		note, err := notes.Receive(ctx, 0)
		if err != nil || note == "end" {
			return got, err
		}
		got = append(got, note)
	}
}

func TestInbox(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		task := spawn(r, collect, "")
		r.send(task.ID, "before the start", workflow.MessageKey("k"))
		r.work(o, collect.Bind(collectNotes))
		r.send(task.ID, "again", workflow.MessageKey("k"))
		r.awaitState(task.ID, "sleeping")
		r.send(task.ID, "while it sleeps")
		r.send(task.ID, "again", workflow.MessageKey("k"))
		r.send(task.ID, "and at once")
		r.send(task.ID, "end")
		if diff := cmp.Diff([]string{"before the start", "while it sleeps", "and at once"}, result(r, task)); diff != "" {
			t.Error(diff)
		}
		if err := notes.Send(r.ctx, r.client, task.ID, "too late"); !errors.Is(err, workflow.ErrTaskEnded) || !strings.HasPrefix(err.Error(), "workflow: no message was sent") {
			t.Errorf("send to a task that has ended: %v", err)
		}
		if err := notes.Send(r.ctx, r.client, workflow.TaskID{1}, "to nobody"); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("send to no task: %v", err)
		}
	})
}

func TestReceiveTimesOut(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		flow := workflow.NewFlow[string, string]("flow")
		task := spawn(r, flow, "")
		r.send(task.ID, "first")
		r.work(o, flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			first, err := notes.Receive(ctx, time.Nanosecond) // as a look whether there is one
			if err != nil {
				return "", err
			}
			if _, err := notes.Receive(ctx, time.Millisecond); !errors.Is(err, workflow.ErrTimeout) {
				return "", fmt.Errorf("received what was not sent: %w", err)
			}
			second, err := notes.Receive(ctx, time.Hour)
			return first + ", " + second, err
		}))
		r.eventually("the timeout is recorded", func() bool { return len(r.records(task.ID)) == 2 })
		r.send(task.ID, "second")
		if got := result(r, task); got != "first, second" {
			t.Errorf("received %q", got)
		}
		want := []string{"m v $inbox:notes", "m t $inbox:notes#2", "m v $inbox:notes#3"}
		if diff := cmp.Diff(want, r.records(task.ID)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRaceLosesNoMessage: a receive that loses a race leaves the message to the next one.
func TestRaceLosesNoMessage(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		flow := workflow.NewFlow[string, string]("flow")
		r.work(o, flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			winner, _, err := workflow.Race(ctx,
				func(ctx workflow.Context) (string, error) { return notes.Receive(ctx, 0) },
				func(ctx workflow.Context) (string, error) {
					n, err := signal.Await(ctx, "stop", 0)
					return n.Value, err
				})
			if err != nil || winner == 0 {
				return "", fmt.Errorf("the receive has won: %w", err)
			}
			return notes.Receive(ctx, 0)
		}))
		task := spawn(r, flow, "")
		r.awaitState(task.ID, "sleeping")
		tx, err := r.pool.Begin(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(r.ctx)
		// Both are there when the task wakes.
		if err := signal.Emit(r.ctx, workflow.Tx(tx), named{Name: "stop"}); err != nil {
			t.Fatal(err)
		}
		if err := notes.Send(r.ctx, workflow.Tx(tx), task.ID, "kept"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(r.ctx); err != nil {
			t.Fatal(err)
		}
		if got := result(r, task); got != "kept" {
			t.Errorf("received %q", got)
		}
	})
}

// TestManySenders: many senders at once, while workers lose their leases: every task gets every message once, each sender's in
// the order of sending.
func TestManySenders(t *testing.T) {
	r := newRig(t)
	const tasks, senders, each = 5, 4, 15
	step := workflow.NewStep[string, string]("note")
	flow := workflow.NewFlow[string, []string]("flow")
	bindings := []workflow.Binding{
		step.Bind(func(_ context.Context, note string) (string, error) { return note, nil }),
		flow.Bind(func(ctx workflow.Context, _ string) ([]string, error) {
			var got []string
			for range senders * each {
				note, err := notes.Receive(ctx, 0)
				if err != nil {
					return nil, err
				}
				if note, err = step.Do(ctx, note); err != nil {
					return nil, err
				}
				got = append(got, note)
			}
			return got, nil
		}),
	}
	var all []workflow.Task[[]string]
	for range tasks {
		all = append(all, spawn(r, flow, ""))
	}
	r.work(workflow.WorkerOptions{}, bindings...)
	r.work(workflow.WorkerOptions{Parked: -1}, bindings...)
	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			for n := range each {
				for _, task := range all {
					note := fmt.Sprintf("%d.%d", sender, n)
					for range 1 + n%2 { // every other is sent twice
						if err := notes.Send(r.ctx, r.client, task.ID, note, workflow.MessageKey(note)); err != nil && !errors.Is(err, workflow.ErrTaskEnded) {
							t.Error(err)
						}
					}
				}
				if n%5 == 4 {
					r.exec(`update absurd.workers set lease_expires_at = 'epoch' where worker_id = (select min(worker_id) from absurd.workers)`)
				}
			}
		})
	}
	group.Wait()
	for _, task := range all {
		next := make(map[string]int)
		got := result(r, task)
		for _, note := range got {
			sender, n, _ := strings.Cut(note, ".")
			if n != fmt.Sprint(next[sender]) {
				t.Fatalf("note %s came when %s.%d was due: %v", note, sender, next[sender], got)
			}
			next[sender]++
		}
		if len(got) != senders*each {
			t.Errorf("%d notes, want %d", len(got), senders*each)
		}
	}
	if n := one[int](r, `select count(*) from absurd.messages`); n > 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestTransactionSend(t *testing.T) {
	r := newRig(t)
	r.work(workflow.WorkerOptions{}, collect.Bind(collectNotes))
	task := spawn(r, collect, "")
	r.awaitState(task.ID, "sleeping")
	sendIn := func(note string) func(pgx.Tx) workflow.TaskID {
		return func(tx pgx.Tx) workflow.TaskID {
			if err := notes.Send(r.ctx, workflow.Tx(tx), task.ID, note); err != nil {
				t.Fatal(err)
			}
			return task.ID
		}
	}
	r.transaction(pgx.Tx.Rollback, sendIn("rolled back"))
	r.transaction(pgx.Tx.Commit, sendIn("committed"))
	r.send(task.ID, "end")
	if diff := cmp.Diff([]string{"committed"}, result(r, task)); diff != "" {
		t.Error(diff)
	}
}

// TestInboxMisuse: what is wrong with an inbox is said where it is used.
func TestInboxMisuse(t *testing.T) {
	r := newRig(t)
	elsewhere := workflow.NewInbox[string]("elsewhere", workflow.Queue("other"))
	unnamed := workflow.NewInbox[string]("no name")
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, which string) (string, error) {
		if which == "elsewhere" {
			return elsewhere.Receive(ctx, 0)
		}
		return unnamed.Receive(ctx, 0)
	}))
	task := spawn(r, flow, "elsewhere")
	if f := failed(r, task); !strings.Contains(f.Message, `declare the inbox with that queue`) {
		t.Errorf("receive from an inbox of another queue: %v", f)
	}
	if f := failed(r, spawn(r, flow, "unnamed")); !strings.Contains(f.Message, `inbox name "no name"`) {
		t.Errorf("receive from an inbox without a proper name: %v", f)
	}
	for what, err := range map[string]error{
		"a bad name": unnamed.Send(r.ctx, r.client, task.ID, ""),
		"a long key": notes.Send(r.ctx, r.client, task.ID, "", workflow.MessageKey(strings.Repeat("k", 1001))),
		"a NUL":      notes.Send(r.ctx, r.client, task.ID, "", workflow.MessageKey("a\x00")),
	} {
		if !errors.Is(err, workflow.ErrInvalidName) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := notes.Send(r.ctx, nil, task.ID, ""); err == nil || !strings.Contains(err.Error(), "give Send a Client") {
		t.Errorf("send with nothing: %v", err)
	}
}
