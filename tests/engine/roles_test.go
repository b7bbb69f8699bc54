package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// newRoles is newEngine in a database that has roles of its own for its users: a copy would have those of the original.
func newRoles(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool := newDatabase(tb)
	if err := db.Install(tb.Context(), pool); err != nil {
		tb.Fatal(err)
	}
	exec(tb, pool, `select absurd.create_queue('q')`)
	return pool
}

// newOwned is newRoles with an owner who may neither make roles nor pass row-level security. It returns the pool of a superuser.
func newOwned(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool := newDatabase(tb)
	owner := pgtest.Login(tb, pool, "owner", "")
	exec(tb, pool, `do $$ begin execute format('grant create on database %I to %I', current_database(), '`+owner.Config().ConnConfig.User+`'); end $$`)
	if err := db.Install(tb.Context(), owner); err != nil {
		tb.Fatal(err)
	}
	if made := column[bool](tb, owner, `select made from absurd.list_roles()`); slices.Contains(made, true) {
		tb.Fatalf("roles made: %v", made)
	}
	exec(tb, pool, `do $$ declare r record; begin for r in select * from absurd.list_roles() loop execute format('create role %I nologin', r.role_name); end loop; end $$`)
	exec(tb, owner, `select absurd.create_roles(); select absurd.create_queue('q')`)
	return pool
}

// heard is a connection with what the server said on it.
type heard struct {
	conn    *pgx.Conn
	notices []string
}

// hear opens a connection of the pool's login that keeps what the server says.
func hear(tb testing.TB, login *pgxpool.Pool) *heard {
	tb.Helper()
	h := &heard{}
	config := login.Config().ConnConfig.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		h.notices = append(h.notices, strings.TrimSpace(n.Message+"\n"+n.Detail+n.Hint))
	}
	var err error
	if h.conn, err = pgx.ConnectConfig(tb.Context(), config); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { h.conn.Close(context.Background()) })
	return h
}

// sqlState is the SQLSTATE of an error of the server; empty for none.
func sqlState(err error) string {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code
	}
	return ""
}

// A producer spawns, and has no way to do or see anything else.
func TestProducerCanSpawnAndNothingMore(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	producer := pgtest.Login(t, pool, "producer", "producer", "acme")
	spawned := one[string](t, producer, `select task_id::text from absurd.spawn_tasks('q', '{t}', '{"1"}', null)`)
	one[string](t, producer, `select task_id::text from absurd.spawn_task('q', 't', '1')`)
	if got := column[string](t, pool, `select tenant from absurd.tasks`); len(got) != 2 || got[0] != "acme" || got[1] != "acme" {
		t.Fatalf("tasks of tenants %v, want two of acme", got)
	}

	deeds := column[string](t, pool, `
		select format('select absurd.%I(%s)', p.proname, (select string_agg('null::' || format_type(a, null), ', ') from unnest(p.proargtypes) a))
		from pg_proc p
		where p.pronamespace = 'absurd'::regnamespace and not absurd.is_pure(p.proname) and not p.proisstrict
		  and p.proname not in ('spawn_task', 'spawn_tasks', 'my_tenants', 'my_task', 'is_housekeeping')
		union all
		select format(d.text, c.relname)
		from pg_class c, unnest('{select from absurd.%I,delete from absurd.%I,truncate absurd.%I,create index on absurd.%I ((1))}'::text[]) d(text)
		where c.relnamespace = 'absurd'::regnamespace and c.relkind in ('r', 'v') and (c.relkind = 'r' or d.text like 'select%')
		  and (c.relname <> 'migrations' or d.text not like 'select%')
		union all
		select unnest('{create table absurd.mine (),create function absurd.mine() returns int return 1}'::text[])`)
	if len(deeds) < 200 {
		t.Fatalf("only %d deeds", len(deeds))
	}
	for _, deed := range deeds {
		if _, err := producer.Exec(t.Context(), deed); sqlState(err) != "42501" {
			t.Errorf("%s: %v, want insufficient privilege", deed, err)
		}
	}
	if state := one[string](t, pool, `select state from absurd.get_outcome('q', $1)`, spawned); state != "pending" {
		t.Errorf("the task is %s", state)
	}
}
