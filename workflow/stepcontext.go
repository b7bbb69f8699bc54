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

// stepContext is what the context of a running step carries.
type stepContext struct {
	StepInfo
	pass     *passInfo
	progress progress
}

type stepContextKey struct{}

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
		return step.pass.logger().With("step", step.Checkpoint, "attempt", step.Attempt)
	}
	return slog.New(slog.DiscardHandler)
}
