// Package postgres is the store over the stored procedures of package db. It defines what a store does.
//
//	s := postgres.New(pool, pool.Config().ConnConfig)
//	spawned, err := s.Spawn(ctx, "orders", tasks)
//	spawned, err = postgres.On(tx).Spawn(ctx, "orders", tasks) // commits with the caller's transaction
package postgres
