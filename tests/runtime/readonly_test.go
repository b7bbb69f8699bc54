//go:build unix

package runtime

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestReadOnlyServer has the server refuse to be written to, as one does that is not the primary any more, while tasks end and many
// wait for their results: nobody is told of a failure, no work is lost, and the log tells of one outage, not of every task.
func TestReadOnlyServer(t *testing.T) {
	const many = 60
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	r := markedRig(t, pool, dsn)
	var log lines
	client := workflow.NewClient(r.marked, workflow.ClientOptions{Logger: slog.New(slog.NewTextHandler(&log, nil)), PollInterval: 10 * time.Millisecond})
	t.Cleanup(client.Close)

	var mu sync.Mutex
	refused := 0
	hooks := workflow.Hooks{Flushed: func(f workflow.FlushInfo) {
		mu.Lock()
		defer mu.Unlock()
		if pg, ok := errors.AsType[*pgconn.PgError](f.Err); ok && pg.Code == "25006" {
			refused++
		}
	}}
	started, release := make(chan struct{}, many), make(chan struct{})
	step := workflow.NewStep[int, int]("step")
	flow := workflow.NewFlow[int, int]("flow")
	w := r.work(workflow.WorkerOptions{Hooks: hooks},
		step.Bind(func(_ context.Context, n int) (int, error) {
			started <- struct{}{}
			<-release
			return n, nil
		}),
		flow.Bind(func(ctx workflow.Context, n int) (int, error) { return step.Do(ctx, n) }))
	var waiting sync.WaitGroup
	for i := range many {
		task, err := flow.Spawn(r.ctx, r.client, i)
		if err != nil {
			t.Fatal(err)
		}
		task, err = flow.Attach(r.ctx, client, task.ID)
		if err != nil {
			t.Fatal(err)
		}
		waiting.Go(func() {
			if got, err := task.Result(r.ctx); got != i || err != nil {
				t.Errorf("result %d, %v, want %d", got, err, i)
			}
		})
	}
	for range many {
		receive(r, "the steps run", started)
	}

	r.readOnly(true)
	close(release)
	r.eventually("a flush was refused and somebody who waits has noticed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return refused > 0 && log.count("does not answer") > 0
	})
	r.readOnly(false)
	waiting.Wait()
	w.end()
	mu.Lock()
	defer mu.Unlock()
	if refused >= many {
		t.Errorf("%d flushes were refused, for %d tasks that had ended together", refused, many)
	}
	// Once every five seconds; a slow machine takes some of them.
	if n := log.count("does not answer"); n >= many/2 {
		t.Errorf("the log tells %d times that the database does not answer", n)
	}
	if n := one[int](r, `select sum(attempt - 1 + lost_leases) from absurd.tasks`); n != 0 {
		t.Errorf("it has cost %d attempts and leases", n)
	}
	r.nothingLeft()
}

// readOnly has all transactions of the runtime refused that write, or not any more.
func (r *rig) readOnly(on bool) {
	r.Helper()
	tx, err := r.pool.Begin(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	defer tx.Rollback(r.ctx)
	setting := "off"
	if on {
		setting = "on"
	}
	for _, sql := range []string{
		`set transaction read write`,
		`do $$ begin execute format('alter database %I set default_transaction_read_only = ` + setting + `', current_database()); end $$`,
	} {
		if _, err := tx.Exec(r.ctx, sql); err != nil {
			r.Fatal(err)
		}
	}
	if err := tx.Commit(r.ctx); err != nil {
		r.Fatal(err)
	}
	r.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1`, runtimeConnections)
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// count returns how many lines have the text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
