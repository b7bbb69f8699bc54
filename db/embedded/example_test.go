package embedded_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db/embedded"
)

// A server for one process, which is gone when the process is, unless DATABASE_URL names another.
func ExampleOpen() {
	ctx := context.Background()
	server, err := embedded.Open(ctx, embedded.Options{})
	if err != nil {
		log.Fatal(err) // says where PostgreSQL was looked for, and what to install
	}
	defer server.Stop()
	fmt.Println(ask(ctx, server.DSN(), "select 'hello'"))
	// Output: hello
}

// A migrated database of its own for every test. Copying one is some ten times as fast as migrating.
func ExampleCloneDatabase() {
	ctx := context.Background()
	server, err := embedded.Open(ctx, embedded.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	template, err := embedded.CreateDatabase(ctx, server.DSN())
	if err != nil {
		log.Fatal(err)
	}
	defer embedded.DropDatabase(ctx, template)
	ask(ctx, template, "create table orders (id text); insert into orders values ('o-1'); select ''") // the migrations

	for range 2 { // in tests: each
		dsn, err := embedded.CloneDatabase(ctx, template) // nobody may be connected to the template
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ask(ctx, dsn, "delete from orders; select count(*)::text from orders"))
		if err := embedded.DropDatabase(ctx, dsn); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(ask(ctx, template, "select count(*)::text from orders"))
	// Output:
	// 0
	// 0
	// 1
}

// A server for development keeps its data in a directory; all processes that name it share one server.
func ExampleStart() {
	server, err := embedded.Start(context.Background(), embedded.Options{Dir: ".absurd/postgres", Version: 17})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop() // the last process that uses it stops it
	fmt.Printf("psql '%s'\n", server.DSN())
}

// ask runs statements on a connection of their own and returns the text that the last one gives.
func ask(ctx context.Context, dsn, sql string) string {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		log.Fatal(err)
	}
	return string(results[len(results)-1].Rows[0][0])
}
