package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// WorkerOptions are the options of a [Worker]. The zero value is a working one.
type WorkerOptions struct {
	// Name is shown to operators. The default is host name and process id.
	Name string

	// Code names the code that the worker runs. Tasks that other code has blocked are tried again at once when the worker starts. The
	// default is derived from the executable and from what is registered.
	Code string

	// Queues are the queues to work on. The default is every queue that a registered workflow names.
	Queues []string

	// Tenant is the only tenant whose tasks the worker takes. The default is the client's, and without one, all that the database role may
	// use.
	Tenant string

	// Passes is how many workflow passes run at once; a task that sleeps or waits takes no place, and nor do up to as many again
	// that have returned, while what they came to is being written. The default is 128.
	Passes int

	// Steps is how many step functions run at once. The default is 256.
	Steps int

	// Parked is how many suspended passes are kept in memory, to go on without a replay when their runs come back. The
	// default is 1,000; a negative number keeps none.
	Parked int

	// ParkedBytes is about how much memory they may take together: what is recorded of their tasks, their inputs, and 8 KiB a branch. Those that
	// were parked longest go first. The default is 256 MiB.
	ParkedBytes int

	// MaxRecords and MaxHistoryBytes limit what may be recorded of a task in one generation: outcomes, and bytes of their names and
	// payloads. At a quarter of either a warning is logged; a task that reaches one fails, before it does anything more.
	// The defaults are [DefaultMaxRecords] and [DefaultMaxHistoryBytes].
	MaxRecords, MaxHistoryBytes int

	// Lease is how long the worker's runs stay its own after it was last heard of. A worker renews it every third of that
	// time. The default is 15 seconds.
	Lease time.Duration

	// ShutdownTimeout is how long steps may go on after the worker was told to stop. Then their contexts are cancelled with
	// [ErrShutdown]. The default is 30 seconds.
	ShutdownTimeout time.Duration

	// Logger gets what goes wrong and is dealt with. The default discards it.
	Logger *slog.Logger

	// Hooks are told what the worker does.
	Hooks Hooks

	// Middleware is called around what the worker does; the first is the outermost.
	Middleware []WorkerMiddleware
}

func (o WorkerOptions) withDefaults(r *Registry) WorkerOptions {
	if o.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown host"
		}
		o.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if o.Code == "" {
		o.Code = r.code()
	}
	if len(o.Queues) == 0 {
		o.Queues = r.queues()
	}
	o.Queues = slices.Compact(slices.Sorted(slices.Values(o.Queues)))
	if o.Passes <= 0 {
		o.Passes = 128
	}
	if o.Steps <= 0 {
		o.Steps = 256
	}
	if o.Parked == 0 {
		o.Parked = 1000
	}
	if o.ParkedBytes <= 0 {
		o.ParkedBytes = 256 << 20
	}
	if o.MaxRecords <= 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	if o.MaxHistoryBytes <= 0 {
		o.MaxHistoryBytes = DefaultMaxHistoryBytes
	}
	if o.Lease <= 0 {
		o.Lease = 15 * time.Second
	}
	if o.ShutdownTimeout <= 0 {
		o.ShutdownTimeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// minLease keeps a slip of the clock or a pause of the garbage collector from costing a lease.
const minLease = time.Second

// Worker runs tasks of registered workflows. It needs no other process: start one in every instance of the application.
type Worker struct {
	client   *Client
	registry *Registry
	options  WorkerOptions
}

// NewWorker returns a worker that runs what is registered in r.
func NewWorker(c *Client, r *Registry, o WorkerOptions) (*Worker, error) {
	o = o.withDefaults(r)
	if len(r.flows) == 0 {
		return nil, errors.New("workflow: the registry has no workflow: call the Register functions of your packages first")
	}
	if o.Lease < minLease {
		return nil, fmt.Errorf("workflow: a lease of %v is too short: give it at least %v", o.Lease, minLease)
	}
	if step := r.transacts(); step != "" && c.store.Transactions() < 1 {
		return nil, fmt.Errorf("workflow: step %s has a transaction (BindTx), and must leave a connection to others: set pool_max_conns of"+
			" the client's pool to 2 at least; without a database, bind a fake of the step with Bind", step)
	}
	return &Worker{client: c, registry: r, options: o}, nil
}

// Run works until ctx ends. Then it claims nothing more, lets steps end until the shutdown timeout, hands back unfinished
// runs, and returns nil. It returns an error only at the start, before it has claimed anything: for a database that does not
// answer, a missing or unfit schema, or an unknown queue. From then on it outlives database errors and restarts of the server.
func (w *Worker) Run(ctx context.Context) error {
	workers, err := w.store().Open(ctx, len(w.options.Queues))
	if err != nil {
		return fmt.Errorf("workflow: worker cannot connect: %w", err)
	}
	defer workers.Close()
	if status, err := readStatus(ctx, workers); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("workflow: worker cannot start: %w", err)
	} else if err := status.Err(); err != nil {
		return fmt.Errorf("workflow: worker cannot start: %w", err)
	}
	for attempt := 1; ; attempt++ {
		lost, err := w.session(ctx, workers)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, db.ErrUnknownQueue):
			return fmt.Errorf("workflow: worker cannot start: %w", hint(err))
		case err != nil:
			w.options.Logger.Warn("workflow: worker not registered, trying again", "error", err)
		case lost:
			attempt = 1
		}
		if !pause(ctx, backoff(attempt)) {
			return nil
		}
	}
}

