package pgtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Login makes a login role of the given kinds ("client worker") that may use the given tenants, and returns a pool of it. The database must
// have roles of its own: use one of [Empty], with the schema installed in it, because a copy has the roles of the original. Role and
// pool end with the test.
func Login(tb testing.TB, owner *pgxpool.Pool, name string, kinds string, tenants ...string) *pgxpool.Pool {
	tb.Helper()
	login := name + "_" + owner.Config().ConnConfig.Database
	run := func(ctx context.Context, sql string, args ...any) {
		tb.Helper()
		if _, err := owner.Exec(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...); err != nil {
			tb.Errorf("%s: %v", sql, err)
		}
	}
	run(tb.Context(), `create role `+login+` login`)
	tb.Cleanup(func() { run(context.Background(), `drop owned by `+login+` cascade; drop role `+login) })
	for kind := range strings.FieldsSeq(kinds) {
		run(tb.Context(), fmt.Sprintf(`do $$ begin execute format('grant %%I to %s', absurd.role_name('%s')); end $$`, login, kind))
	}
	for _, tenant := range tenants {
		run(tb.Context(), `select absurd.allow_tenant($1, $2)`, login, tenant)
	}
	config := owner.Config()
	config.MaxConns = 12
	config.ConnConfig.User = login
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(tb.Context()), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}
