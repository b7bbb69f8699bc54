package workflow

import (
	"context"
	"fmt"
)

// ClientMiddleware is called around what a client spawns, emits and sends, for tracing, metrics or rules of the house. Each function may
// be nil. It calls next once, or returns an error instead; what it returns is returned to the caller.
//
//	workflow.ClientMiddleware{Spawn: func(ctx context.Context, s *workflow.SpawnInfo, next func(context.Context) error) error {
//		s.Headers["started-by"] = user(ctx)
//		return next(ctx)
//	}}
type ClientMiddleware struct {
	Spawn func(ctx context.Context, s *SpawnInfo, next func(context.Context) error) error
	Emit  func(ctx context.Context, e *EmitInfo, next func(context.Context) error) error
	Send  func(ctx context.Context, m *SendInfo, next func(context.Context) error) error
}

// SpawnInfo is a call of Spawn or SpawnMany.
type SpawnInfo struct {
	Workflow string
	Queue    string
	Tasks    int               // how many
	Headers  map[string]string // of every task; never nil, and what is added before next is stored
	IDs      []TaskID          // after next: the tasks that were made or found
}

// EmitInfo is a call of [Event.Emit].
type EmitInfo struct {
	Event string // the durable name
	Key   string
	Queue string
}

// SendInfo is a call of [Inbox.Send].
type SendInfo struct {
	Inbox string
	Queue string
	Task  TaskID
	Key   string // empty: none
}

// WorkerMiddleware is called around what a worker does. Each function may be nil. It must call next, once.
type WorkerMiddleware struct {
	// Pass is called around a pass. The contexts of the steps that start in it come from the one that next is given.
	Pass func(ctx context.Context, p RunInfo, next func(context.Context) PassEnd) PassEnd

	// Step is called around an attempt at a step. The error that it returns is that of the attempt; one of next's cannot be
	// made a success.
	Step func(ctx context.Context, s StepInfo, next func(context.Context) error) error
}

// RunInfo is a run of a task, as a pass begins.
type RunInfo struct {
	Task     TaskID
	Workflow string
	Queue    string
	Attempt  int
	Headers  map[string]string // of the task; do not change it
}

type clientMiddleware []ClientMiddleware

func (all clientMiddleware) spawn(ctx context.Context, s *SpawnInfo, last func(context.Context) error) error {
	return around(ctx, all, s, func(m ClientMiddleware) func(context.Context, *SpawnInfo, func(context.Context) error) error {
		return m.Spawn
	}, last)
}

func (all clientMiddleware) emit(ctx context.Context, e *EmitInfo, last func(context.Context) error) error {
	return around(ctx, all, e, func(m ClientMiddleware) func(context.Context, *EmitInfo, func(context.Context) error) error {
		return m.Emit
	}, last)
}

func (all clientMiddleware) send(ctx context.Context, i *SendInfo, last func(context.Context) error) error {
	return around(ctx, all, i, func(m ClientMiddleware) func(context.Context, *SendInfo, func(context.Context) error) error {
		return m.Send
	}, last)
}

// around calls last within every function that of chooses, the first outermost.
func around[M, I any](ctx context.Context, all []M, info I, of func(M) func(context.Context, I, func(context.Context) error) error,
	last func(context.Context) error,
) error {
	if len(all) == 0 {
		return last(ctx)
	}
	next := func(ctx context.Context) error { return around(ctx, all[1:], info, of, last) }
	if f := of(all[0]); f != nil {
		return f(ctx, info, next)
	}
	return next(ctx)
}

// aroundStep runs an attempt at a step within the middleware.
func aroundStep(ctx context.Context, all []WorkerMiddleware, s StepInfo, run func(context.Context) ([]byte, error)) (output []byte, err error) {
	if len(all) == 0 {
		return run(ctx)
	}
	called, inner := false, error(nil)
	err = around(ctx, all, s, func(m WorkerMiddleware) func(context.Context, StepInfo, func(context.Context) error) error {
		return m.Step
	},
		func(ctx context.Context) error {
			called = true
			output, inner = run(ctx)
			return inner
		})
	switch {
	case err == nil && inner != nil:
		err = inner
	case err == nil && !called:
		err = fmt.Errorf("workflow: a middleware of step %s did not call next", s.Step)
	}
	if err != nil {
		return nil, err
	}
	return output, nil
}

// runWithin runs the pass within the middleware.
func (p *pass) runWithin(all []WorkerMiddleware) {
	p.steps = p.ctx
	if len(all) == 0 {
		p.run()
		return
	}
	defer func() {
		if r := recover(); r != nil && !p.over {
			p.block(fmt.Sprintf("a middleware panicked: %v", r))
		} else if r != nil {
			p.info.logger().Error("workflow: a middleware panicked", "value", fmt.Sprint(r))
		} else if !p.over {
			p.block("a middleware did not call next")
		}
	}()
	info := RunInfo{Task: p.claimed.Task, Workflow: p.claimed.Name, Queue: p.info.queue, Attempt: p.claimed.Attempt, Headers: p.info.headerMap()}
	aroundPass(p.ctx, all, info, func(ctx context.Context) PassEnd {
		if !p.over {
			p.steps = ctx
			p.run()
		}
		return p.endedAs
	})
}

func aroundPass(ctx context.Context, all []WorkerMiddleware, info RunInfo, last func(context.Context) PassEnd) PassEnd {
	if len(all) == 0 {
		return last(ctx)
	}
	next := func(ctx context.Context) PassEnd { return aroundPass(ctx, all[1:], info, last) }
	if f := all[0].Pass; f != nil {
		return f(ctx, info, next)
	}
	return next(ctx)
}
