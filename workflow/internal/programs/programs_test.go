package programs_test

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/programs"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// inMemory runs programs in virtual time. It is for use within a bubble.
var inMemory = programs.Bench{
	New: func() (store.Store, string, error) {
		s := memory.New(time.Now)
		return s, "queue", s.CreateQueue(nil, "queue") //nolint:staticcheck // it takes no context
	},
	Client:   workflow.ClientOptions{PollInterval: time.Minute},
	Worker:   workflow.WorkerOptions{Lease: time.Hour},
	Patience: 24 * time.Hour,
}

// TestCrashesInMemory runs random programs through random crashes. ABSURD_SOAK=1 runs 10,000 of them.
func TestCrashesInMemory(t *testing.T) {
	t.Parallel()
	runs := uint64(500)
	if os.Getenv("ABSURD_SOAK") == "1" {
		runs = 10_000
	}
	var parts sync.WaitGroup
	for first := range uint64(runtime.GOMAXPROCS(0)) {
		parts.Go(func() {
			for seed := first; seed < runs && !t.Failed(); seed += uint64(runtime.GOMAXPROCS(0)) {
				check(t, programs.Random(seed))
			}
		})
	}
	parts.Wait()
}

func check(t *testing.T, c programs.Case) {
	err := inBubble(t, c)
	if err == nil {
		return
	}
	small := programs.Shrink(c, func(c programs.Case) bool {
		for range 3 {
			if inBubble(t, c) != nil {
				return true
			}
		}
		return false
	})
	t.Errorf("%v\n%v\nor shorter: %v\n%v", c, err, small, inBubble(t, small))
}

// inBubble runs a case in a bubble of its own, whose goroutines must all have ended.
func inBubble(t *testing.T, c programs.Case) (err error) {
	synctest.Test(t, func(t *testing.T) { err = inMemory.Check(t.Context(), c) })
	return err
}
