package runtime

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestQueuesOfOneWorker: a worker works on all queues that its workflows name, side by side, or on those that it is told.
func TestQueuesOfOneWorker(t *testing.T) {
	r := newRig(t)
	var both sync.WaitGroup // each needs the other to run
	both.Add(2)
	var flows []workflow.Flow[string, string]
	var bound []workflow.Binding
	for _, queue := range []string{"left", "right", "idle"} {
		if err := r.client.CreateQueue(r.ctx, queue); err != nil {
			t.Fatal(err)
		}
		step := workflow.NewStep[string, string](queue + ".step")
		flow := workflow.NewFlow[string, string](queue+".flow", workflow.Queue(queue))
		flows = append(flows, flow)
		bound = append(bound, flow.Bind(func(ctx workflow.Context, in string) (string, error) { return step.Do(ctx, in) }),
			step.Bind(func(_ context.Context, in string) (string, error) {
				both.Done()
				both.Wait()
				return queue + in, nil
			}))
	}
	var mu sync.Mutex
	claims, flushed := map[string]int{}, map[string]int{}
	w := r.work(workflow.WorkerOptions{
		Queues: []string{"right", "left", "right"},
		Hooks: workflow.Hooks{
			Claimed: func(i workflow.ClaimInfo) {
				mu.Lock()
				defer mu.Unlock()
				claims[i.Queue] += i.Got
				if i.Err != nil || i.Got > i.Asked || i.Elapsed <= 0 {
					t.Errorf("claim %+v", i)
				}
			},
			Flushed: func(i workflow.FlushInfo) {
				mu.Lock()
				defer mu.Unlock()
				flushed[i.Queue] += i.Units
			},
		},
	}, bound...)
	left, right, idle := spawn(r, flows[0], "!"), spawn(r, flows[1], "!"), spawn(r, flows[2], "!")
	if got := result(r, left) + result(r, right); got != "left!right!" {
		t.Errorf("results %q", got)
	}
	w.end()
	want := map[string]int{"left": 1, "right": 1}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("runs claimed: %s", diff)
	}
	if diff := cmp.Diff(want, flushed); diff != "" { // the last step and the result are one unit
		t.Errorf("units flushed: %s", diff)
	}
	if state, err := idle.State(r.ctx); err != nil || state != workflow.TaskPending {
		t.Errorf("the task of a queue that nobody works on: %s, %v", state, err)
	}
}

// TestLostLeaseIsTold: a worker whose lease was taken away says so, and goes on under a new one.
func TestLostLeaseIsTold(t *testing.T) {
	r := newRig(t)
	flow := workflow.NewFlow[string, string]("echo")
	lost := make(chan struct{}, 9)
	r.work(workflow.WorkerOptions{Lease: time.Second, Hooks: workflow.Hooks{LeaseLost: func() { lost <- struct{}{} }}},
		flow.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	result(r, spawn(r, flow, "before"))
	r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 second'`)
	receive(r, "the worker's word of it", lost)
	if got := result(r, spawn(r, flow, "after")); got != "after" {
		t.Errorf("result %q", got)
	}
}