func (w *Worker) store() store.Store {
	if w.options.Tenant != "" {
		return w.client.store.For(w.options.Tenant)
	}
	return w.client.own
}

// readStatus reads the schema's status. A server that is just starting or stopping is waited for, a few seconds; one that
// cannot be reached is not, because that is mostly a wrong address.
func readStatus(ctx context.Context, workers store.Workers) (db.Status, error) {
	for attempt := 1; ; attempt++ {
		status, err := workers.Status(ctx)
		op, _ := errors.AsType[*net.OpError](err)
		unreachable := op != nil && op.Op == "dial"
		if err == nil || unreachable || !outage(err) || attempt == maxAgain || !pause(ctx, backoff(attempt)) {
			return status, err
		}
	}
}

// session registers the worker and works until ctx ends or the lease is lost. lost reports the latter.
func (w *Worker) session(ctx context.Context, workers store.Workers) (lost bool, err error) {
	o := w.options
	id, err := workers.Register(ctx, o.Name, o.Lease)
	if err != nil {
		return false, err
	}
	s := &session{
		registry: w.registry, hooks: o.Hooks, middleware: o.Middleware, ended: w.client.listener.ended, log: o.Logger.With("worker", id), clock: new(engineClock), code: o.Code,
		id: id, lease: o.Lease, workers: workers,
		passSlots: make(chan struct{}, o.Passes),
		aside:     make(chan struct{}, o.Passes),
		stepSlots: make(chan struct{}, o.Steps),
		txSlots:   make(chan struct{}, w.client.store.Transactions()),
		parked:    newParked(o.Parked, o.ParkedBytes),
		history:   history{o.MaxRecords, o.MaxHistoryBytes},
		stop:      ctx.Done(),
	}
	defer s.parked.close()
	told, leave := w.client.listener.worker(id)
	defer leave()
	s.told = told
	defer w.client.listener.session(s)()
	// These outlive ctx: a worker that was told to stop still commits what its steps return.
	after := context.WithoutCancel(ctx)
	s.lost, s.lose = context.WithCancel(after)
	defer s.lose()
	s.stepCtx, s.giveUp = context.WithCancelCause(after)
	defer s.giveUp(nil)
	defer context.AfterFunc(s.lost, func() { s.giveUp(ErrLeaseLost) })()

	var claimers []*claimer
	for _, name := range o.Queues {
		c, leave, err := w.join(ctx, s, name)
		if err != nil {
			s.retire(after)
			return false, err
		}
		defer leave()
		claimers = append(claimers, c)
	}

	claiming, stopClaiming := context.WithCancel(ctx)
	defer stopClaiming()
	defer context.AfterFunc(s.lost, stopClaiming)()
	var claims, rest sync.WaitGroup
	for _, c := range claimers {
		// One flush of a queue on its way, and another where a crowd waits. Two at all times would halve the batches and so
		// nearly double the commits.
		rest.Go(func() { c.committer.run(s.lost) })
		rest.Go(func() { c.committer.help(s.lost) })
		claims.Go(func() { c.run(claiming) })
	}
	rest.Go(func() { s.keepLease(s.lost) })
	rest.Go(func() { s.sweep(claiming) })
	s.log.Info("workflow: worker started", "name", o.Name, "queues", o.Queues)

	<-claiming.Done()
	claims.Wait()
	overdue := time.AfterFunc(o.ShutdownTimeout, func() { s.giveUp(ErrShutdown) })
	s.passes.Wait()
	overdue.Stop()
	lost = s.lost.Err() != nil
	s.lose()
	rest.Wait()
	if !lost {
		s.retire(after)
		s.log.Info("workflow: worker stopped")
	}
	return lost, nil
}

// join makes the claimer of a queue. leave ends its wake-ups.
func (w *Worker) join(ctx context.Context, s *session, name string) (_ *claimer, leave func(), err error) {
	engine, err := s.workers.Join(ctx, s.id, name, w.registry.flowNames(), w.options.Code)
	if err != nil {
		return nil, nil, err
	}
	wake, leave := w.client.listener.queue(name)
	return &claimer{
		name: name, session: s, engine: engine,
		committer: newCommitter(engine, name, s.hooks.Flushed, s.log),
		wake:      wake, poll: w.client.poll(),
		log:   s.log,
		alarm: make(chan struct{}, 1), claims: make(map[int64]int),
	}, leave, nil
}

// retire hands back what is still held, so that nobody has to wait for the lease to end.
func (s *session) retire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.workers.Retire(ctx, s.id)
		if err == nil {
			return
		}
		if !pause(ctx, backoff(attempt)) {
			s.log.Warn("workflow: worker not signed off; its lease ends by itself", "error", err)
			return
		}
	}
}
