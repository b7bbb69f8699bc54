package runtime

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// named is an event whose instances are told apart by the first field of the payload.
type named struct {
	Name, Value string
}

var signal = workflow.NewEvent("signal", func(n named) string { return n.Name })

func (r *rig) emit(name, value string) {
	r.Helper()
	if err := signal.Emit(r.ctx, r.client, named{name, value}); err != nil {
		r.Fatal(err)
	}
}

// parkedAndReplayed runs a test with passes that go on where they were parked, and with passes that always replay.
func parkedAndReplayed(t *testing.T, test func(*testing.T, workflow.WorkerOptions)) {
	t.Helper()
	t.Run("parked", func(t *testing.T) { test(t, workflow.WorkerOptions{}) })
	t.Run("replayed", func(t *testing.T) { test(t, workflow.WorkerOptions{Parked: -1}) })
}

// TestWaitsHoldNoWorker: a worker with room for one pass keeps any number of tasks waiting, and still gets work done.
func TestWaitsHoldNoWorker(t *testing.T) {
	const many = 30
	r := newRig(t)
	waiting := workflow.NewFlow[int, string]("waiting")
	sleeping := workflow.NewFlow[int, string]("sleeping")
	quick := workflow.NewFlow[int, string]("quick")
	r.work(workflow.WorkerOptions{Passes: 1},
		waiting.Bind(func(ctx workflow.Context, _ int) (string, error) {
			n, err := signal.Await(ctx, "all", 0)
			return n.Value, err
		}),
		sleeping.Bind(func(ctx workflow.Context, _ int) (string, error) { return "", workflow.Sleep(ctx, time.Hour) }),
		quick.Bind(func(workflow.Context, int) (string, error) { return "done", nil }))

	var tasks []workflow.Task[string]
	for n := range many {
		tasks = append(tasks, spawn(r, waiting, n))
		spawn(r, sleeping, n)
	}
	r.eventually("all wait", func() bool { return one[int](r, `select count(*) from absurd.tasks where state = 's'`) == 2*many })
	if got := result(r, spawn(r, quick, 0)); got != "done" {
		t.Errorf("while others wait the result is %q", got)
	}
	r.emit("all", "go")
	for _, task := range tasks {
		if got := result(r, task); got != "go" {
			t.Errorf("result %q, want the event's value", got)
		}
	}
}

// TestSleep: the time after a sleep is its wake time to the microsecond, in the pass that slept and in every replay.
func TestSleep(t *testing.T) {
	for name, test := range map[string]struct {
		d         time.Duration
		suspended int64
	}{
		"in memory":            {20 * time.Millisecond, 0},
		"holding no worker":    {3 * time.Second, 1}, // when the pass has come to it, a short sleep could do without
		"over before it began": {-time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var ended passes
			flow := workflow.NewFlow[time.Duration, time.Duration]("sleep")
			r.work(workflow.WorkerOptions{Hooks: ended.hooks()}, flow.Bind(func(ctx workflow.Context, d time.Duration) (time.Duration, error) {
				before := workflow.Now(ctx)
				err := workflow.SleepUntil(ctx, before.Add(d))
				return workflow.Now(ctx).Sub(before), err
			}))
			if got, want := result(r, spawn(r, flow, test.d)), max(0, test.d); got != want {
				t.Errorf("by the workflow's clock it slept %v, want %v", got, want)
			}
			if n := ended.suspended.Load(); n != test.suspended {
				t.Errorf("the run was given up %d times, want %d", n, test.suspended)
			}
		})
	}
}

func TestEventBeforeWait(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("wait")
	r.emit("early", "first")
	r.emit("early", "second") // changes nothing
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, key string) (string, error) {
		n, err := signal.Await(ctx, key, time.Hour)
		return n.Value, err
	}))
	task := spawn(r, flow, "early")
	if got := result(r, task); got != "first" {
		t.Errorf("result %q, want that of the first emit", got)
	}
	if diff := cmp.Diff([]string{"e v $event:signal:early"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestEventDuringWait(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("wait")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, key string) (string, error) {
		n, err := signal.Await(ctx, key, time.Hour)
		return n.Value, err
	}))
	task := spawn(r, flow, "late")
	r.awaitState(task.ID, "sleeping")
	r.emit("another", "x")
	if state, _ := r.state(task.ID); state != "sleeping" {
		t.Errorf("another instance of the event has woken the task: it is %s", state)
	}
	r.emit("late", "here")
	if got := result(r, task); got != "here" {
		t.Errorf("result %q", got)
	}
}

// TestTimeoutIsRecorded: an event that comes after the wait has timed out changes nothing, also in a replay.
func TestTimeoutIsRecorded(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		flow := workflow.NewFlow[string, string]("wait")
		passes := make(chan error, 9)
		r.work(o, flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			_, err := signal.Await(ctx, "too late", 300*time.Millisecond)
			passes <- err
			n, _ := signal.Await(ctx, "go", 0)
			return n.Value, err
		}))
		task := spawn(r, flow, "")
		if err := receive(r, "the end of the wait", passes); !errors.Is(err, workflow.ErrTimeout) {
			t.Fatalf("the wait ended with %v, want ErrTimeout", err)
		}
		r.eventually("the task waits for the other event", func() bool { return one[int](r, `select count(*) from absurd.waits`) == 1 })
		r.emit("too late", "x")
		r.emit("go", "on")
		if failure := failed(r, task); failure.Message != workflow.ErrTimeout.Error()+": event signal:too late" {
			t.Errorf("the task failed with %q", failure.Message)
		}
		for len(passes) > 0 {
			if err := <-passes; !errors.Is(err, workflow.ErrTimeout) {
				t.Errorf("in a replay the wait ended with %v", err)
			}
		}
		if diff := cmp.Diff([]string{"e t $event:signal:too late", "e v $event:signal:go"}, r.records(task.ID)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTimeoutBeforeSuspension: the time is up before the wait can even be stored. It has timed out, unless the event was there.
func TestTimeoutBeforeSuspension(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("wait")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, key string) (string, error) {
		n, err := signal.Await(ctx, key, time.Microsecond)
		if errors.Is(err, workflow.ErrTimeout) {
			return "timeout", nil
		}
		return n.Value, err
	}))
	r.emit("there", "value")
	for key, want := range map[string]string{"there": "value", "missing": "timeout"} {
		if got := result(r, spawn(r, flow, key)); got != want {
			t.Errorf("event %s: result %q, want %q", key, got, want)
		}
	}
}

