package workflow

import (
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// sleepCall says when a sleep ends: after a time from the moment of asking, or at a time.
type sleepCall struct {
	d  time.Duration
	at time.Time
}

// Sleep waits for d, holding no worker. The wake time is recorded when the sleep starts, by the database's clock: crashes
// and restarts neither shorten nor lengthen it.
func Sleep(ctx Context, d time.Duration) error { return sleep(ctx, &sleepCall{d: d}) }

// SleepUntil waits until t, holding no worker. A time that has passed does not wait.
func SleepUntil(ctx Context, t time.Time) error { return sleep(ctx, &sleepCall{at: t}) }

func sleep(ctx Context, c *sleepCall) error {
	_, err := start(ctx, payload[None]{what: "a sleep"}, replay.Call{Kind: replay.Sleep, Durable: "$sleep", Arg: c, Caller: caller}).Await(ctx)
	return err
}
