package ours

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/bench/trial"
	"github.com/absurdgen/absurdgen/workflow"
)

// Works are the trials of this system.
func Works() map[string]trial.Work {
	return map[string]trial.Work{
		"absurdgen/W1 one by one": spawnOneByOne,
		"absurdgen/W1 bulk":       spawnInBulk,
		"absurdgen/W2 one step":   draining(One, 1),
		"absurdgen/W2 no outcome": draining(OneMute, 1),
		"absurdgen/W3 ten steps":  draining(Ten, 10),
		"absurdgen/W3 no outcome": draining(TenMute, 10),
		"absurdgen/W4 idle":       idleLatency,
		"absurdgen/W5 events":     events,
		"absurdgen/W6 history":    drainBesideHistory,
		"absurdgen/W7 children":   children,
		"absurdgen/W8 turns":      manyTurns,
		"absurdgen/W9 pooler":     drainThroughPooler,
		"absurdgen/W9 no pooler":  drainWithoutPooler,
	}
}

var logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

// bench is an installed schema and a client on it.
type bench struct {
	pool   *pgxpool.Pool
	client *workflow.Client
}

func open(ctx context.Context, dsn string, o workflow.ClientOptions) (*bench, error) {
	if err := install(ctx, dsn); err != nil {
		return nil, err
	}
	b, err := connect(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	if err := b.client.CreateQueue(ctx, workflow.DefaultQueue); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func install(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return db.Install(ctx, conn)
}

func connect(ctx context.Context, dsn string, o workflow.ClientOptions) (*bench, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	o.Logger = logger
	return &bench{pool, workflow.NewClient(pool, o)}, nil
}

func (b *bench) close() {
	b.client.Close()
	b.pool.Close()
}

// worker starts a worker. stop waits until it has ended.
func (b *bench) worker(ctx context.Context, o workflow.WorkerOptions) (stop func(), err error) {
	r := workflow.NewRegistry()
	if err := Register(r); err != nil {
		return nil, err
	}
	o.Logger = logger
	w, err := workflow.NewWorker(b.client, r, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			logger.Error("worker", "error", err)
		}
	}()
	return func() { cancel(); <-ended }, nil
}

// counting has a counter raised by each pass that ends so.
func counting(end workflow.PassEnd, c *trial.Counter) workflow.Hooks {
	return workflow.Hooks{PassEnded: func(i workflow.PassInfo) {
		if i.End == end {
			c.Add()
		}
	}}
}

func payloads(first, n int) []Payload {
	p := make([]Payload, n)
	for i := range p {
		p[i] = Payload(trial.NewPayload(first + i))
	}
	return p
}

// fill spawns n tasks of a flow, with ids from 0.
func (b *bench) fill(ctx context.Context, f workflow.Flow[Payload, Payload], n int, o ...workflow.SpawnOption) error {
	for done := 0; done < n; done += bulk {
		if _, err := f.SpawnMany(ctx, b.client, payloads(done, min(bulk, n-done)), o...); err != nil {
			return err
		}
	}
	return nil
}

const bulk = 1000

// timed measures f alone, without what comes after it.
func timed(units int, f func() error) (trial.Report, error) {
	began := time.Now()
	err := f()
	return trial.Report{Units: units, Seconds: time.Since(began).Seconds()}, err
}
