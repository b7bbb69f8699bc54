//go:build unix

package runtime

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// runtimeConnections marks the connections of the runtime, so that a test can break these and no others.
const runtimeConnections = "runtime-under-test"

// markedRig is a rig whose runtime can be told apart by its connections.
func markedRig(t *testing.T, pool *pgxpool.Pool, dsn string) *rig {
	t.Helper()
	config := pool.Config()
	config.ConnConfig.RuntimeParams["application_name"] = runtimeConnections
	marked, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(marked.Close)
	r := rigOn(t, marked, dsn, workflow.ClientOptions{})
	r.pool, r.marked = pool, marked
	return r
}

// chains has two workers run so many chains, and returns the tasks.
func (r *rig) chains(world effects, n int) (tasks []workflow.Task[[]int64], workers []*worker) {
	r.Helper()
	for _, name := range []string{"a", "b"} {
		workers = append(workers, r.work(workflow.WorkerOptions{Name: name, Passes: 8}, chainBindings(world, name)...))
	}
	// With a client of its own: what the test itself asks for must not be lost.
	client := workflow.NewClient(r.pool, workflow.ClientOptions{NoListen: true})
	r.Cleanup(client.Close)
	for i := range n {
		task, err := chain.Spawn(r.ctx, client, i)
		if err != nil {
			r.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	return tasks, workers
}

// allEnded reports whether every task has ended.
func (r *rig) allEnded() bool {
	r.Helper()
	return one[int](r, `select count(*) from absurd.tasks where state not in ('c', 'f', 'x')`) == 0
}

// TestBrokenConnections breaks connections of two workers again and again while they work: all of them every few times, else
// one. The leases are long, so whatever gets lost stays lost unless the workers see to it.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	r := markedRig(t, pool, dsn)
	world := r.newEffects()
	tasks, workers := r.chains(world, 100)

	broken, last := 0, 0
	r.eventually("all tasks have ended", func() bool {
		// A round for every bit of progress, so that the workers get somewhere between two of them.
		done := one[int](r, `select count(*) from absurd.checkpoints`)
		if done >= last+20 {
			last = done
			limit := 1
			if rand.IntN(4) == 0 {
				limit = 1000
			}
			broken += one[int](r, `
				select count(pg_terminate_backend(pid)) from (
					select pid from pg_stat_activity where datname = current_database() and application_name = $1 order by random() limit $2
				) x`, runtimeConnections, limit)
		}
		return r.allEnded()
	})
	repeated := r.checkChains(tasks)
	t.Logf("%d connections were broken, %d effects were repeated under their keys", broken, repeated)
	if broken < 50 {
		t.Errorf("only %d connections were broken: this shows little", broken)
	}
	if repeated != 0 {
		t.Errorf("%d steps ran again, although their worker was alive all the time", repeated)
	}
	if n := one[int](r, `select sum(attempt - 1 + lost_leases) from absurd.tasks`); n != 0 {
		t.Errorf("broken connections have cost %d attempts and leases", n)
	}
	for _, w := range workers {
		w.end()
	}
	r.nothingLeft()
}

// TestServerCrash crashes the server while workers work.
func TestServerCrash(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Private(t)
	r := rigOn(t, pool, dsn, workflow.ClientOptions{})
	world := r.newEffects()
	tasks, workers := r.chains(world, 60)
	for _, part := range []int{5, 2} {
		r.eventually("some work is done", func() bool {
			return one[int](r, `select count(*) from absurd.checkpoints`) > len(tasks)*chainLength/part
		})
		r.crashServer()
	}
	t.Logf("%d effects were repeated under their keys", r.checkChains(tasks))
	for _, w := range workers {
		w.end()
	}
	r.nothingLeft()
}

// crashServer kills a process of the server: all its connections break, and it recovers from its log as after an immediate
// shutdown. It returns when the server answers again.
func (r *rig) crashServer() {
	r.Helper()
	witness, err := r.pool.Acquire(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	defer witness.Release()
	if err := syscall.Kill(one[int](r, `select pg_backend_pid()`), syscall.SIGKILL); err != nil {
		r.Fatal(err)
	}
	// The server takes a moment to notice, and then ends every other session too.
	r.eventually("the server has crashed", func() bool { return witness.Ping(r.ctx) != nil })
	r.pool.Reset()
	r.eventually("the server answers", func() bool { return r.pool.Ping(r.ctx) == nil })
}
