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
	// A slower answer is no reason to go back; a clock that was set back is.
	if ahead := c.told.Add(time.Since(c.received)).Sub(told); 0 < ahead && ahead < time.Second {
		return
	}
	c.told, c.received = told, time.Now()
}

// now is this machine's time until the database has told its own, with the first claim.
func (c *engineClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received.IsZero() {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return c.told.Add(time.Since(c.received)).UTC().Truncate(time.Microsecond)
}
