package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// BindTx names a function that the step runs in a transaction of its own on the engine's database. What the function writes
// through tx commits together with the step's record: it is there exactly once, whatever crashes. The function must not
// commit or roll back; an error that it returns rolls back. When the transaction loses against another one (a deadlock, or a
// serialization failure) it is run again, which costs no attempt.
//
// A function that does not return when its context has ended (at its timeout, with the worker's lease, at a shutdown) loses its
// connection a second later, and with it the locks that the next attempt may need.
//
// As many such steps run at once as the client's pool has connections, less one.
func (s Step[In, Out]) BindTx(f func(context.Context, pgx.Tx, In) (Out, error)) Binding {
	return s.bindTx(f)
}

// BindTx is as [Step.BindTx].
func (s StepIn[In]) BindTx(f func(context.Context, pgx.Tx, In) error) Binding {
	return s.step.bindTx(func(ctx context.Context, tx pgx.Tx, in In) (None, error) { return None{}, f(ctx, tx, in) })
}

// BindTx is as [Step.BindTx].
func (s StepOut[Out]) BindTx(f func(context.Context, pgx.Tx) (Out, error)) Binding {
	return s.step.bindTx(func(ctx context.Context, tx pgx.Tx, _ None) (Out, error) { return f(ctx, tx) })
}

// BindTx is as [Step.BindTx].
func (s StepOnly) BindTx(f func(context.Context, pgx.Tx) error) Binding {
	return s.step.bindTx(func(ctx context.Context, tx pgx.Tx, _ None) (None, error) { return None{}, f(ctx, tx) })
}

func (s Step[In, Out]) bindTx(f func(context.Context, pgx.Tx, In) (Out, error)) Binding {
	return Binding{step: s.spec, runTx: func(ctx context.Context, tx pgx.Tx, input []byte) ([]byte, error) {
		return s.run(input, func(in In) (Out, error) { return f(ctx, tx, in) })
	}}
}

// ownedTx is the transaction as a step's function gets it: without its end.
type ownedTx struct {
	pgx.Tx
	ended string // the method with which the function tried to end it
}

func (t *ownedTx) Commit(context.Context) error   { return t.refuse("Commit") }
func (t *ownedTx) Rollback(context.Context) error { return t.refuse("Rollback") }

func (t *ownedTx) refuse(method string) error {
	t.ended = method
	return errOwnedTx
}

var errOwnedTx = errors.New("workflow: the transaction commits with the step's record: return from the step, with an error to roll back")

// misused says what the function did with the transaction that it must not do.
func (t *ownedTx) misused() error {
	conn := t.Conn().PgConn()
	switch status := conn.TxStatus(); {
	case t.ended != "":
		return Permanent(fmt.Errorf("the step called %s on its transaction: %w", t.ended, errOwnedTx))
	case conn.IsBusy():
		return errors.New("the step left a query of its transaction open: read its rows to the end, or close them")
	case status == 'I':
		return Permanent(fmt.Errorf("the step ended its transaction by a statement of its own: %w", errOwnedTx))
	case status == 'E':
		return errors.New("a statement in the step's transaction failed, and the step did not return its error: return it," +
			" or run the statement in a nested transaction (tx.Begin)")
	}
	return nil
}

// decision says who ends an attempt that has a time limit: the limit, as long as the transaction does not try to commit; from then
// on what is recorded is the truth, however long it takes. If it turns out that nothing was, the limit counts again.
type decision struct{ atomic.Int32 }

const (
	undecided = iota
	committing
	givenUp
)

func (d *decision) commit() bool {
	return d.CompareAndSwap(undecided, committing) || d.Load() == committing
}
func (d *decision) reopen()      { d.CompareAndSwap(committing, undecided) }
func (d *decision) giveUp() bool { return d.CompareAndSwap(undecided, givenUp) }

// transact runs the step's function in a transaction, under the attempt's claim, until it is committed or has failed. ctx is the function's.
func (a *attempt) transact(ctx context.Context) (store.Recorded, error) {
	p, wanted, input := a.pass, a.wanted, a.op.Arg.(*stepCall).input
	rec := replay.Record{Name: a.op.Name, Kind: replay.Step, Outcome: replay.Value, Fingerprint: a.op.Fingerprint}
	runs := 0
	for again := 1; ; again++ {
		a.ends.reopen() // before the look at ctx: if the limit was reached meanwhile, ctx has ended
		if ctx.Err() != nil {
			return store.Recorded{}, context.Cause(ctx)
		}
		var failure error // of the step, and not of the database
		done, err := p.queue.engine.Transact(wanted, a.held, func(tx pgx.Tx) (replay.Record, error) {
			runs++
			owned := &ownedTx{Tx: tx}
			rec.State, failure = aroundStep(ctx, p.session.middleware, a.StepInfo, func(ctx context.Context) ([]byte, error) { return a.bound.runTx(ctx, owned, input) })
			if misuse := owned.misused(); failure == nil || owned.ended != "" {
				failure = misuse
			}
			if failure == nil && !a.ends.commit() {
				failure = context.Cause(ctx)
			}
			rec.Time = p.session.clock.now()
			return rec, failure
		})
		if errors.Is(err, store.ErrUnknownCommit) {
			done, err = p.findStep(wanted, a.held, rec)
			if err == nil && done.Answer == store.OK && done.Outcome == nil {
				continue // it was rolled back after all
			}
		}
		switch {
		case err == nil || wanted.Err() != nil:
			return done, err
		case lostAgainst(err) && runs < maxRuns:
			pause(ctx, jitter(min(time.Millisecond<<min(runs, 10), time.Second)))
		case failure != nil:
			return store.Recorded{}, failure
		case dataError(err):
			return store.Recorded{}, Permanent(fmt.Errorf("the step's result cannot be recorded: %w", err))
		case outage(err) && runs < maxRuns && !errors.Is(err, pgx.ErrTxCommitRollback):
			p.session.log.Warn("workflow: transaction of a step not done, trying again", "step", a.op.Name, "error", err)
			pause(ctx, backoff(again))
		default:
			return store.Recorded{}, err
		}
	}
}

// maxRuns is how often the function is run in all before a transaction that cannot be committed counts as a failed attempt.
const maxRuns = 100

// findStep asks what became of a transaction until it is known.
func (p *pass) findStep(ctx context.Context, run store.Held, rec replay.Record) (store.Recorded, error) {
	for attempt := 1; ; attempt++ {
		found, err := p.queue.engine.FindStep(ctx, run, rec)
		if err == nil {
			return found, nil
		}
		if !pause(ctx, backoff(attempt)) {
			return found, err
		}
	}
}

// lostAgainst reports whether a transaction was rolled back in favour of another one, and may be run again.
func lostAgainst(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40P01" || pg.Code == "40001")
}
