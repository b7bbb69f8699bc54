package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// Bed is a store under test: no workers, the clock at its start, and a queue of the test's own.
type Bed struct {
	Store store.Store
	Clock *Clock
	Queue string
}

// Maker makes a bed for one test or one sequence. What it leaves behind must not be seen by the next.
type Maker func(t testing.TB) Bed

// Clock is an engine's clock that moves when it is told to. It is safe for concurrent use.
type Clock struct{ passed atomic.Int64 }

// NewClock returns a clock that stands at [Start].
func NewClock() *Clock { return new(Clock) }

// Start is the time at which every clock begins.
func Start() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

// Now returns the time.
func (c *Clock) Now() time.Time { return Start().Add(time.Duration(c.passed.Load())) }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.passed.Add(int64(d)) }

// Memory makes beds with a store in memory.
func Memory(t testing.TB) Bed {
	clock := NewClock()
	s := memory.New(clock.Now)
	if err := s.CreateQueue(t.Context(), "queue"); err != nil {
		t.Fatal(err)
	}
	return Bed{Store: s, Clock: clock, Queue: "queue"}
}
