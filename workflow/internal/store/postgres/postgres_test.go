package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
	"github.com/absurdgen/absurdgen/workflow/internal/store/postgres"
	"github.com/absurdgen/absurdgen/workflow/internal/store/storetest"
)

func TestPostgres(t *testing.T) { storetest.Run(t, newBeds(t, "unpartitioned")) }

func TestPartitioned(t *testing.T) { storetest.Run(t, newBeds(t, "partitioned")) }

// TestTenantLogin runs the cases as a login role of one tenant, whose engine belongs to a role that is no superuser: row-level security
// holds for everything that the engine does.
func TestTenantLogin(t *testing.T) { storetest.RunAsTenant(t, newTenantBeds(t)) }

// TestOneTruth runs random sequences of operations here and in memory, and compares every answer. ABSURD_SOAK=1 runs many more.
func TestOneTruth(t *testing.T) {
	postgres, partitioned := newBeds(t, "unpartitioned"), newBeds(t, "partitioned")
	sequences := 40
	if os.Getenv("ABSURD_SOAK") == "1" {
		sequences = 3000
	}
	for seed := range uint64(sequences) {
		storetest.Compare(t, seed, 60, postgres, storetest.Memory)
		if seed%20 == 0 { // their queues take long to make
			storetest.Compare(t, seed, 60, partitioned, storetest.Memory)
		}
	}
}

// database returns the configuration of a pool on a database of the test's own, with nothing installed.
func database(t *testing.T) *pgxpool.Config {
	t.Helper()
	version, err := strconv.Atoi(cmp.Or(os.Getenv("ABSURD_TEST_POSTGRES"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := embedded.Open(t.Context(), embedded.Options{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := embedded.CreateDatabase(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.DropDatabase(context.Background(), dsn); err != nil {
			t.Error(err)
		}
	})
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// install opens a pool and installs the schema.
func install(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := db.Install(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// setClock has every connection of a pool take the engine's time from a clock, which starts anew with each bed.
func setClock(config *pgxpool.Config, clock *atomic.Pointer[storetest.Clock]) {
	clock.Store(storetest.NewClock())
	config.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		_, err := conn.Exec(ctx, "select set_config('absurd.fake_now', $1, false)", clock.Load().Now().Format(time.RFC3339Nano))
		return err == nil, err
	}
}

// newTenantBeds returns what makes beds on a database of the test's own, for a login role that may use the tenant acme alone.
func newTenantBeds(t *testing.T) storetest.Maker {
	t.Helper()
	config := database(t)
	superuser, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer superuser.Close(t.Context()) //nolint:errcheck // what it did is done
	run := func(ctx context.Context, on interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	}, sql string,
	) {
		t.Helper()
		if _, err := on.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	name := config.ConnConfig.Database
	owner, login := "owner_"+name, "acme_"+name
	run(t.Context(), superuser, fmt.Sprintf("create role %s login createrole; create role %s login; alter database %s owner to %[1]s", owner, login, name))

	var clock atomic.Pointer[storetest.Clock]
	setClock(config, &clock)
	config.ConnConfig.User = owner
	owners := install(t, config)
	for _, kind := range []string{"client", "worker", "operator", "tester"} {
		run(t.Context(), superuser, fmt.Sprintf("do $$ begin execute format('grant %%I to %s', absurd.role_name('%s')); end $$", login, kind))
	}
	run(t.Context(), owners, fmt.Sprintf("select absurd.allow_tenant('%s', 'acme')", login))

	own := config.Copy()
	own.ConnConfig.User = login
	pool, err := pgxpool.NewWithConfig(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	queues := 0
	return func(t testing.TB) storetest.Bed {
		t.Helper()
		clock.Store(storetest.NewClock())
		queues++
		bed := storetest.Bed{Store: postgres.New(pool, own.ConnConfig), Clock: clock.Load(), Queue: fmt.Sprint("queue", queues)}
		if _, err := owners.Exec(t.Context(), "select absurd.drop_queue($1), absurd.create_queue($2)", fmt.Sprint("queue", queues-1), bed.Queue); err != nil {
			t.Fatal(err)
		}
		return bed
	}
}

// newBeds returns what makes beds on a database of the test's own. Each has its own queue, with the given storage mode, and the clock of
// the engine is its.
func newBeds(t *testing.T, mode string) storetest.Maker {
	t.Helper()
	config := database(t)
	var clock atomic.Pointer[storetest.Clock]
	setClock(config, &clock)
	pool := install(t, config)
	queues := 0
	return func(t testing.TB) storetest.Bed {
		t.Helper()
		clock.Store(storetest.NewClock())
		queues++
		bed := storetest.Bed{Store: postgres.New(pool, config.ConnConfig), Clock: clock.Load(), Queue: fmt.Sprint("queue", queues)}
		// What the last sequence has left is swept in every queue.
		if _, err := pool.Exec(t.Context(), "select absurd.drop_queue($1)", fmt.Sprint("queue", queues-1)); err != nil {
			t.Fatal(err)
		}
		if mode == "partitioned" {
			if err := db.New().CreateQueueWithStorage(t.Context(), pool, db.CreateQueueWithStorageParams{Queue: bed.Queue, StorageMode: mode}); err != nil {
				t.Fatal(err)
			}
		} else if err := bed.Store.CreateQueue(t.Context(), bed.Queue); err != nil {
			t.Fatal(err)
		}
		return bed
	}
}
