package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Transactions leaves one of the pool's connections to others.
func (p *pooled) Transactions() int { return int(p.pool.Config().MaxConns) - 1 }

func (e *engine) Transact(ctx context.Context, run store.Held, work func(pgx.Tx) (replay.Record, error)) (store.Recorded, error) {
	tx, err := e.client.Begin(ctx)
	if err != nil {
		return store.Recorded{}, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left of it either way
	rec, err := whileWanted(ctx, tx, work)
	if err != nil {
		return store.Recorded{}, err
	}
	row, err := db.New().RecordStep(ctx, tx, db.RecordStepParams{
		Queue: e.queue, Worker: e.worker, Task: uuid(run.Task), Token: run.Token,
		Name: rec.Name, Fingerprint: rec.Fingerprint, RecordedAt: rec.Time, State: rec.State,
	})
	if err != nil {
		return store.Recorded{}, db.Err(err)
	}
	if row.Answer != string(store.OK) {
		return recorded(rec, row), nil
	}
	if err := tx.Commit(ctx); err != nil {
		_, answered := errors.AsType[*pgconn.PgError](err)
		if answered || errors.Is(err, pgx.ErrTxCommitRollback) {
			return store.Recorded{}, db.Err(err)
		}
		return store.Recorded{}, fmt.Errorf("%w: %w", store.ErrUnknownCommit, err)
	}
	return store.Recorded{Answer: store.OK, Outcome: &rec}, nil
}

// whileWanted does the work. When nobody has wanted it for breakAfter, its connection is closed: a function that ignores that its context
// has ended would keep its locks from the next attempt. It meets an error when it uses the transaction again.
func whileWanted(ctx context.Context, tx pgx.Tx, work func(pgx.Tx) (replay.Record, error)) (replay.Record, error) {
	conn, over := tx.Conn().PgConn().Conn(), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		late := time.NewTimer(breakAfter)
		defer late.Stop()
		select {
		case <-late.C:
			_ = conn.Close() // it is broken either way
		case <-over:
		}
	})
	defer func() { // also when the work panics: the connection may be another's then
		stop()
		close(over)
	}()
	return work(tx)
}

// breakAfter is how long a function that minds its context may take to return.
const breakAfter = time.Second

func (e *engine) FindStep(ctx context.Context, run store.Held, rec replay.Record) (store.Recorded, error) {
	row, err := db.New().FindStep(ctx, e.pool, db.FindStepParams{
		Queue: e.queue, Worker: e.worker, Task: uuid(run.Task), Token: run.Token, Name: rec.Name,
	})
	if err != nil {
		return store.Recorded{}, db.Err(err)
	}
	return recorded(rec, row), nil
}

// recorded reads an answer of record_step or find_step about the step of rec.
func recorded(rec replay.Record, row db.StepRecord) store.Recorded {
	if row.Answer != "recorded" {
		return store.Recorded{Answer: store.Answer(row.Answer)}
	}
	rec.Outcome, rec.Time, rec.State = replay.Outcome(strings.ToLower(*row.Outcome)[0]), row.RecordedAt.UTC(), row.State
	return store.Recorded{Answer: store.OK, Outcome: &rec}
}
