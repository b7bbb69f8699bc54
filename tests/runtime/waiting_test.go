package runtime

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestManyWaiting has many workflows wait for an event each, at once, in one worker, with all of their passes parked in memory and with
// a tenth of them, and then emits the events. ABSURD_SOAK=1 has 10,000 of them wait. It does not run in parallel, because it measures the
// memory of the whole process.
func TestManyWaiting(t *testing.T) {
	n, all, tenth := 1000, uint64(100<<20), uint64(15<<20+30<<20) // 30 MiB for what does not grow with n
	if os.Getenv("ABSURD_SOAK") == "1" {
		n, all, tenth = 10_000, 1000<<20, 150<<20
	}
	t.Run("a tenth parked", func(t *testing.T) { manyWaiting(t, n, n/10, tenth) })
	t.Run("all parked", func(t *testing.T) { manyWaiting(t, n, n, all) })
}

func manyWaiting(t *testing.T, n, parked int, limit uint64) {
	pool, dsn := pgtest.Database(t)
	r := rigOn(t, pool, dsn, workflow.ClientOptions{})
	event := workflow.NewEvent("go", func(key string) string { return key })
	step := workflow.NewStep[string, string]("step")
	flow := workflow.NewFlow[string, string]("flow")
	peak := watchMemory(t)
	var mu sync.Mutex
	suspended := 0
	hooks := workflow.Hooks{PassEnded: func(p workflow.PassInfo) {
		mu.Lock()
		defer mu.Unlock()
		if p.End == workflow.PassSuspended {
			suspended++
		}
	}}
	w := r.work(workflow.WorkerOptions{Parked: parked, Hooks: hooks, Logger: slog.New(slog.DiscardHandler)},
		step.Bind(func(_ context.Context, in string) (string, error) { return strings.Repeat(in, 1024/len(in)), nil }),
		flow.Bind(func(ctx workflow.Context, in string) (string, error) {
			out, err := step.Do(ctx, in)
			if err != nil {
				return "", err
			}
			if _, err := event.Await(ctx, in, 0); err != nil {
				return "", err
			}
			return out[:len(in)], nil
		}))
	inputs := make([]string, n)
	for i := range inputs {
		inputs[i] = strconv.Itoa(i)
	}
	var tasks []workflow.Task[string]
	for at := 0; at < n; at += 1000 {
		made, err := flow.SpawnMany(r.ctx, r.client, inputs[at:min(at+1000, n)])
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, made...)
	}
	r.eventually("all wait", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return suspended == n
	})
	var emitters sync.WaitGroup
	for first := range 8 {
		emitters.Go(func() {
			for i := first; i < n; i += 8 {
				if err := event.Emit(r.ctx, r.client, inputs[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	emitters.Wait()
	for i := 0; i < n; i += 100 {
		if out := result(r, tasks[i]); out != inputs[i] {
			t.Errorf("result %q, want %q", out, inputs[i])
		}
	}
	r.eventually("all have ended", func() bool { return one[int](r, "select count(*) from absurd.tasks where state <> 'c'") == 0 })
	w.end()
	got := peak()
	t.Logf("%d waiting, %d parked: %d MiB at most", n, parked, got>>20)
	if got > limit {
		t.Errorf("the process took up to %d MiB, want %d at most", got>>20, limit>>20)
	}
}

// watchMemory samples what the process holds of the system's memory until the returned function is called, which tells the most.
func watchMemory(t *testing.T) (peak func() uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for {
			top = max(top, held())
			select {
			case <-look.C:
			case <-stop:
				most <- top
				return
			}
		}
	}()
	return sync.OnceValue(func() uint64 { close(stop); return <-most })
}

func held() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
