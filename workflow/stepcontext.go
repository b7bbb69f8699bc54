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

type stepInfoKey struct{}
type stepLogKey struct{}

// InfoOf returns what the context of a running step knows about it. ok is false for any other context.
func InfoOf(ctx context.Context) (info StepInfo, ok bool) {
	info, ok = ctx.Value(stepInfoKey{}).(StepInfo)
	return info, ok
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
	if log, ok := ctx.Value(stepLogKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.New(slog.DiscardHandler)
}
