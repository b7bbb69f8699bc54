package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// copied is how far the step of copying has come.
type copied struct {
	Rows int `json:"rows"`
}

func copying(opts ...workflow.StepOption) (workflow.StepOut[int], workflow.FlowOut[int], workflow.Binding) {
	step := workflow.NewStepOut[int]("copy", opts...)
	flow := workflow.NewFlowOut[int]("copying")
	return step, flow, flow.Bind(func(ctx workflow.Context) (int, error) { return step.Do(ctx) })
}

// TestHeartbeatOfFailedAttempt: the next attempt sees the last details, however quickly they came, and each attempt goes on from there.
func TestHeartbeatOfFailedAttempt(t *testing.T) {
	r := newRig(t)
	step, flow, bound := copying(workflow.Attempts(3), quick)
	var began []int
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(ctx context.Context) (int, error) {
		last, ok := workflow.LastHeartbeat[copied](ctx)
		if info, _ := workflow.InfoOf(ctx); ok != (info.Attempt > 1) {
			return 0, workflow.Fail("attempt %d: details %v", info.Attempt, ok)
		}
		began = append(began, last.Rows)
		if last.Rows == 20 {
			return last.Rows, nil
		}
		for n := range 10 {
			if err := workflow.Heartbeat(ctx, copied{last.Rows + n + 1}); err != nil {
				return 0, err
			}
		}
		return 0, errors.New("broken off")
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	if got := result(r, task); got != 20 {
		t.Errorf("result %d", got)
	}
	if diff := cmp.Diff([]int{0, 10, 20}, began); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s v copy"}, r.records(task.ID)); diff != "" {
		t.Error(diff)
	}
}

// TestHeartbeatSurvivesWorker: the details are stored while the step runs, and losing the worker costs no attempt.
func TestHeartbeatSurvivesWorker(t *testing.T) {
	r := newRig(t)
	step, flow, bound := copying(workflow.Attempts(1))
	hung := make(chan struct{})
	defer close(hung)
	goOn := func(ctx context.Context) (int, error) {
		last, _ := workflow.LastHeartbeat[copied](ctx)
		info, _ := workflow.InfoOf(ctx)
		return last.Rows*10 + info.Attempt, nil
	}
	r.work(workflow.WorkerOptions{Lease: time.Hour}, bound, step.Bind(func(ctx context.Context) (int, error) {
		if _, ok := workflow.LastHeartbeat[copied](ctx); ok {
			return goOn(ctx) // under a new lease
		}
		err := workflow.Heartbeat(ctx, copied{7})
		<-hung
		return 0, err
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("the details are stored", func() bool {
		return one[int](r, `select count(*) from absurd.checkpoints where outcome = 'n' and state -> 'heartbeat' = '{"rows": 7}'`) == 1
	})
	r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 second'`)
	r.exec(`select absurd.sweep(100)`)
	r.work(workflow.WorkerOptions{}, bound, step.Bind(goOn))
	if got := result(r, task); got != 71 {
		t.Errorf("result %d, want the 7 of the first worker and attempt 1", got)
	}
}

// TestHeartbeatsAreStoredNowAndThen: a step that beats all the time is written about once a second.
func TestHeartbeatsAreStoredNowAndThen(t *testing.T) {
	if os.Getenv("ABSURD_TEST_PARTITIONED") != "" {
		t.Skip("the trigger that counts the writes is on the tables of unpartitioned queues")
	}
	r := newRig(t)
	r.exec(`create table public.writes (name text)`)
	r.exec(`create function public.note_write() returns trigger language plpgsql as $$
		begin insert into public.writes values (new.outcome); return new; end $$`)
	r.exec(`create trigger note_write before insert or update on absurd.checkpoints for each row execute function public.note_write()`)
	step, flow, bound := copying(workflow.Attempts(1))
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(ctx context.Context) (int, error) {
		began := time.Now()
		for n := 0; ; n++ {
			if err := workflow.Heartbeat(ctx, n); err != nil {
				return 0, err
			}
			if n%100 != 99 {
				continue
			}
			writes := one[int](r, `select count(*) from public.writes where name = 'n'`)
			if took := time.Since(began); writes > 1+int(took/time.Second) {
				return 0, fmt.Errorf("%d writes in %v", writes, took)
			}
			if writes == 2 {
				return writes, nil
			}
		}
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	result(r, task)
}

func TestHeartbeatEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	step, flow, bound := copying(workflow.Attempts(1), workflow.Timeout(20*time.Millisecond))
	r.work(workflow.WorkerOptions{}, bound, step.Bind(func(ctx context.Context) (int, error) {
		for n := 0; ; n++ {
			if err := workflow.Heartbeat(ctx, n); err != nil {
				return 0, err
			}
		}
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	if failure := failed(r, task); failure.Message != "step copy: the step did not end within its timeout of 20ms" {
		t.Errorf("the task failed with %q", failure.Message)
	}
}

func TestHeartbeatOutsideStep(t *testing.T) {
	t.Parallel()
	if err := workflow.Heartbeat(t.Context(), 1); err == nil {
		t.Error("a heartbeat outside a step is accepted")
	}
	if _, ok := workflow.LastHeartbeat[int](t.Context()); ok {
		t.Error("details outside a step")
	}
}

// TestHeartbeatTimeout: a step that falls silent is told so and tried again, from where it said it was; one that keeps calling goes on for
// as long as it likes, and one that does not mind its context is given up.
func TestHeartbeatTimeout(t *testing.T) {
	r := newRig(t)
	const limit = 200 * time.Millisecond
	// Where the machine is slow, more attempts may fall silent than are meant to.
	step, flow, bound := copying(workflow.Attempts(100), quick, workflow.HeartbeatTimeout(limit))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var causes []string
	r.work(workflow.WorkerOptions{Hooks: workflow.Hooks{StepEnded: func(_ workflow.StepInfo, res workflow.StepResult) {
		if res.Err != nil {
			causes = append(causes, res.Err.Error())
		}
	}}}, bound, step.Bind(func(ctx context.Context) (int, error) {
		last, _ := workflow.LastHeartbeat[copied](ctx)
		if last.Rows < 2 {
			if err := workflow.Heartbeat(ctx, copied{last.Rows + 1}); err != nil {
				return 0, err
			}
		}
		switch last.Rows {
		case 0:
			<-ctx.Done()
			if workflow.Heartbeat(ctx, copied{100}) == nil {
				t.Error("a heartbeat after the end of the context was taken")
			}
			return 0, ctx.Err()
		case 1:
			<-release
			return 0, nil
		}
		began := time.Now()
		for beat := began; time.Since(began) < 2*limit; { // alive
			now := time.Now()
			if err := workflow.Heartbeat(ctx, last); err != nil {
				if quiet := time.Since(beat); quiet < limit {
					t.Errorf("given up %v after a heartbeat", quiet)
				}
				return 0, err
			}
			beat = now
			select {
			case <-ctx.Done():
			case <-time.After(limit / 20):
			}
		}
		return last.Rows + 1, nil
	}))
	task, err := flow.Spawn(r.ctx, r.client)
	if err != nil {
		t.Fatal(err)
	}
	if got := result(r, task); got != 3 {
		t.Errorf("result %d, want that of an attempt after two that fell silent", got)
	}
	const silent = "the step did not call workflow.Heartbeat for 200ms, its heartbeat timeout"
	slices.Sort(causes)
	if diff := cmp.Diff([]string{silent, silent + " (context canceled)"}, slices.Compact(causes)); diff != "" {
		t.Error(diff)
	}
}
