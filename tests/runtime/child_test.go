package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

var double = workflow.NewFlow[int, int]("double", workflow.Queue("children"))

func bindDouble() workflow.Binding {
	return double.Bind(func(_ workflow.Context, n int) (int, error) {
		if n < 0 {
			return 0, workflow.Fail("%d is negative", n)
		}
		return 2 * n, nil
	})
}

// newFamily is a rig with a second queue, for the children.
func newFamily(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.createQueue("children")
	return r
}

func TestChildrenOnAnotherQueue(t *testing.T) {
	r := newFamily(t)
	parent := workflow.NewFlow[int, int]("parent")
	w := r.work(workflow.WorkerOptions{}, bindDouble(), parent.Bind(func(ctx workflow.Context, n int) (int, error) {
		a, b := double.Go(ctx, n), double.Go(ctx, n+1)
		both, err := workflow.All(ctx, a, b)
		if err != nil {
			return 0, err
		}
		again, err := double.Do(ctx, both[0]+both[1])
		return again, err
	}))
	task := spawn(r, parent, 10)
	if got := result(r, task); got != 84 {
		t.Errorf("got %d, want 84", got)
	}
	w.end()
	if got, want := r.records(task.ID), []string{"c v $child:double", "c v $child:double#2", "c v $child:double#3"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if n := one[int](r, `select count(*) from absurd.tasks c join absurd.queues q on q.queue_no = c.queue_no
		where q.queue_name = 'children' and c.parent_id = $1 and c.root_id = $1`, uuid(task.ID)); n != 3 {
		t.Errorf("%d children, want 3", n)
	}
	r.nothingLeft()
}

func TestFailedChild(t *testing.T) {
	r := newFamily(t)
	parent := workflow.NewFlow[int, string]("parent")
	w := r.work(workflow.WorkerOptions{}, bindDouble(), parent.Bind(func(ctx workflow.Context, n int) (string, error) {
		_, err := double.Do(ctx, n)
		var failed *workflow.ChildError
		if !errors.As(err, &failed) {
			return "", fmt.Errorf("no child error: %w", err)
		}
		return fmt.Sprint(failed.Workflow, " ", failed.Checkpoint, " ", failed.Cancelled, " ", failed.Task != workflow.TaskID{}, ": ", failed.Message), nil
	}))
	if got, want := result(r, spawn(r, parent, -1)), "double $child:double false true: -1 is negative"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.end()
	r.nothingLeft()
}

// A retry of the parent runs a failed child again, as a new one, and not the one that has succeeded.
func TestRetryRunsAFailedChildAgain(t *testing.T) {
	r := newRig(t)
	parent, child := workflow.NewFlow[int, int]("parent"), workflow.NewFlow[int, int]("child")
	var runs atomic.Int32
	w := r.work(workflow.WorkerOptions{},
		child.Bind(func(_ workflow.Context, n int) (int, error) {
			if runs.Add(1); n == 2 && runs.Load() < 3 {
				return 0, errors.New("not yet")
			}
			return n, nil
		}),
		parent.Bind(func(ctx workflow.Context, _ int) (int, error) {
			a, err := child.Do(ctx, 1)
			if err != nil {
				return 0, err
			}
			b, err := child.Do(ctx, 2)
			if err != nil {
				return 0, fmt.Errorf("second: %w", err)
			}
			return a + b, nil
		}))
	task := spawn(r, parent, 0)
	if f := failed(r, task); f.Message != "second: child child: not yet" {
		t.Errorf("failure %q", f.Message)
	}
	if err := task.Retry(r.ctx); err != nil {
		t.Fatal(err)
	}
	if got := result(r, task); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	if n := one[int](r, `select count(*) from absurd.tasks where parent_id = $1`, uuid(task.ID)); n != 3 {
		t.Errorf("%d children were made, want 3", n)
	}
	w.end()
	r.nothingLeft()
}

// A thousand children of one workflow, several workers at once: each runs once, and no wake-up of the parent is lost.
func TestAThousandChildren(t *testing.T) {
	r := newFamily(t)
	parent := workflow.NewFlow[int, int]("parent")
	bind := parent.Bind(func(ctx workflow.Context, n int) (int, error) {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		doubled, err := workflow.Map(ctx, items, double, workflow.Concurrency(n))
		sum := 0
		for i, d := range doubled {
			if d != 2*i {
				return 0, fmt.Errorf("item %d: %d", i, d)
			}
			sum += d
		}
		return sum, err
	})
	var workers []*worker
	for range 3 {
		workers = append(workers, r.work(workflow.WorkerOptions{}, bindDouble(), bind))
	}
	task := spawn(r, parent, 1000)
	if got := result(r, task); got != 999_000 {
		t.Errorf("sum %d, want 999000", got)
	}
	for _, w := range workers {
		w.end()
	}
	if n := one[int](r, `select count(*) from absurd.tasks where parent_id is not null and token = 1 and state = 'c'`); n != 1000 {
		t.Errorf("%d children ran once, want 1000", n)
	}
	r.nothingLeft()
}

// Children of children, each generation on the other queue, two at a time.
func TestGrandchildren(t *testing.T) {
	r := newFamily(t)
	even, odd := workflow.NewFlow[int, int]("even"), workflow.NewFlow[int, int]("odd", workflow.Queue("children"))
	body := func(next workflow.Flow[int, int]) func(workflow.Context, int) (int, error) {
		return func(ctx workflow.Context, depth int) (int, error) {
			if depth == 0 {
				return 1, nil
			}
			both, err := workflow.Map(ctx, []int{depth - 1, depth - 1}, next)
			if err != nil {
				return 0, err
			}
			return both[0] + both[1], nil
		}
	}
	w := r.work(workflow.WorkerOptions{}, even.Bind(body(odd)), odd.Bind(body(even)))
	task := spawn(r, even, 6)
	if got := result(r, task); got != 64 {
		t.Errorf("%d leaves, want 64", got)
	}
	w.end()
	if n := one[int](r, `select count(*) from absurd.tasks where root_id = $1`, uuid(task.ID)); n != 126 {
		t.Errorf("%d descendants know their root, want 126", n)
	}
	r.nothingLeft()
}

func TestChildInheritsTenantAndHeaders(t *testing.T) {
	r := newFamily(t)
	parent := workflow.NewFlowOnly("parent")
	w := r.work(workflow.WorkerOptions{}, bindDouble(), parent.Bind(func(ctx workflow.Context) error {
		_, err := double.With(workflow.WithHeaders(map[string]string{"own": "c"}), workflow.WithPriority(-7)).Do(ctx, 1)
		return err
	}))
	var id workflow.TaskID
	if err := r.pool.QueryRow(r.ctx, `select task_id from absurd.spawn_tasks('default', '{parent}', '{null}', array['{"tenant": "acme", "headers": {"traceparent": "p", "own": "p"}}'::jsonb])`).Scan((*[16]byte)(&id)); err != nil {
		t.Fatal(err)
	}
	r.awaitState(id, "completed")
	w.end()
	got := one[string](r, `select tenant || ' ' || priority || ' ' || headers::text from absurd.tasks where parent_id = $1`, uuid(id))
	if want := `acme -7 {"own": "c", "traceparent": "p"}`; got != want {
		t.Errorf("the child has %s, want %s", got, want)
	}
}

// A child on a queue that does not exist blocks its parent, and nobody else, until the queue is made.
func TestChildOnAnUnknownQueue(t *testing.T) {
	r := newRig(t)
	parent, other := workflow.NewFlow[int, int]("parent"), workflow.NewFlow[int, int]("other")
	r.work(workflow.WorkerOptions{Queues: []string{workflow.DefaultQueue}}, bindDouble(),
		other.Bind(func(_ workflow.Context, n int) (int, error) { return n, nil }),
		parent.Bind(func(ctx workflow.Context, n int) (int, error) { return double.Do(ctx, n) }))
	task := spawn(r, parent, 1)
	if got := result(r, spawn(r, other, 5)); got != 5 {
		t.Errorf("the other task's result is %d", got)
	}
	if reason := r.awaitState(task.ID, "blocked"); reason != `a child cannot be made: queue "children" does not exist: create it first, with absurd.create_queue or Client.CreateQueue` {
		t.Errorf("reason %q", reason)
	}
	r.createQueue("children")
	r.work(workflow.WorkerOptions{}, bindDouble())
	r.exec(`update absurd.timers set due_at = now() where kind = 'w'`)
	r.exec(`update absurd.tasks set available_at = (select due_at from absurd.timers where kind = 'w') where state = 'b'`)
	if got := result(r, task); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}

// A step that has run beside a child that cannot be made does not run again with every try at making it.
func TestStepBeforeAnImpossibleChild(t *testing.T) {
	r := newRig(t)
	nowhere := workflow.NewFlow[int, int]("nowhere", workflow.Queue("nowhere"))
	parent := workflow.NewFlow[int, int]("parent")
	var charged atomic.Int32
	r.work(workflow.WorkerOptions{}, parent.Bind(func(ctx workflow.Context, _ int) (int, error) {
		n, err := workflow.Inline(ctx, "charge", func(context.Context) (int, error) { return int(charged.Add(1)), nil })
		if err != nil {
			return 0, err
		}
		return nowhere.Do(ctx, n)
	}))
	task := spawn(r, parent, 1)
	r.awaitState(task.ID, "blocked")
	if got, want := r.records(task.ID), []string{"s v charge"}; !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if err := r.client.CreateQueue(r.ctx, "nowhere"); err != nil {
		t.Fatal(err)
	}
	r.exec(`update absurd.timers set due_at = now()`)
	r.eventually("the child is made", func() bool { return one[int](r, `select count(*) from absurd.tasks where parent_id is not null`) == 1 })
	if n := charged.Load(); n != 1 {
		t.Errorf("charged %d times, want once", n)
	}
}

// The loser's child of a race is asked to end; an abandoned one goes on.
func TestRaceLosersChildren(t *testing.T) {
	r := newRig(t)
	parent := workflow.NewFlow[bool, string]("parent")
	slow := workflow.NewFlow[int, string]("slow")
	w := r.work(workflow.WorkerOptions{},
		slow.Bind(func(ctx workflow.Context, _ int) (string, error) {
			err := workflow.Sleep(ctx, time.Hour)
			return "slept", err
		}),
		parent.Bind(func(ctx workflow.Context, abandon bool) (string, error) {
			child := slow
			if abandon {
				child = slow.With(workflow.Abandon())
			}
			_, got, err := workflow.Race(ctx,
				func(ctx workflow.Context) (string, error) { return child.Do(ctx, 1) },
				func(ctx workflow.Context) (string, error) {
					return "quick", workflow.Sleep(ctx, 300*time.Millisecond)
				})
			return got, err
		}))
	for _, abandon := range []bool{false, true} {
		task := spawn(r, parent, abandon)
		if got := result(r, task); got != "quick" {
			t.Errorf("the winner is %q", got)
		}
		child := workflow.TaskID(one[[16]byte](r, `select task_id from absurd.tasks where parent_id = $1`, uuid(task.ID)))
		if abandon {
			r.awaitState(child, "sleeping")
		} else {
			r.awaitState(child, "cancelled")
		}
	}
	w.end()
}

// A workflow may end before a child that it has abandoned.
func TestAbandonedChildOutlivesItsParent(t *testing.T) {
	r := newRig(t)
	parent, child := workflow.NewFlowOnly("parent"), workflow.NewFlowOnly("child")
	goOn := make(chan struct{})
	w := r.work(workflow.WorkerOptions{},
		child.Bind(func(ctx workflow.Context) error {
			_, err := workflow.Inline(ctx, "wait", func(ctx context.Context) (int, error) {
				select {
				case <-goOn:
				case <-ctx.Done():
				}
				return 1, ctx.Err()
			})
			return err
		}),
		parent.Bind(func(ctx workflow.Context) error {
			child.With(workflow.Abandon()).Go(ctx)
			return nil
		}))
	task, err := parent.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	result(r, task)
	id := workflow.TaskID(one[[16]byte](r, `select task_id from absurd.tasks where parent_id = $1`, uuid(task.ID)))
	close(goOn)
	r.awaitState(id, "completed")
	w.end()
}

// A task says which code has spawned it, a child too.
func TestVersionAndShape(t *testing.T) {
	r := newRig(t)
	child := workflow.NewFlowOnly("child", workflow.Version("7"))
	parent := workflow.NewFlowOnly("parent", workflow.Version("2"), workflow.Shape("0123456789abcdef"))
	r.work(workflow.WorkerOptions{}, child.Bind(func(workflow.Context) error { return nil }), parent.Bind(child.Do))
	plain, err := parent.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	optional, err := parent.Spawn(r.ctx, r.client, workflow.WithPriority(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []workflow.Task[workflow.None]{plain, optional} {
		result(r, task)
		got := one[string](r, `select concat_ws(' ', t.version, t.shape_hash, c.version, coalesce(c.shape_hash, 'none')) from absurd.tasks t
			join absurd.tasks c on c.parent_id = t.task_id where t.task_id = $1`, uuid(task.ID))
		if want := "2 0123456789abcdef 7 none"; got != want {
			t.Errorf("stored %q, want %q", got, want)
		}
	}
}
