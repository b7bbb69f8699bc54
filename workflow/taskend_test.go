package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// asked is a store that counts how often somebody asked it for a task's end.
type asked struct {
	store.Store
	times *atomic.Int32
}

func (a asked) For(tenant string) store.Store { return asked{a.Store.For(tenant), a.times} }

func (a asked) Watch(ctx context.Context, queue string, task store.ID) (*store.Outcome, error) {
	a.times.Add(1)
	return a.Store.Watch(ctx, queue, task)
}

// alone is a process with a client and a worker on a store of its own. times is how often the store is asked for the end of a task.
func alone(t *testing.T, o ClientOptions, bindings ...Binding) (_ *Client, times *atomic.Int32) {
	t.Helper()
	times = new(atomic.Int32)
	client := NewClientOn(asked{memory.New(time.Now), times}, o)
	t.Cleanup(client.Close)
	if err := client.CreateQueue(t.Context(), DefaultQueue); err != nil {
		t.Fatal(err)
	}
	registry := NewRegistry()
	if err := registry.Add(bindings...); err != nil {
		t.Fatal(err)
	}
	w, err := NewWorker(client, registry, WorkerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client, times
}

// A result that a worker of the same process has written needs no question to the store, however long the task runs, and is as the store
// would give it back.
func TestResultOfThisProcess(t *testing.T) {
	t.Parallel()
	good, bad := NewFlow[None, json.RawMessage]("good"), NewFlow[None, None]("bad")
	client, times := alone(t, ClientOptions{}, good.Bind(func(Context, None) (json.RawMessage, error) {
		<-time.After(4 * settleBeside) // longer than a task is left alone at first
		return json.RawMessage(`{"bb":1e2, "a":[ 1.50 ]}`), nil
	}), bad.Bind(func(Context, None) (None, error) { return None{}, errors.New("no luck") }))

	failing := unasked(t, client, times, bad, func(_ None, err error) {
		var failed *TaskError
		if !errors.As(err, &failed) || failed.Message != "no luck" {
			t.Errorf("error %v", err)
		}
	})
	unasked(t, client, times, good, func(got json.RawMessage, err error) {
		if err != nil || string(got) != `{"a": [1.50], "bb": 100}` {
			t.Errorf("result %s, %v", got, err)
		}
	})
	times.Store(0)
	if _, err := failing.Result(t.Context()); err == nil || times.Load() == 0 {
		t.Errorf("error %v; a task that has ended before must be asked for", err)
	}
}

// A client of one tenant asks the store, which knows whose the task is, and as soon as the task has ended.
func TestResultOfATenant(t *testing.T) {
	t.Parallel()
	flow := NewFlow[None, None]("flow")
	client, times := alone(t, ClientOptions{Tenant: "one", NoListen: true, PollInterval: time.Hour}, flow.Bind(func(Context, None) (None, error) {
		<-time.After(4 * settleBeside)
		return None{}, nil
	}))
	task, err := flow.Spawn(t.Context(), client, None{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := task.Result(ctx); err != nil || times.Load() < 2 {
		t.Errorf("error %v after %d questions", err, times.Load())
	}
}

// unasked spawns tasks until the store is not asked for the end of one, and checks its result. The worker may have to come up before the first, and
// on a busy machine a claim may take longer than a task is left alone.
func unasked[Out any](t *testing.T, client *Client, times *atomic.Int32, f Flow[None, Out], check func(Out, error)) Task[Out] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		times.Store(0)
		task, err := f.Spawn(ctx, client, None{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := task.Result(ctx)
		if ctx.Err() != nil {
			t.Fatal("the store is asked for every result")
		}
		if times.Load() == 0 {
			check(out, err)
			return task
		}
	}
}
