// Package pgtest gives each test a PostgreSQL database of its own, with the schema installed.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
//	func TestX(t *testing.T) {
//		t.Parallel()
//		pool, dsn := pgtest.Database(t)
//		...
//	}
//
// A test binary uses one server: the one that DATABASE_URL names, else a private one that dies with the process. The schema is
// installed once, in a template that every database is copied from.
package pgtest
