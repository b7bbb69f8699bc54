package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// workers is a worker's own connections, so that nothing else in the process can take those that renew its lease.
type workers struct {
	pool   *pgxpool.Pool
	client *pgxpool.Pool // for the transactions of steps
	claims db.DBTX       // pool, for the tenant that the workers work for
}

// Each queue claims on one connection and flushes on up to two; the lease and the sweep have one each.
const (
	connsPerQueue = 3
	connsBeside   = 2
)

func (p *pooled) Open(ctx context.Context, queues int) (store.Workers, error) {
	config := p.pool.Config()
	config.MaxConns = int32(connsPerQueue*queues + connsBeside)
	config.MinConns = 0
	connected := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		registerCodecs(conn)
		if connected == nil {
			return nil
		}
		return connected(ctx, conn) // the application's own types come last
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	w := workers{pool, p.pool, pool}
	if p.chosen != "" {
		w.claims = db.ForTenant(pool, p.chosen)
	}
	return w, nil
}

func (w workers) Close() { w.pool.Close() }

func (w workers) Status(ctx context.Context) (db.Status, error) { return db.ReadStatus(ctx, w.pool) }

func (w workers) Register(ctx context.Context, name string, lease time.Duration) (int64, error) {
	id, err := db.New().RegisterWorker(ctx, w.pool, db.RegisterWorkerParams{Name: name, LeaseMs: int32(lease.Milliseconds())})
	return id, db.Err(err)
}

func (w workers) Renew(ctx context.Context, worker int64, lease time.Duration) (alive bool, noticed []store.ID, err error) {
	rows, err := db.New().RenewWorker(ctx, w.pool, db.RenewWorkerParams{Worker: worker, LeaseMs: int32(lease.Milliseconds())})
	if err != nil || len(rows) == 0 {
		return false, nil, db.Err(err)
	}
	for _, id := range rows[0].Noticed {
		noticed = append(noticed, id.Bytes)
	}
	return true, noticed, nil
}

func (w workers) Retire(ctx context.Context, worker int64) error {
	_, err := db.New().RetireWorker(ctx, w.pool, worker)
	return db.Err(err)
}

func (w workers) Sweep(ctx context.Context, limit int) ([]store.Swept, error) {
	rows, err := db.New().Sweep(ctx, w.pool, int32(limit))
	if err != nil {
		return nil, db.Err(err)
	}
	swept := make([]store.Swept, len(rows))
	for i, r := range rows {
		swept[i] = store.Swept{Worker: r.WorkerID, Requeued: int(r.Requeued), Poisoned: int(r.Poisoned)}
	}
	return swept, nil
}

func (w workers) Join(ctx context.Context, worker int64, queue string, names []string, code string) (store.Engine, error) {
	rows, err := db.New().JoinQueue(ctx, w.pool, db.JoinQueueParams{Worker: worker, Queue: queue, Names: names, Code: &code})
	if err != nil {
		return nil, db.Err(err)
	}
	e := &engine{pool: w.pool, client: w.client, claims: w.claims, worker: worker, queue: queue, names: make(map[int32]string, len(rows))}
	for _, r := range rows {
		e.names[r.NameNo] = r.TaskName
		e.nameNos = append(e.nameNos, r.NameNo)
	}
	return e, nil
}
