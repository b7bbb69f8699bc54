package workflow

import "time"

// policy is what the options of a step or a workflow say.
type policy struct {
	attempts    int // 0: the default
	lo, hi      time.Duration
	timeout     time.Duration
	heartbeat   time.Duration
	queue       string
	maxDelay    time.Duration
	maxDuration time.Duration
	version     string
	shape       string
}

// The defaults of steps. Attempts are finite and delays are jittered by a fifth, so that neither a bug nor an outage can
// become a storm.
const (
	DefaultStepAttempts = 5
	DefaultBackoffLow   = time.Second
	DefaultBackoffHigh  = time.Minute
)

// DefaultQueue is the queue of workflows and events that name none.
const DefaultQueue = "default"

// StepOption is an option of a step.
type StepOption interface{ step(*policy) }

// FlowOption is an option of a workflow.
type FlowOption interface{ flow(*policy) }

// EventOption is an option of an event, an inbox or a state.
type EventOption interface{ event(*policy) }

// Option is an option of steps and workflows alike.
type Option func(*policy)

func (o Option) step(p *policy) { o(p) }
func (o Option) flow(p *policy) { o(p) }

type stepOption func(*policy)

func (o stepOption) step(p *policy) { o(p) }

type flowOption func(*policy)

func (o flowOption) flow(p *policy) { o(p) }

// QueueOption is an option of workflows, events, inboxes and states.
type QueueOption func(*policy)

func (o QueueOption) flow(p *policy)  { o(p) }
func (o QueueOption) event(p *policy) { o(p) }

// Attempts says how often a step, or a workflow that returns an error, is tried in all. The default is
// [DefaultStepAttempts] for a step and 1 for a workflow.
func Attempts(n int) Option { return func(p *policy) { p.attempts = n } }

// Backoff says how long to wait between attempts: lo after the first, twice as long after each further one, at most hi.
func Backoff(lo, hi time.Duration) Option { return func(p *policy) { p.lo, p.hi = lo, hi } }

// Timeout says how long one attempt of a step may take. Its context ends then, and the attempt has failed, whether or not
// the function returns. The default is no limit.
func Timeout(d time.Duration) StepOption { return stepOption(func(p *policy) { p.timeout = d }) }

// HeartbeatTimeout says how long an attempt of a step may go on without a call of [Heartbeat]. When it has not called that for so long, its
// context ends, and the attempt has failed, whether or not the function returns: a step that hangs is tried again long before its [Timeout]
// is over, and one that is not shorter than the Timeout is refused by [Registry.Add]. The function has to call Heartbeat for the first time
// that soon after its start, too. The default is no limit.
func HeartbeatTimeout(d time.Duration) StepOption {
	return stepOption(func(p *policy) { p.heartbeat = d })
}

// Queue says on which queue a workflow's tasks or an event live, or the tasks of an inbox or a state. The default is
// [DefaultQueue].
func Queue(name string) QueueOption { return func(p *policy) { p.queue = name } }

// MaxDelay says how long a task may wait for its first start before it is cancelled, in whole seconds.
func MaxDelay(d time.Duration) FlowOption { return flowOption(func(p *policy) { p.maxDelay = d }) }

// MaxDuration says how long a task may take from its first start before it is cancelled, in whole seconds.
func MaxDuration(d time.Duration) FlowOption {
	return flowOption(func(p *policy) { p.maxDuration = d })
}

// Version says which version of a workflow's code this is, for people and tools that look at its tasks: up to 100 bytes of text.
func Version(text string) FlowOption { return flowOption(func(p *policy) { p.version = text }) }

// Shape is the hash of what a workflow does durably. Generated code has it from the shape lock; it is stored with each task, so that
// workers with other code are known.
func Shape(hash string) FlowOption { return flowOption(func(p *policy) { p.shape = hash }) }

func stepPolicy(opts []StepOption) policy {
	p := policy{attempts: DefaultStepAttempts, lo: DefaultBackoffLow, hi: DefaultBackoffHigh}
	for _, o := range opts {
		o.step(&p)
	}
	return p
}

func eventPolicy(opts []EventOption) policy {
	p := policy{queue: DefaultQueue}
	for _, o := range opts {
		o.event(&p)
	}
	return p
}

func flowPolicy(opts []FlowOption) policy {
	p := policy{attempts: 1, lo: DefaultBackoffLow, hi: DefaultBackoffHigh, queue: DefaultQueue}
	for _, o := range opts {
		o.flow(&p)
	}
	return p
}

// delay returns how long to wait after the given failed attempt (1, 2, 3 …), without jitter.
func (p *policy) delay(attempt int) time.Duration {
	d := p.lo
	for range attempt - 1 {
		if d >= p.hi/2 {
			return p.hi
		}
		d *= 2
	}
	return min(d, p.hi)
}
