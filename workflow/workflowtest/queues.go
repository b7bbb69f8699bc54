package workflowtest

import (
	"context"
	"time"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// queueMaker makes queues when they are first used, so that no test needs to.
type queueMaker struct{ store.Store }

func (m queueMaker) For(tenant string) store.Store { return queueMaker{m.Store.For(tenant)} }

func (m queueMaker) Spawn(ctx context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, error) {
	if err := m.CreateQueue(ctx, queue); err != nil {
		return nil, err
	}
	return m.Store.Spawn(ctx, queue, tasks)
}

func (m queueMaker) Emit(ctx context.Context, queue string, events []store.Event, patience time.Duration) error {
	if err := m.CreateQueue(ctx, queue); err != nil {
		return err
	}
	return m.Store.Emit(ctx, queue, events, patience)
}

func (m queueMaker) ListTasks(ctx context.Context, page db.ListTasksParams) ([]db.ListedTask, error) {
	if err := m.CreateQueue(ctx, page.Queue); err != nil {
		return nil, err
	}
	return m.Store.ListTasks(ctx, page)
}

func (m queueMaker) Open(ctx context.Context, queues int) (store.Workers, error) {
	w, err := m.Store.Open(ctx, queues)
	return workersOn{w, m}, err
}

type workersOn struct {
	store.Workers
	m queueMaker
}

func (w workersOn) Join(ctx context.Context, worker int64, queue string, names []string, code string) (store.Engine, error) {
	if err := w.m.CreateQueue(ctx, queue); err != nil {
		return nil, err
	}
	return w.Workers.Join(ctx, worker, queue, names, code)
}
