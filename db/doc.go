// Package db is the engine: the schema absurd with its stored functions, and a typed Go wrapper for each of them.
//
// Install brings a database to this version of the schema. It is safe to call from many processes at once, and does
// nothing where there is nothing to do:
//
//	pool, err := pgxpool.New(ctx, dsn)
//	...
//	if err := db.Install(ctx, pool); err != nil {
//		return err
//	}
//
// A program that must not change the schema asks instead, and gets an error that says what to run:
//
//	status, err := db.ReadStatus(ctx, pool)
//	if err == nil {
//		err = status.Err() // errors.Is(err, db.ErrSchemaTooOld)
//	}
//
// Plan gives the same work as one SQL script, for those whose schema is changed by other tools.
//
// The wrappers are methods of Queries, made by sqlc from the files in queries. Each takes the pool, connection or
// transaction that it is to run on:
//
//	q := db.New()
//	created, err := q.SpawnTasks(ctx, tx, db.SpawnTasksParams{Queue: "orders", Names: names, Params: params, Options: options})
//	if err != nil {
//		return db.Err(err) // errors.Is(err, db.ErrUnknownQueue)
//	}
package db

//go:generate go tool -modfile=../tools/go.mod sqlc generate -f ../sqlc.yaml
