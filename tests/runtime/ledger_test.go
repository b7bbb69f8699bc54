package runtime

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow"
)

// ledger is a workflow of ten steps that each book an entry in a table of the application, in the transaction that records the
// step. The table has no key that would stop a second booking.

var (
	ledgerStep = workflow.NewStep[link, int64]("ledger.book", workflow.Attempts(100), workflow.Backoff(10*time.Millisecond, 200*time.Millisecond))
	ledger     = workflow.NewFlow[int, []int64]("ledger")
)

const ledgerTable = `create table public.ledger (id bigint generated always as identity, chain integer not null, link integer not null)`

// book adds an entry to the ledger, and takes a moment on both sides of it.
func book(ctx context.Context, tx pgx.Tx, l link) (id int64, err error) {
	err = tx.QueryRow(ctx, `insert into public.ledger (chain, link) select $1, $2 from pg_sleep(0.005) returning id`, l.Chain, l.Link).Scan(&id)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `select pg_sleep(0.005)`)
	return id, err
}

func ledgerFlow() workflow.Binding {
	return ledger.Bind(func(ctx workflow.Context, n int) ([]int64, error) {
		var ids []int64
		for i := range chainLength {
			id, err := ledgerStep.Do(ctx, link{n, i})
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	})
}

// checkLedger checks that each step of the tasks has booked exactly one entry, the one that its record tells of.
func (r *rig) checkLedger(tasks []workflow.Task[[]int64]) {
	r.Helper()
	for n, task := range tasks {
		ids := result(r, task)
		if same := one[bool](r, `select array_agg(id order by link) = $2 from public.ledger where chain = $1`, n, ids); !same || len(ids) != chainLength {
			r.Errorf("task %d returned the entries %v, which are not those in the ledger", n, ids)
		}
	}
	if n := one[int](r, `select count(*) from public.ledger`); n != len(tasks)*chainLength {
		r.Errorf("%d entries, want %d", n, len(tasks)*chainLength)
	}
}
