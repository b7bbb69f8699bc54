package workflow

import "time"

// Hooks are told what a worker does, for metrics and tests. Each may be nil; they are called from many goroutines and should
// return soon.
type Hooks struct {
	StepStarted func(StepInfo)
	StepEnded   func(StepInfo, StepResult)
	PassEnded   func(PassInfo)
}

// StepResult is how an attempt at a step ended.
type StepResult struct {
	Elapsed time.Duration
	Err     error // nil: it succeeded
	Final   bool  // no attempt follows
}

// PassInfo is what a pass did.
type PassInfo struct {
	Task     TaskID
	Workflow string
	Attempt  int
	End      PassEnd
	Ran      int // steps that ended in this pass
	Replayed int // steps served from their records
	Elapsed  time.Duration
}

// PassEnd says how a pass ended.
type PassEnd string

// The ends of a pass.
const (
	PassCompleted PassEnd = "completed" // the task has its result
	PassFailed    PassEnd = "failed"    // the task has failed for good
	PassRetried   PassEnd = "retried"   // the attempt has failed, another follows
	PassSuspended PassEnd = "suspended" // the task waits, holding no worker
	PassBlocked   PassEnd = "blocked"   // the code and the records disagree
	PassReleased  PassEnd = "released"  // the worker stops and handed the run back
	PassLost      PassEnd = "lost"      // the run belongs to somebody else by now; nothing was written
	PassCancelled PassEnd = "cancelled" // the task was cancelled meanwhile; nothing was written
)
