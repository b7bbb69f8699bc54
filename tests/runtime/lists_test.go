package runtime

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow"
)

// all reads a list to its end.
func all[T any](r *rig, list iter.Seq2[T, error]) []T {
	r.Helper()
	var rows []T
	for row, err := range list {
		if err != nil {
			r.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// only returns the only row of a list.
func only[T any](r *rig, list iter.Seq2[T, error]) (row T) {
	r.Helper()
	rows := all(r, list)
	if len(rows) != 1 {
		r.Fatalf("%d rows, want 1: %+v", len(rows), rows)
	}
	return rows[0]
}

// TestLists: what an operator sees of a task that has failed, of one that waits, and of their queue.
func TestLists(t *testing.T) {
	r := newRig(t)
	charge := workflow.NewStep[string, string]("charge")
	pay := workflow.NewFlow[string, string]("pay")
	wait := workflow.NewFlow[string, string]("wait")
	both := workflow.NewFlow[string, string]("both")
	r.work(workflow.WorkerOptions{Name: "w1"},
		charge.Bind(func(context.Context, string) (string, error) {
			return "", workflow.Permanent(errors.New("card declined"))
		}),
		pay.Bind(func(ctx workflow.Context, in string) (string, error) { return charge.Do(ctx, in) }),
		wait.Bind(func(ctx workflow.Context, in string) (string, error) {
			if err := workflow.SetAttributes(ctx, map[string]string{"customer": in}); err != nil {
				return "", err
			}
			n, err := signal.Await(ctx, in, time.Hour)
			return n.Value, err
		}),
		both.Bind(func(ctx workflow.Context, in string) (string, error) { return wait.Do(ctx, in) }))
	before := time.Now().Add(-time.Minute)
	paid := spawn(r, pay, "p", workflow.WithTags(map[string]string{"region": "eu"}), workflow.WithIdempotencyKey("k"))
	failed(r, paid)
	parent := spawn(r, both, "c-1", workflow.WithTenant("acme"))
	r.eventually("the child waits", func() bool { return len(all(r, r.client.Waits(r.ctx, workflow.WaitFilter{Kind: "event"}))) == 1 })
	r.awaitState(parent.ID, "sleeping")
	r.emit("other", "known")

	task := only(r, r.client.Tasks(r.ctx, workflow.TaskFilter{
		Workflow: "pay", States: []workflow.TaskState{workflow.TaskFailed}, Tags: map[string]string{"region": "eu"}, Error: "DECLINED", SpawnedFrom: before,
	}))
	if task.ID != paid.ID || task.Root != paid.ID || task.Failure.Message == "" || task.IdempotencyKey != "k" || task.Tags["region"] != "eu" || task.Ended.IsZero() {
		t.Errorf("the failed task: %+v", task)
	}
	child := only(r, r.client.Tasks(r.ctx, workflow.TaskFilter{Attributes: map[string]string{"customer": "c-1"}, Tenant: "acme"}))
	if child.Parent != parent.ID || child.Root != parent.ID || child.State != workflow.TaskSleeping || child.Workflow != "wait" || child.Due.IsZero() {
		t.Errorf("the child: %+v", child)
	}
	if n := len(all(r, r.client.Tasks(r.ctx, workflow.TaskFilter{States: []workflow.TaskState{workflow.TaskSleeping}}))); n != 2 {
		t.Errorf("%d tasks sleep, want the child and its parent", n)
	}
	for task, err := range r.client.Tasks(r.ctx, workflow.TaskFilter{Queue: "nowhere"}) {
		if !errors.Is(err, db.ErrUnknownQueue) || task.Workflow != "" {
			t.Errorf("an unknown queue: %+v, %v", task, err)
		}
	}

	if run := only(r, r.client.Runs(r.ctx, workflow.RunFilter{Task: paid.ID})); run.Attempt != 1 || run.State != workflow.TaskFailed || run.Failure.Message == "" || run.Ended.IsZero() {
		t.Errorf("the run: %+v", run)
	}
	record := only(r, r.client.Checkpoints(r.ctx, "", paid.ID))
	if record.Name != "charge" || record.Kind != "step" || record.Outcome != "failure" || !strings.Contains(string(record.State), "card declined") {
		t.Errorf("the checkpoint: %+v", record)
	}
	open := only(r, r.client.Waits(r.ctx, workflow.WaitFilter{Task: child.ID}))
	if open.For != "signal:c-1" || open.Checkpoint != "$event:signal:c-1" || open.Timeout.IsZero() || open.Tenant != "acme" {
		t.Errorf("the wait: %+v", open)
	}
	if e := only(r, r.client.Events(r.ctx, workflow.EventFilter{Prefix: "signal:"})); e.Name != "signal:other" || !strings.Contains(string(e.Payload), "known") {
		t.Errorf("the event: %+v", e)
	}
	tree := only(r, r.client.WorkflowRuns(r.ctx, workflow.WorkflowRunFilter{Workflow: "both"}))
	if tree.ID != parent.ID || tree.Tasks != 2 || tree.State != workflow.TaskSleeping {
		t.Errorf("the workflow run: %+v", tree)
	}
}

// TestLongList: a list is read to its end over pages, from a cursor on, and no further than the caller wants.
func TestLongList(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[int, int]("flow")
	inputs := make([]int, 230)
	tasks, err := flow.SpawnMany(r.ctx, r.client, inputs)
	if err != nil {
		t.Fatal(err)
	}
	rows := all(r, r.client.Tasks(r.ctx, workflow.TaskFilter{}))
	if len(rows) != len(inputs) {
		t.Fatalf("%d tasks are listed, want %d", len(rows), len(inputs))
	}
	seen := map[workflow.TaskID]bool{}
	for _, row := range rows {
		seen[row.ID] = true
	}
	for _, task := range tasks {
		if !seen[task.ID] {
			t.Errorf("task %s is not listed", task.ID)
		}
	}
	rest := all(r, r.client.Tasks(r.ctx, workflow.TaskFilter{After: rows[99].Cursor}))
	if len(rest) != 130 || rest[0].ID != rows[100].ID {
		t.Errorf("%d tasks behind the hundredth, want 130", len(rest))
	}
	for row, err := range r.client.Tasks(r.ctx, workflow.TaskFilter{}) {
		if err != nil || row.ID != rows[0].ID {
			t.Errorf("the first task: %+v, %v", row, err)
		}
		break
	}
}

// TestQueueGates: a queue is paused, limited and counted from Go.
func TestQueueGates(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("flow")
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	step("pause", r.client.PauseQueue(r.ctx, workflow.DefaultQueue))
	step("limit", r.client.LimitQueue(r.ctx, workflow.DefaultQueue, 3))
	task := spawn(r, flow, "in")
	stats, err := r.client.QueueStats(r.ctx, workflow.DefaultQueue)
	step("count", err)
	if !stats.Paused || stats.Limit != 3 || stats.Pending != 1 || stats.OldestPending.IsZero() {
		t.Errorf("a paused queue with a task: %+v", stats)
	}
	r.work(workflow.WorkerOptions{}, flow.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	step("unlimit", r.client.LimitQueue(r.ctx, workflow.DefaultQueue, 0))
	step("resume", r.client.ResumeQueue(r.ctx, workflow.DefaultQueue))
	result(r, task)
	all, err := r.client.Queues(r.ctx)
	step("list", err)
	if len(all) != 1 || all[0].Name != workflow.DefaultQueue || all[0].Paused || all[0].Limit != 0 || all[0].Workers != 1 {
		t.Errorf("the queues: %+v", all)
	}
	for what, err := range map[string]error{
		"pause an unknown queue": r.client.PauseQueue(r.ctx, "nowhere"),
		"a negative limit":       r.client.LimitQueue(r.ctx, workflow.DefaultQueue, -5),
		"pause for one tenant":   workflow.NewClient(r.pool, workflow.ClientOptions{Tenant: "acme", NoListen: true}).PauseQueue(r.ctx, workflow.DefaultQueue),
	} {
		if err == nil || strings.Count(fmt.Sprint(err), "workflow:") != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
