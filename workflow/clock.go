package workflow

import (
	"sync"
	"time"
)

// engineClock estimates the database's clock: the time of the latest answer plus what has passed since, by the monotonic
// clock. It lags by up to a round trip and never runs ahead, so nothing recorded is from the future.
type engineClock struct {
	mu       sync.Mutex
	told     time.Time // by the database
	received time.Time // here, monotonic
}

func (c *engineClock) set(told time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.received = told, time.Now()
}

func (c *engineClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told.Add(time.Since(c.received)).UTC().Truncate(time.Microsecond)
}
