//go:build unix

package runtime

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestKill kills worker processes with SIGKILL while they run steps. ABSURD_SOAK=1 does it at full size, and crashes the server
// as well.
func TestKill(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("ABSURD_SOAK") == "1"
	chains, kills, processes := 100, 3, 3
	if soak {
		chains, kills, processes = 2000, 20, 4
	}
	database := pgtest.Database
	if soak {
		database = pgtest.Private
	}
	pool, dsn := database(t)
	r := rigOn(t, pool, dsn, workflow.ClientOptions{})
	if soak {
		r.ctx = t.Context() // as long as it takes
	}
	r.newEffects()

	options := processOptions{Lease: time.Second, Passes: 8}
	var running []*process
	for range processes {
		running = append(running, r.startProcess(options))
	}
	var tasks []workflow.Task[[]int64]
	for n := range chains {
		tasks = append(tasks, spawn(r, chain, n))
	}

	steps := chains * chainLength
	for n := range kills {
		// After about the n-th part of all work, at no particular moment.
		after := (n*steps + rand.IntN(steps)) / (kills + 1)
		r.eventually("steps run", func() bool { return one[int](r, `select count(distinct key) from public.effects`) > after })
		victim := -1
		r.eventually("a process runs steps", func() bool {
			victim = slices.IndexFunc(running, func(p *process) bool { return one[int](r, heldBy, p.name) > 0 })
			return victim >= 0
		})
		running[victim].kill()
		if one[int](r, heldBy, running[victim].name) == 0 {
			t.Error("the process held no run when it was killed: this kill shows nothing")
		}
		// The new one comes last, so that the next victim is one of those that have worked for a while.
		running = append(slices.Delete(running, victim, victim+1), r.startProcess(options))
		if soak && n == kills/2 {
			r.crashServer()
		}
	}

	repeated := r.checkChains(tasks)
	t.Logf("%d chains, %d kills: %d effects were repeated under their keys", chains, kills, repeated)
	for _, p := range running {
		p.stop()
	}
	r.eventually("the killed workers are swept", func() bool {
		_, err := pool.Exec(r.ctx, `select absurd.sweep(100)`)
		return err == nil && one[int](r, `select count(*) from absurd.workers`) == 0
	})
	r.nothingLeft()
}

const heldBy = `select count(*) from absurd.tasks t join absurd.workers w using (worker_id) where w.worker_name = $1 and t.state = 'r'`
