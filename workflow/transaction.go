package workflow

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/postgres"
)

// Transaction spawns, emits and sends within a transaction of the caller's. [Tx] and [SQLTx] make it.
type Transaction struct {
	conn   db.DBTX
	client *Client // nil: none
}

// on returns the transaction as it is used in ctx: for the client's tenant, or else for that of the step which calls.
func (t Transaction) on(ctx context.Context) store.Producer {
	tenant := stepTenant(ctx)
	if t.client != nil && t.client.options.Tenant != "" {
		tenant = t.client.options.Tenant
	}
	return postgres.On(t.conn, tenant)
}

// Tx returns what spawns tasks, emits events and sends messages within tx: they are there when it commits, and never were when it does
// not.
//
//	task, err := Fulfil.Spawn(ctx, workflow.Tx(tx), order)
//
// Within a step, tasks and events are those of the tenant of the step's task; else of the session's tenant. Messages go to any task that the
// session may use.
//
// The tasks it returns know no client: use [Flow.Attach] to wait for a result after the commit, or [Client.Tx] to begin with.
func Tx(tx pgx.Tx) Transaction { return Transaction{conn: tx} }

// SQLTx does what [Tx] does within a transaction of package database/sql, with any PostgreSQL driver.
func SQLTx(tx *sql.Tx) Transaction { return Transaction{conn: postgres.SQL(tx)} }

// Tx is as the function [Tx], with the client's middleware, and for tasks that know the client: wait for their results after the
// commit.
func (c *Client) Tx(tx pgx.Tx) Transaction {
	return Transaction{conn: tx, client: c}
}

// SQLTx is as the function [SQLTx], with the client's middleware, and for tasks that know the client.
func (c *Client) SQLTx(tx *sql.Tx) Transaction {
	return Transaction{conn: postgres.SQL(tx), client: c}
}

func (t Transaction) middleware() clientMiddleware {
	if t.client == nil {
		return nil
	}
	return t.client.middleware()
}

func (t Transaction) spawn(ctx context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, *Client, error) {
	spawned, err := t.on(ctx).Spawn(ctx, queue, tasks)
	return spawned, t.client, err
}

func (t Transaction) send(ctx context.Context, queue string, m store.Message) (store.Sent, error) {
	sent, err := t.on(ctx).Send(ctx, queue, []store.Message{m})
	if err != nil {
		return "", err
	}
	return sent[0], nil
}

func (t Transaction) emit(ctx context.Context, queue, name string, payload []byte) error {
	return emitError(name, queue, t.on(ctx).Emit(ctx, queue, []store.Event{{Name: name, Payload: payload}}, 0))
}
