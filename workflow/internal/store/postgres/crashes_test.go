package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/programs"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/postgres"
)

// TestCrashes runs random programs through random crashes, as is done in memory, several at a time. ABSURD_SOAK=1 runs 300 of them.
func TestCrashes(t *testing.T) {
	config := database(t)
	config.MaxConns = 24
	pool := install(t, config)
	var queues atomic.Int64
	bench := programs.Bench{
		New: func() (store.Store, string, error) {
			queue := fmt.Sprint("queue", queues.Add(1))
			s := postgres.New(pool, config.ConnConfig)
			return s, queue, s.CreateQueue(context.Background(), queue)
		},
		Client:   workflow.ClientOptions{NoListen: true, PollInterval: 20 * time.Millisecond},
		Patience: 2 * time.Minute,
	}
	runs, side := uint64(30), uint64(6)
	if os.Getenv("ABSURD_SOAK") == "1" {
		runs = 300
	}
	for first := range side {
		t.Run(fmt.Sprint("part ", first), func(t *testing.T) {
			t.Parallel()
			for seed := first; seed < runs; seed += side {
				c := programs.Random(seed)
				err := bench.Check(t.Context(), c)
				if err == nil {
					continue
				}
				small := programs.Shrink(c, func(c programs.Case) bool { return bench.Check(t.Context(), c) != nil })
				t.Fatalf("%v\n%v\nor shorter: %v\n%v", c, err, small, bench.Check(t.Context(), small))
			}
		})
	}
}
