//go:build unix

package runtime

import (
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestKill kills worker processes with SIGKILL while they run steps. ABSURD_SOAK=1 does it at full size, and crashes the server
// as well.
func TestKill(t *testing.T) {
	t.Parallel()
	r, soak := killRig(t)
	chains, kills, processes := 100, 3, 3
	if soak {
		chains, kills, processes = 2000, 20, 4
	}
	r.newEffects()

	tasks := make([]workflow.Task[[]int64], chains)
	spawnAll := func() {
		for n := range tasks {
			tasks[n] = spawn(r, chain, n)
		}
	}
	r.killWorkers(processes, kills, chains*chainLength, spawnAll, `select count(distinct key) from public.effects`, soak)
	repeated := r.checkChains(tasks)
	t.Logf("%d chains, %d kills: %d effects were repeated under their keys", chains, kills, repeated)
	r.nothingLeft()
}

// TestKillTx kills worker processes while steps book in transactions of their own: each entry is there exactly once.
func TestKillTx(t *testing.T) {
	t.Parallel()
	r, soak := killRig(t)
	ledgers, kills := 40, 3
	if soak {
		ledgers, kills = 500, 20
	}
	r.exec(ledgerTable)
	tasks := make([]workflow.Task[[]int64], ledgers)
	spawnAll := func() {
		for n := range tasks {
			tasks[n] = spawn(r, ledger, n)
		}
	}
	r.killWorkers(3, kills, ledgers*chainLength, spawnAll, `select count(*) from public.ledger`, soak)
	r.checkLedger(tasks)
	r.nothingLeft()
}

// TestKillFamilies kills worker processes while parents and children wait for each other: no child is made twice, no message is lost or
// received twice, and each event is that of its round.
func TestKillFamilies(t *testing.T) {
	t.Parallel()
	r, soak := killRig(t)
	families, kills := 30, 3
	if soak {
		families, kills = 500, 20
	}
	r.newEffects()
	tasks := make([]workflow.Task[[]int64], families)
	spawnAll := func() {
		for n := range tasks {
			tasks[n] = spawn(r, family, n)
		}
	}
	r.killWorkers(3, kills, families*familyEffects, spawnAll, `select count(distinct key) from public.effects`, soak)
	t.Logf("%d families, %d kills: %d effects were repeated under their keys", families, kills, r.checkFamilies(tasks))
	r.nothingLeft()
}

// killRig returns a rig in which worker processes are killed, and whether that is to be done at full size: then on a server of its own,
// which may be crashed, and for as long as it takes.
func killRig(t *testing.T) (r *rig, soak bool) {
	t.Helper()
	soak = os.Getenv("ABSURD_SOAK") == "1"
	database := pgtest.Database
	if soak {
		database = pgtest.Private
	}
	pool, dsn := database(t)
	r = rigOn(t, pool, dsn, workflow.ClientOptions{})
	if soak {
		r.ctx = t.Context()
	}
	return r, soak
}

// killWorkers has worker processes do what start spawns, and kills as many of them, one after the other, spread over the time until
// progress, a query, answers steps. Then it stops the others. crash has the server crash half-way.
func (r *rig) killWorkers(processes, kills, steps int, start func(), progress string, crash bool) {
	r.Helper()
	options := processOptions{Lease: time.Second, Passes: 8}
	var running []*process
	for range processes {
		running = append(running, r.startProcess(options))
	}
	start()
	for n := range kills {
		// After about the n-th part of all work, at no particular moment.
		after := (n*steps + rand.IntN(steps)) / (kills + 1)
		r.eventually("steps run", func() bool { return one[int](r, progress) > after })
		victim := -1
		r.eventually("a process runs steps", func() bool {
			victim = slices.IndexFunc(running, func(p *process) bool { return p.stoppedWith(func() bool { return one[int](r, heldBy, p.name) > 0 }) })
			return victim >= 0
		})
		running[victim].kill()
		// The new one comes last, so that the next victim is one of those that have worked for a while.
		running = append(slices.Delete(running, victim, victim+1), r.startProcess(options))
		if crash && n == kills/2 {
			r.crashServer()
		}
	}
	r.eventually("all steps are done", func() bool {
		return one[int](r, `select count(*) from absurd.tasks where state not in ('c', 'f', 'x')`) == 0
	})
	for _, p := range running {
		p.stop()
	}
	r.eventually("the killed workers are swept", func() bool {
		_, err := r.pool.Exec(r.ctx, `select absurd.sweep(100)`)
		return err == nil && one[int](r, `select count(*) from absurd.workers`) == 0
	})
}

const heldBy = `select count(*) from absurd.tasks t join absurd.workers w using (worker_id) where w.worker_name = $1 and t.state = 'r'`

// stoppedWith stops the process, as SIGSTOP does, and leaves it so when it is found to be as wanted; otherwise it goes on.
func (p *process) stoppedWith(wanted func() bool) bool {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	if wanted() {
		return true
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
	return false
}
