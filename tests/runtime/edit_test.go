package runtime

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// op is a durable operation of a workflow that is edited.
type op func(ctx workflow.Context) error

// The operations. Steps note that they ran.

func run(name string, in ...string) op {
	return func(ctx workflow.Context) error {
		_, err := workflow.NewStep[string, string](name).Do(ctx, strings.Join(in, ""))
		return err
	}
}

func runKeyed(key string) op {
	return func(ctx workflow.Context) error {
		_, err := editKeyed.Do(ctx, key)
		return err
	}
}

var editKeyed = workflow.NewStep[string, string]("keyed").KeyedBy(func(in string) string { return in })

func nap(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Millisecond) }

func await(key string) op {
	return func(ctx workflow.Context) error {
		_, err := signal.Await(ctx, key, 0)
		return err
	}
}

func branched(ops ...op) op {
	return func(ctx workflow.Context) error {
		_, err := workflow.Go(ctx, func(ctx workflow.Context) (string, error) { return "", body(ops)(ctx) }).Await(ctx)
		return err
	}
}

func body(ops []op) op {
	return func(ctx workflow.Context) error {
		for _, o := range ops {
			if err := o(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestEdits changes the code of tasks in mid-history in every way there is: each edit is caught before anything new happens, or does
// no harm.
func TestEdits(t *testing.T) {
	// All have come to "go", and have been woken by it when the new code comes.
	before := []op{run("a"), runKeyed("x"), nap, await("first"), run("a", "again"), run("b"), await("go")}
	after := func(change func(ops []op) []op) []op { return change(slices.Clone(before)) }
	edits := []struct {
		name   string
		code   []op
		caught string   // part of the reason; empty: it does no harm
		runs   []string // the steps that the new code runs
	}{
		{"nothing", before, "", nil},
		{"remove the first", before[1:], `step "a#2"`, nil},
		{"remove one in the middle", slices.Delete(slices.Clone(before), 1, 2), `step "keyed:x"`, nil},
		{"remove the last", slices.Delete(slices.Clone(before), 5, 6), `step "b"`, nil},
		{"remove a sleep", slices.Delete(slices.Clone(before), 2, 3), `sleep "$sleep"`, nil},
		{"remove an event", slices.Delete(slices.Clone(before), 3, 4), `event "$event:signal:first"`, nil},
		{"remove all", nil, `step "a"`, nil},
		{"rename", after(func(o []op) []op { o[5] = run("c"); return o }), `step "b"`, nil},
		{"insert before the first", slices.Insert(slices.Clone(before), 0, run("c")), `step "c" at`, nil},
		{"insert before the last", slices.Insert(slices.Clone(before), 5, run("c")), `step "b"`, nil},
		{"insert one of a name that is there", slices.Insert(slices.Clone(before), 0, run("a")), `another input`, nil},
		{"insert a sleep", slices.Insert(slices.Clone(before), 0, op(nap)), `event "$event:signal:first"`, nil},
		{"insert an event", slices.Insert(slices.Clone(before), 1, await("other")), `event "$event:signal:other" at`, nil},
		{"move into a branch", after(func(o []op) []op { o[5] = branched(run("b")); return o }), `step "1/b" at`, nil},
		{"move behind an event that has come", after(func(o []op) []op { o[3], o[5] = o[5], o[3]; return o }), "", nil},
		{"change the kind", after(func(o []op) []op { o[5] = await("b"); return o }), `step "b"`, nil},
		{"change the kind of a wait", after(func(o []op) []op { o[3] = nap; return o }), `event "$event:signal:first"`, nil},
		{"change the key", after(func(o []op) []op { o[1] = runKeyed("y"); return o }), `step "keyed:x"`, nil},
		{"change the key of an event", after(func(o []op) []op { o[3] = await("1st"); return o }), `event "$event:signal:first"`, nil},
		{"change the input of an unkeyed repeat", after(func(o []op) []op { o[4] = run("a", "anew"); return o }), `another input`, nil},
		{"change the input of a first use", after(func(o []op) []op { o[5] = run("b", "anew"); return o }), "", nil},
		{"swap finished steps", after(func(o []op) []op { o[0], o[1], o[4], o[5] = o[1], o[0], o[5], o[4]; return o }), "", nil},
		{"append", append(slices.Clone(before), run("c"), op(nap), run("a", "more")), "", []string{"c", "a#3"}},
		{"append a branch", append(slices.Clone(before), branched(run("c"))), "", []string{"1/c"}},
	}

	r := newRig(t)
	var mu sync.Mutex
	ran := map[workflow.TaskID][]string{}
	noted := func(ctx context.Context, in string) (string, error) {
		info, _ := workflow.InfoOf(ctx)
		mu.Lock()
		defer mu.Unlock()
		ran[info.Task] = append(ran[info.Task], info.Checkpoint)
		return in, nil
	}
	flows := make([]workflow.Flow[string, string], len(edits))
	bindings := func(code func(int) []op) []workflow.Binding {
		bound := []workflow.Binding{editKeyed.Bind(noted)}
		for _, name := range []string{"a", "b", "c"} {
			bound = append(bound, workflow.NewStep[string, string](name).Bind(noted))
		}
		for i := range edits {
			bound = append(bound, flows[i].Bind(func(ctx workflow.Context, _ string) (string, error) { return "", body(code(i))(ctx) }))
		}
		return bound
	}
	tasks := make([]workflow.Task[string], len(edits))
	for i := range edits {
		flows[i] = workflow.NewFlow[string, string]("edit-" + string(rune('a'+i)))
		tasks[i] = spawn(r, flows[i], "")
	}
	r.emit("first", "")
	old := r.work(workflow.WorkerOptions{Code: "old"}, bindings(func(int) []op { return before })...)
	r.eventually("all wait for go", func() bool {
		return one[int](r, `select count(*) from absurd.waits w join absurd.tasks t using (task_id) where t.state = 's' and w.event_name = 'signal:go'`) == len(edits)
	})
	old.end()
	r.emit("go", "")
	mu.Lock()
	clear(ran)
	mu.Unlock()

	changed := r.work(workflow.WorkerOptions{Code: "new"}, bindings(func(i int) []op { return edits[i].code })...)
	for i, e := range edits {
		if e.caught == "" {
			if _, err := tasks[i].Result(r.ctx); err != nil {
				state, reason := r.state(tasks[i].ID)
				t.Errorf("%s: the task is %s: %v %s", e.name, state, err, reason)
			}
		} else if reason := r.awaitState(tasks[i].ID, "blocked"); !strings.Contains(reason, e.caught) {
			t.Errorf("%s: want a reason with %q in it:\n%s", e.name, e.caught, reason)
		}
	}
	changed.end()
	for i, e := range edits {
		if !slices.Equal(ran[tasks[i].ID], e.runs) {
			t.Errorf("%s: the new code ran the steps %q, want %q", e.name, ran[tasks[i].ID], e.runs)
		}
	}

	// Nothing is lost: with the old code all that was caught goes on to its end.
	r.work(workflow.WorkerOptions{Code: "old again"}, bindings(func(int) []op { return before })...)
	for i, e := range edits {
		if _, err := tasks[i].Result(r.ctx); err != nil {
			t.Errorf("%s: with the old code again: %v", e.name, err)
		}
	}
}
