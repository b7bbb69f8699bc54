package workflow

import "time"

// Hooks are told what a worker does, for metrics and tests. Each may be nil; they are called from many goroutines and should
// return soon. What they do delays their own task alone.
//
// StepRecorded and TaskEnded are told what is committed, after it is known to be: a crash at that moment can leave them untold, and
// nothing that they are told can be undone. So they are told at most once, and by the worker that wrote it.
//
// TaskEnded is not told of a task that ends while no worker has it: one that is terminated, cancelled by a policy or when its time to clean up
// is over, or taken along by its parent, while it is pending, asleep or blocked; one that is cancelled before it has started; and one that
// fails as $LostLease. Whoever must know of every end asks for it: [Client.Tasks] lists failed and cancelled tasks by their ends, and
// [Task.Result] waits for one.
type Hooks struct {
	StepStarted  func(StepInfo)
	StepEnded    func(StepInfo, StepResult)
	StepRecorded func(s StepInfo, err error) // the step's outcome is recorded: its value, or err as its final failure
	PassEnded    func(PassInfo)
	TaskEnded    func(TaskEnd)
	Claimed      func(ClaimInfo) // the worker has asked a queue for runs
	Flushed      func(FlushInfo) // outcomes were written, or could not be
	LeaseLost    func()          // the worker's runs go to other workers; it registers again
}

// ClaimInfo is what came of asking for runs.
type ClaimInfo struct {
	Queue   string
	Asked   int // how many there was room for
	Got     int
	Elapsed time.Duration
	Err     error // nil: the database has answered
}

// FlushInfo is what came of writing outcomes, those of many passes in one transaction.
type FlushInfo struct {
	Queue   string
	Units   int // passes that had something to write
	Elapsed time.Duration
	Err     error // nil: written; else it is tried again, in parts where one part is at fault
}

// TaskEnd is how a task ended.
type TaskEnd struct {
	Task     TaskID
	Workflow string
	Queue    string
	State    TaskState // TaskCompleted, TaskFailed or TaskCancelled
	Err      error     // nil, a *TaskError, or ErrCancelled
}

// recordedStep is a step whose outcome is recorded, or on its way to be.
type recordedStep struct {
	info StepInfo
	err  error
}

// noteRecorded keeps a step for tellRecorded, if somebody listens.
func (p *pass) noteRecorded(info StepInfo, err error) {
	if p.session.hooks.StepRecorded != nil {
		p.recorded = append(p.recorded, recordedStep{info, err})
	}
}

func (p *pass) tellRecorded(steps []recordedStep) {
	if hook := p.session.hooks.StepRecorded; hook != nil {
		for _, s := range steps {
			hook(s.info, s.err)
		}
	}
}

func (p *pass) tellEnded(end PassEnd) {
	hook := p.session.hooks.TaskEnded
	if hook == nil {
		return
	}
	e := TaskEnd{Task: p.claimed.Task, Workflow: p.claimed.Name, Queue: p.info.queue}
	switch end {
	case PassCompleted:
		e.State = TaskCompleted
	case PassFailed:
		e.State, e.Err = TaskFailed, taskError(p.claimed.Task, p.failure)
	case PassCancelled:
		e.State, e.Err = TaskCancelled, ErrCancelled
	default:
		return
	}
	hook(e)
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
	PassContinued PassEnd = "continued" // the task begins anew with another input
	PassReleased  PassEnd = "released"  // the worker stops and handed the run back
	PassLost      PassEnd = "lost"      // the run belongs to somebody else by now; nothing was written
	PassCancelled PassEnd = "cancelled" // the task was cancelled
)
