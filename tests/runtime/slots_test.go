package runtime

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestParkedPassHoldsNoStepSlot: a step that was given up and returns while its task sleeps gives its slot back.
func TestParkedPassHoldsNoStepSlot(t *testing.T) {
	r := newRig(t)
	hold, returned := make(chan struct{}), make(chan struct{})
	hung := workflow.NewStepOnly("hung", workflow.Attempts(1), workflow.Timeout(10*time.Millisecond))
	next := workflow.NewStepOnly("next")
	first := workflow.NewFlow[int, string]("first")
	second := workflow.NewFlow[int, string]("second")
	r.work(workflow.WorkerOptions{Steps: 1},
		hung.Bind(func(context.Context) error { defer close(returned); <-hold; return errors.New("late") }),
		next.Bind(func(context.Context) error { return nil }),
		first.Bind(func(ctx workflow.Context, _ int) (string, error) {
			_ = hung.Do(ctx)
			return "", workflow.Sleep(ctx, time.Hour)
		}),
		second.Bind(func(ctx workflow.Context, _ int) (string, error) { return "done", next.Do(ctx) }))
	r.awaitState(spawn(r, first, 0).ID, "sleeping")
	close(hold)
	receive(r, "the hung step has returned", returned)
	if got := result(r, spawn(r, second, 0)); got != "done" {
		t.Errorf("result %q", got)
	}
}

// TestEndsThatWaitAreBounded: passes that have returned make room for others while what they came to is being written, and where
// nothing is written, for as many as there are places and no more.
func TestEndsThatWaitAreBounded(t *testing.T) {
	r := newRig(t)
	const places, tasks = 3, 40
	flow := workflow.NewFlow[int, int]("returns")
	spawned, err := flow.SpawnMany(r.ctx, r.client, make([]int, tasks))
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	var held, most atomic.Int64
	full := make(chan struct{})
	r.work(workflow.WorkerOptions{Passes: places, Hooks: workflow.Hooks{
		Claimed: func(c workflow.ClaimInfo) {
			if now := held.Add(int64(c.Got)); now > most.Load() { // claims follow each other
				most.Store(now)
				if now == 2*places {
					close(full)
				}
			}
		},
		Flushed:   func(workflow.FlushInfo) { <-written },
		PassEnded: func(workflow.PassInfo) { held.Add(-1) },
	}}, flow.Bind(func(_ workflow.Context, n int) (int, error) { return n, nil }))
	receive(r, "passes have returned and others run in their places", full)
	for range 20 { // time for a claim too many
		r.exec(`select`)
	}
	close(written)
	for _, task := range spawned {
		result(r, task)
	}
	if most.Load() != 2*places {
		t.Errorf("%d runs were held at once, want %d", most.Load(), 2*places)
	}
}

// TestParkedPassHoldsNoPlace: a pass has given its place back before it can be claimed again, so that no two goroutines share one. Here
// the first stays in the middle of that, because another pass that leaves the memory for it takes its time to be unwound.
func TestParkedPassHoldsNoPlace(t *testing.T) {
	r := newRig(t)
	hold, unwinds := make(chan struct{}), make(chan string, 2)
	event := workflow.NewEvent("event", func(key string) string { return key })
	waits := workflow.NewFlow[string, string]("waits")
	meet, met := workflow.NewStepOnly("meet"), make(chan struct{})
	pair := workflow.NewFlow[int, string]("pair")
	r.work(workflow.WorkerOptions{Passes: 2, Parked: 1},
		waits.Bind(func(ctx workflow.Context, in string) (out string, err error) {
			returned := false
			defer func() {
				if !returned {
					unwinds <- in
					<-hold
				}
			}()
			out, err = event.Await(ctx, in, 0)
			returned = true
			return out, err
		}),
		meet.Bind(func(ctx context.Context) error {
			select {
			case met <- struct{}{}:
			case <-met:
			case <-ctx.Done():
			}
			return ctx.Err()
		}),
		pair.Bind(func(ctx workflow.Context, _ int) (string, error) { return "met", meet.Do(ctx) }))
	tasks := map[string]workflow.Task[string]{"a": spawn(r, waits, "a"), "b": spawn(r, waits, "b")}
	delete(tasks, receive(r, "a pass leaves the memory", unwinds))
	for key, parked := range tasks {
		if err := event.Emit(r.ctx, r.client, key); err != nil {
			t.Fatal(err)
		}
		result(r, parked)
	}
	close(hold)
	first, second := spawn(r, pair, 1), spawn(r, pair, 2) // they need two places
	result(r, first)
	result(r, second)
}
