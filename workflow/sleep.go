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
// and restarts neither shorten nor lengthen it. It returns [ErrCancelled] when the task is asked to end.
//
//	time.Sleep(24 * time.Hour)                       // wrong: holds a worker, and begins anew when that dies
//	err := workflow.Sleep(ctx, 24*time.Hour)         // right: a row in a table
func Sleep(ctx Context, d time.Duration) error { return sleep(ctx, &sleepCall{d: d}) }

// SleepUntil is as [Sleep], until t. A time that has passed does not wait.
func SleepUntil(ctx Context, t time.Time) error { return sleep(ctx, &sleepCall{at: t}) }

func sleep(ctx Context, c *sleepCall) error {
	_, err := start(ctx, payload[None]{what: "a sleep"}, replay.Call{Kind: replay.Sleep, Durable: "$sleep", Arg: c, Caller: caller}).Await(ctx)
	return err
}
