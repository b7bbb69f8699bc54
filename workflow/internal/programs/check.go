package programs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/crash"
)

// Bench is where programs run.
type Bench struct {
	New      func() (s store.Store, queue string, err error) // a store with an empty queue
	Client   workflow.ClientOptions
	Worker   workflow.WorkerOptions
	Patience time.Duration // how long a task may take
}

// Check runs the case in peace and with its crashes, and says what does not hold.
func (b *Bench) Check(ctx context.Context, c Case) error {
	want, _, err := b.run(ctx, c, nil)
	if err != nil {
		return fmt.Errorf("in peace: %w", err)
	}
	got, crashes, err := b.run(ctx, c, c.Crashes)
	if err != nil {
		return fmt.Errorf("after %d crashes: %w", crashes, err)
	}
	if got != want {
		return fmt.Errorf("after %d crashes the outcome is\n  %s\nin peace it is\n  %s", crashes, got, want)
	}
	return nil
}

// events is how many events come; half of them are there before the task is.
const events = 4

// run runs the program and returns in words how its task has ended.
func (b *Bench) run(ctx context.Context, c Case, crashes []crash.Point) (outcome string, died int, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.Patience)
	defer cancel()
	base, queue, err := b.New()
	if err != nil {
		return "", 0, err
	}
	w := &witness{Store: base, recorded: make(map[string]bool), begun: make(map[store.ID][]string)}
	s := crash.Wrap(w)
	s.Plan(crashes...)
	client := workflow.NewClientOn(s, b.Client)
	defer client.Close()
	h := newHandles(queue, w.begin)
	registry := workflow.NewRegistry()
	if err := registry.Add(h.bindings()...); err != nil {
		return "", 0, err
	}
	options := b.Worker
	if !c.Parked {
		options.Parked = -1
	}
	worker, err := workflow.NewWorker(client, registry, options)
	if err != nil {
		return "", 0, err
	}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- worker.Run(working) }()
	outcome, err = b.task(ctx, h, client, c.Program)
	stop()
	return outcome, s.Crashes(), errors.Join(err, <-done, w.err())
}

func (b *Bench) task(ctx context.Context, h *handles, client *workflow.Client, p Program) (string, error) {
	for i := range events / 2 {
		if err := h.event.Emit(ctx, client, fmt.Sprint(i)); err != nil {
			return "", err
		}
	}
	task, err := h.flow.Spawn(ctx, client, p)
	if err != nil {
		return "", err
	}
	for i := events / 2; i < events; i++ {
		if err := pause(ctx); err != nil {
			return "", err
		}
		if err := h.event.Emit(ctx, client, fmt.Sprint(i)); err != nil {
			return "", err
		}
	}
	for i := range p.receives() {
		if err := h.inbox.Send(ctx, client, task.ID, fmt.Sprint("message ", i)); err != nil {
			return "", err
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
	out, err := task.Result(ctx)
	if failed, ok := errors.AsType[*workflow.TaskError](err); ok {
		return fmt.Sprintf("%s: %s", failed.Type, failed.Message), nil
	}
	if err != nil && ctx.Err() != nil {
		state, _ := task.State(context.WithoutCancel(ctx))
		return "", fmt.Errorf("the task does not end: %w (it is %v)", err, state)
	}
	return out, err
}

// between is the time between two things that happen to a program from outside: so long that it has moved on in between, mostly. What it
// comes to does not depend on that.
const between = 3 * time.Millisecond

func pause(ctx context.Context) error {
	t := time.NewTimer(between)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// witness sees every commit that is written, and every step that begins.
type witness struct {
	store.Store

	mu       sync.Mutex
	recorded map[string]bool
	begun    map[store.ID][]string // steps of which an attempt has begun
	last     []*store.Unit         // the last units of their passes, on their way
	faults   []error
}

func (w *witness) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.faults...)
}

// branch returns the path in front of a checkpoint's name.
func branch(checkpoint string) string { return checkpoint[:strings.LastIndex(checkpoint, "/")+1] }

func key(task store.ID, name string) string { return string(task[:]) + name }

// begin is called by a step's attempt before it does anything. What its branch did before must be recorded by then.
func (w *witness) begin(info workflow.StepInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recorded[key(info.Task, info.Checkpoint)] && !w.unsure(store.ID(info.Task), info.Checkpoint) {
		w.faults = append(w.faults, fmt.Errorf("step %q runs although its outcome is recorded", info.Checkpoint))
	}
	for _, before := range w.begun[store.ID(info.Task)] {
		if before != info.Checkpoint && branch(before) == branch(info.Checkpoint) && !w.recorded[key(info.Task, before)] && info.Step != beside && !w.unsure(store.ID(info.Task), before) {
			w.faults = append(w.faults, fmt.Errorf("step %q runs, and %q before it is not recorded", info.Checkpoint, before))
		}
	}
	w.begun[store.ID(info.Task)] = append(w.begun[store.ID(info.Task)], info.Checkpoint)
}

// unsure reports whether the last unit of a pass, which is on its way, records or removes the outcome: as soon as it is written the run may
// be claimed and go on, before the witness has seen the answer. A unit after which its pass goes on gives no such excuse.
func (w *witness) unsure(task store.ID, name string) bool {
	return slices.ContainsFunc(w.last, func(u *store.Unit) bool {
		return u.Task == task && (slices.Contains(u.Removed, name) || slices.ContainsFunc(u.Records, func(r replay.Record) bool { return r.Name == name }))
	})
}

func (w *witness) written(u *store.Unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range u.Records {
		k := key(u.Task, r.Name)
		if w.recorded[k] {
			w.faults = append(w.faults, fmt.Errorf("%s %q is recorded twice", r.Kind, r.Name))
		}
		w.recorded[k] = r.Outcome != replay.Pending
	}
	for _, name := range u.Removed {
		delete(w.recorded, key(u.Task, name))
		w.begun[u.Task] = slices.DeleteFunc(w.begun[u.Task], func(begun string) bool { return begun == name })
	}
}

func (w *witness) Open(ctx context.Context, queues int) (store.Workers, error) {
	workers, err := w.Store.Open(ctx, queues)
	return witnessWorkers{workers, w}, err
}

type witnessWorkers struct {
	store.Workers
	w *witness
}

func (ws witnessWorkers) Join(ctx context.Context, worker int64, queue string, names []string, code string) (store.Engine, error) {
	e, err := ws.Workers.Join(ctx, worker, queue, names, code)
	return witnessEngine{e, ws.w}, err
}

type witnessEngine struct {
	store.Engine
	w *witness
}

func (e witnessEngine) Commit(ctx context.Context, units []*store.Unit, resend bool) ([]store.Answer, error) {
	var last []*store.Unit
	for _, u := range units {
		if u.Action != store.Record && u.Action != store.Watch {
			last = append(last, u)
		}
	}
	e.w.mu.Lock()
	e.w.last = append(e.w.last, last...)
	e.w.mu.Unlock()
	defer func() {
		e.w.mu.Lock()
		defer e.w.mu.Unlock()
		e.w.last = slices.DeleteFunc(e.w.last, func(u *store.Unit) bool { return slices.Contains(last, u) })
	}()
	answers, err := e.Engine.Commit(ctx, units, resend)
	for i, a := range answers {
		if a == store.OK || a == store.News || a == store.Requested {
			e.w.written(units[i])
		}
	}
	return answers, err
}
