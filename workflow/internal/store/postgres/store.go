package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// pooled is the store on a pool.
type pooled struct {
	producer
	pool   *pgxpool.Pool
	listen *pgx.ConnConfig
	chosen string // the tenant that conn acts for; empty: the session's
}

// New returns the store on a pool. listen is what Listen connects with.
func New(pool *pgxpool.Pool, listen *pgx.ConnConfig) store.Store {
	return &pooled{producer: producer{conn: pool}, pool: pool, listen: listen}
}

// For has the calls that see or change tasks act for the tenant; what belongs to no tenant goes by the rights of the pool's role.
func (p *pooled) For(tenant string) store.Store {
	scoped := *p
	scoped.conn, scoped.chosen = db.ForTenant(p.pool, tenant), tenant
	return &scoped
}

func (p *pooled) CreateQueue(ctx context.Context, name string) error {
	return db.Err(db.New().CreateQueue(ctx, p.pool, name))
}

func (p *pooled) Watch(ctx context.Context, queue string, task store.ID) (*store.Outcome, error) {
	rows, err := db.New().WatchTask(ctx, p.conn, db.WatchTaskParams{Queue: queue, Task: uuid(task)})
	return outcome(rows, err)
}

func (p *pooled) Blocked(ctx context.Context, queue string) ([]store.BlockedTask, error) {
	rows, err := db.New().ListBlocked(ctx, p.conn, db.ListBlockedParams{Queue: queue, MaxTasks: store.MaxBlocked})
	if err != nil {
		return nil, db.Err(err)
	}
	blocked := make([]store.BlockedTask, len(rows))
	for i, r := range rows {
		blocked[i] = store.BlockedTask{Task: r.TaskID.Bytes, Name: r.TaskName, State: store.State(r.State), Attempt: int(r.Attempt)}
		if r.Reason != nil {
			blocked[i].Reason = *r.Reason
		}
		if r.DueAt != nil {
			blocked[i].Due = r.DueAt.UTC()
		}
	}
	return blocked, nil
}

func (p *pooled) ListTasks(ctx context.Context, page db.ListTasksParams) ([]db.ListedTask, error) {
	rows, err := db.New().ListTasks(ctx, p.conn, page)
	return rows, db.Err(err)
}

func (p *pooled) Conn() db.DBTX { return p.conn }

func (p *pooled) Look(ctx context.Context, queue string, task store.ID) (*store.Outcome, error) {
	rows, err := db.New().GetOutcome(ctx, p.conn, db.GetOutcomeParams{Queue: queue, Task: uuid(task)})
	return outcome(rows, err)
}

func (p *pooled) Notes(ctx context.Context, queue string, task store.ID) (*store.Notes, error) {
	rows, err := db.New().GetNotes(ctx, p.conn, db.GetNotesParams{Queue: queue, Task: uuid(task)})
	if err != nil || len(rows) == 0 {
		return nil, db.Err(err)
	}
	r := rows[0]
	return &store.Notes{Tags: r.Tags, Attributes: r.Attributes, Published: r.Published}, nil
}

func outcome(rows []db.Outcome, err error) (*store.Outcome, error) {
	if err != nil || len(rows) == 0 {
		return nil, db.Err(err)
	}
	r := rows[0]
	return &store.Outcome{Name: r.TaskName, State: store.State(r.State), Attempt: int(r.Attempt), Result: r.Result, Failure: r.Failure}, nil
}

func (p *pooled) Terminate(ctx context.Context, queue string, task store.ID) (known bool, err error) {
	rows, err := db.New().TerminateTask(ctx, p.conn, db.TerminateTaskParams{Queue: queue, Task: uuid(task)})
	return len(rows) > 0, db.Err(err)
}

func (p *pooled) RequestCancel(ctx context.Context, queue string, task store.ID, within time.Duration) (known bool, err error) {
	arg := db.RequestCancelParams{Queue: queue, Task: uuid(task)}
	if within > 0 {
		ms := within.Milliseconds()
		arg.CleanupMs = &ms
	}
	rows, err := db.New().RequestCancel(ctx, p.conn, arg)
	return len(rows) > 0, db.Err(err)
}

func (p *pooled) Retry(ctx context.Context, queue string, task store.ID) (known bool, err error) {
	rows, err := db.New().RetryTaskNow(ctx, p.conn, db.RetryTaskNowParams{Queue: queue, Task: uuid(task)})
	return len(rows) > 0, db.Err(err)
}

// channel is the one that the engine notifies on.
const channel = "absurd"

// Listen holds a connection of its own.
func (p *pooled) Listen(ctx context.Context, listening func(), heard func(notice string)) error {
	conn, err := pgx.ConnectConfig(ctx, p.listen)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return err
	}
	listening()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		heard(n.Payload)
	}
}

func uuid(id store.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

func uuids(ids []store.ID) []pgtype.UUID {
	u := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		u[i] = uuid(id)
	}
	return u
}
