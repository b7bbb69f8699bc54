package workflow

import (
	"context"
	"fmt"
	"log/slog"
)

// StepInfo is what a step's context knows about the attempt that it belongs to.
type StepInfo struct {
	Task       TaskID
	Step       string // the durable name
	Checkpoint string // the name under which the outcome will be recorded
	Attempt    int    // 1 for the first
	Generation int
}

// stepContext is the context of a running step, and what it carries.
type stepContext struct {
	context.Context
	StepInfo
	info     *passInfo
	progress progress
}

type stepContextKey struct{}

// Value is that of [context.Context].
func (c *stepContext) Value(key any) any {
	switch key.(type) {
	case stepContextKey:
		return c
	case traceKey:
		if headers := c.info.headerMap(); headers[TraceParent] != "" {
			return headers
		}
	}
	return c.Context.Value(key)
}

// InfoOf returns what the context of a running step knows about it. ok is false for any other context.
func InfoOf(ctx context.Context) (info StepInfo, ok bool) {
	step, ok := ctx.Value(stepContextKey{}).(*stepContext)
	if !ok {
		return StepInfo{}, false
	}
	return step.StepInfo, true
}

// IdempotencyKey returns a text that names this operation of this task: the same over attempts, crashes and retries, and
// different for every other operation. Give it to the system that the step calls, and that system can drop repeats. It is
// empty outside a step.
func IdempotencyKey(ctx context.Context) string {
	info, ok := InfoOf(ctx)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s/%d/%s", info.Task, info.Generation, info.Checkpoint)
}

// StepLog returns the worker's logger with the task, the step and the attempt. Outside a step it discards everything.
func StepLog(ctx context.Context) *slog.Logger {
	if step, ok := ctx.Value(stepContextKey{}).(*stepContext); ok {
		return step.info.logger().With("step", step.Checkpoint, "attempt", step.Attempt)
	}
	return slog.New(slog.DiscardHandler)
}