// TestWaitsSideBySide: two waits with timeouts, one without, and two sleeps, each in a branch of its own.
func TestWaitsSideBySide(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		flow := workflow.NewFlow[int, []string]("wait")
		wait := func(key string, timeout time.Duration) workflow.Func[int, string] {
			return func(ctx workflow.Context, _ int) (string, error) {
				n, err := signal.Await(ctx, key, timeout)
				if errors.Is(err, workflow.ErrTimeout) {
					return "timeout", nil
				}
				return n.Value, err
			}
		}
		sleep := func(d time.Duration) workflow.Func[int, string] {
			return func(ctx workflow.Context, _ int) (string, error) { return d.String(), workflow.Sleep(ctx, d) }
		}
		r.work(o, flow.Bind(func(ctx workflow.Context, _ int) ([]string, error) {
			return workflow.All(ctx,
				wait("a", time.Hour).Go(ctx, 0), wait("b", 300*time.Millisecond).Go(ctx, 0), wait("c", 0).Go(ctx, 0),
				sleep(10*time.Millisecond).Go(ctx, 0), sleep(400*time.Millisecond).Go(ctx, 0))
		}))
		task := spawn(r, flow, 0)
		r.eventually("only two waits are open", func() bool {
			state, _ := r.state(task.ID)
			return state == "sleeping" && one[int](r, `select count(*) from absurd.waits`) == 2 && one[int](r, `select count(*) from absurd.checkpoints`) == 3
		})
		r.emit("c", "C")
		r.eventually("only one wait is open", func() bool {
			state, _ := r.state(task.ID)
			return state == "sleeping" && one[int](r, `select count(*) from absurd.waits`) == 1
		})
		r.emit("a", "A")
		if diff := cmp.Diff([]string{"A", "timeout", "C", "10ms", "400ms"}, result(r, task)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestStepBesideWait: a branch goes on with its steps while another one waits.
func TestStepBesideWait(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		step := workflow.NewStep[int, int]("add")
		flow := workflow.NewFlow[int, int]("wait")
		var runs atomic.Int64
		r.work(o,
			step.Bind(func(_ context.Context, n int) (int, error) { runs.Add(1); return n + 1, nil }),
			flow.Bind(func(ctx workflow.Context, n int) (int, error) {
				event := signal.Go(ctx, "go", time.Hour)
				for range 3 {
					var err error
					if n, err = step.Do(ctx, n); err != nil {
						return 0, err
					}
				}
				_, err := event.Await(ctx)
				return n, err
			}))
		task := spawn(r, flow, 0)
		r.awaitState(task.ID, "sleeping")
		r.emit("go", "")
		if got := result(r, task); got != 3 || runs.Load() != 3 {
			t.Errorf("result %d after %d runs of the step, want 3 and 3", got, runs.Load())
		}
	})
}

// TestEndLeavesWaits: what a workflow has begun to wait for, and nobody awaits, does not keep it from ending, nor does the wait's
// timeout fail it; and a message for which the receive was open reaches the next generation.
func TestEndLeavesWaits(t *testing.T) {
	parkedAndReplayed(t, func(t *testing.T, o workflow.WorkerOptions) {
		r := newRig(t)
		open := func(ctx workflow.Context, key string) error {
			signal.Go(ctx, "never", 0)
			signal.Go(ctx, "late", time.Millisecond)
			notes.Go(ctx, 0)
			_, err := signal.Await(ctx, key, 0)
			return err
		}
		ends := workflow.NewFlow[string, string]("ends")
		fails := workflow.NewFlow[string, string]("fails")
		continues := workflow.NewFlow[string, string]("continues")
		w := r.work(o,
			ends.Bind(func(ctx workflow.Context, key string) (string, error) { return "done", open(ctx, key) }),
			fails.Bind(func(ctx workflow.Context, key string) (string, error) {
				return "", errors.Join(errors.New("not done"), open(ctx, key))
			}),
			continues.Bind(func(ctx workflow.Context, key string) (string, error) {
				if key == "" {
					return notes.Receive(ctx, 0)
				}
				return "", errors.Join(open(ctx, key), continues.Continue(""))
			}))
		end, fail, next := spawn(r, ends, "go"), spawn(r, fails, "go"), spawn(r, continues, "go")
		for _, id := range []workflow.TaskID{end.ID, fail.ID, next.ID} {
			r.awaitState(id, "sleeping")
		}
		r.emit("go", "")
		if got := result(r, end); got != "done" {
			t.Errorf("result %q", got)
		}
		if got := failed(r, fail); got.Message != "not done" {
			t.Errorf("failed with %v", got)
		}
		r.eventually("the next generation waits for a message alone", func() bool {
			return one[int](r, `select count(*) from absurd.waits where task_id = $1`, uuid(next.ID)) == 1
		})
		r.send(next.ID, "for the next")
		if got := result(r, next); got != "for the next" {
			t.Errorf("received %q", got)
		}
		w.end()
		r.nothingLeft()
	})
}
