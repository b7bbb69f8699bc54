//go:build unix

package runtime

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestPausedPastLease stops a worker process in mid-step for longer than its lease. Another worker takes the run over and ends
// it; when the first one goes on, it tells its step, writes nothing, and works on.
func TestPausedPastLease(t *testing.T) {
	r := newRig(t)
	world := r.newEffects()
	a := r.startProcess(processOptions{Lease: 10 * time.Second})
	task := spawn(r, handover, "hold")
	r.eventually("a holds the step", func() bool { return r.noted(a.name, "begun") == 1 })

	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.exec(`update absurd.workers set lease_expires_at = now() - interval '1 second'`) // so much time passes
	b := r.work(workflow.WorkerOptions{Name: "b"}, handoverBindings(world, "b", false)...)
	if got, want := result(r, task), []string{a.name, "b"}; !slices.Equal(got, want) {
		t.Errorf("result %v, want %v: the first step's record and b's second step", got, want)
	}
	b.end()
	before := r.everythingOf(task.ID)

	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.eventually("a's step is told that the lease is lost", func() bool { return r.noted(a.name, "told: "+workflow.ErrLeaseLost.Error()) == 1 })

	// Only a is left to run this one.
	next := spawn(r, handover, "go")
	if got, want := result(r, next), []string{a.name, a.name}; !slices.Equal(got, want) {
		t.Errorf("result %v, want %v: a works on with a new session", got, want)
	}
	a.stop()
	if after := r.everythingOf(task.ID); !slices.Equal(before, after) {
		t.Errorf("a has written to a run that was no longer its own:\n before %v\n after  %v", before, after)
	}
	r.nothingLeft()
}

// everythingOf returns the rows of a task with the transactions that wrote them.
func (r *rig) everythingOf(id workflow.TaskID) []string {
	r.Helper()
	return one[[]string](r, `
		select array_agg(version order by version) from (
			select concat(t.ctid, t.xmin, t) as version from absurd.tasks t where task_id = $1
			union all select concat(c.ctid, c.xmin, c) from absurd.checkpoints c where task_id = $1
			union all select concat(n.ctid, n.xmin, n) from absurd.runs n where task_id = $1
		) x`, uuid(id))
}
