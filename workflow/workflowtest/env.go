package workflowtest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/crash"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// Env is what one test runs its workflows in. It is a [testing.TB] of the test.
type Env struct {
	*testing.T

	// Registry says what runs. Fill it before Start.
	Registry *workflow.Registry

	memory *memory.Store
	store  *crash.Store
	client *workflow.Client // nil: not started
}

// Run runs f in virtual time, as a part of the test t. What the Env has started ends with it.
func Run(t *testing.T, f func(env *Env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := memory.New(time.Now)
		f(&Env{T: t, Registry: workflow.NewRegistry(), memory: m, store: crash.Wrap(m)})
	})
}

// Bindable is a handle of a step or a workflow whose function is an F.
type Bindable[F any] interface{ Bind(f F) workflow.Binding }

// Fake has the step, or the workflow, run f instead of the function that is registered for it. Call it before [Env.Start].
//
//	workflowtest.Fake(env, orders.Charge, func(ctx context.Context, o orders.Order) (orders.Receipt, error) { ... })
func Fake[F any](env *Env, handle Bindable[F], f F) {
	env.Helper()
	if env.client != nil {
		env.Fatal("workflowtest: Fake after Start: call it before")
	}
	env.Must(env.Registry.Replace(handle.Bind(f)))
}

// Must ends the test if err is not nil.
func (e *Env) Must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// A worker that nobody competes with need not be heard of often; months of virtual time pass in its idle turns.
const (
	lease = 24 * time.Hour
	poll  = time.Hour
)

// Start starts a worker for what is registered, and returns a client of its store. The queues are there.
func (e *Env) Start() *workflow.Client {
	e.Helper()
	if e.client != nil {
		e.Fatal("workflowtest: Start was called before")
	}
	log := slog.New(slog.NewTextHandler(e.Output(), nil))
	e.client = workflow.NewClientOn(queueMaker{e.store}, workflow.ClientOptions{PollInterval: poll, Logger: log})
	worker, err := workflow.NewWorker(e.client, e.Registry, workflow.WorkerOptions{Name: "workflowtest", Lease: lease, Logger: log})
	e.Must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	e.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			e.Errorf("the worker could not start: %v", err)
		}
		e.client.Close()
	})
	return e.client
}

// CrashAfter kills the worker when it has made n more commits: what runs is dropped where it stands, steps that were under
// way find their contexts cancelled, and another worker goes on from the records. At the beginning of a task's life each step is
// a commit; steps that end together share one.
func (e *Env) CrashAfter(n int) { e.store.Plan(crash.Point{Commits: n, How: crash.Unanswered}) }

// Crashes returns how often the worker was killed.
func (e *Env) Crashes() int { return e.store.Crashes() }
