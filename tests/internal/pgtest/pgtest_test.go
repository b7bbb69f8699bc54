package pgtest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func TestDatabase(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for range 3 {
		pool, dsn := pgtest.Database(t)
		status, err := db.ReadStatus(t.Context(), pool)
		if err != nil || status.State != db.StateCurrent {
			t.Fatalf("schema is %v, %v, want current", status.State, err)
		}
		var viaPool, viaDSN string
		if err := pool.QueryRow(t.Context(), "select current_database()").Scan(&viaPool); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		err = conn.QueryRow(t.Context(), "select current_database()").Scan(&viaDSN)
		conn.Close(t.Context())
		if err != nil || viaDSN != viaPool {
			t.Errorf("the pool is on %s, the connection string leads to %s, %v", viaPool, viaDSN, err)
		}
		names[viaPool] = true
	}
	if len(names) != 3 {
		t.Errorf("3 tests got %d databases", len(names))
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	pool, _ := pgtest.Empty(t)
	if status, err := db.ReadStatus(t.Context(), pool); err != nil || status.State != db.StateNotInstalled {
		t.Errorf("schema is %v, %v, want not installed", status.State, err)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("inner", func(t *testing.T) {
		pool, _ := pgtest.Database(t)
		if err := pool.QueryRow(t.Context(), "select current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	pool, _ := pgtest.Empty(t)
	var there bool
	if err := pool.QueryRow(t.Context(), "select exists (select from pg_database where datname = $1)", name).Scan(&there); err != nil || there {
		t.Errorf("database %s is still there: %v, %v", name, there, err)
	}
}
