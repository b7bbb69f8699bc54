// Command peers runs the trials of other systems for the benchmark, in a module of its own so that users of ours never see
// their dependencies. Each system has its best documented settings; they are stated where they are made.
package main

import (
	"context"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

func main() {
	works := dbosWorks()
	maps.Copy(works, riverWorks())
	trial.Main(works)
}

// callers is how many spawn, or emit, side by side.
const callers = 8

const bulk = 1000

func openPool(ctx context.Context, dsn string, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = size
	return pgxpool.NewWithConfig(ctx, config)
}

// timed measures f alone, without what comes after it.
func timed(units int, f func() error) (trial.Report, error) {
	began := time.Now()
	err := f()
	return trial.Report{Units: units, Seconds: time.Since(began).Seconds()}, err
}
