package runtime

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// fault breaks one connection of the runtime, once: the server has done what it was asked, and its answer is lost.
type fault struct {
	asked    []byte // the question to lose the answer of; nil: any
	answered []byte // part of the answer; nil: any answer to asked
	fired    atomic.Int64
}

func (f *fault) dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, fault: f}, nil
	}
}

type faultyConn struct {
	net.Conn
	fault *fault
	asked atomic.Bool
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if c.fault.asked != nil && bytes.Contains(p, c.fault.asked) {
		c.asked.Store(true)
	}
	return c.Conn.Write(p)
}

// Read loses what it has read when that is the answer in question. The server commits before it sends the answer off.
func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 || c.fault.asked != nil && !c.asked.Load() || c.fault.answered != nil && !bytes.Contains(p[:n], c.fault.answered) {
		return n, err
	}
	if c.fault.fired.Add(1) > 1 {
		return n, err
	}
	c.Conn.Close()
	return 0, io.ErrUnexpectedEOF
}

// newFaultyRig is as newRig, for a runtime whose connections have the fault.
func newFaultyRig(t *testing.T, f *fault) *rig {
	t.Helper()
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	config := pool.Config()
	config.ConnConfig.DialFunc = f.dial(config.ConnConfig.DialFunc)
	faulty, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(faulty.Close)
	r := rigOn(t, faulty, dsn, workflow.ClientOptions{})
	r.pool = pool
	return r
}

// TestLostClaimAnswer: the database believes the worker to hold a run that it knows nothing of. The worker's lease stays alive,
// so nobody else would ever take the run.
func TestLostClaimAnswer(t *testing.T) {
	f := &fault{answered: []byte("lose-my-claim")} // the task's input, which only a claim's answer holds
	r := newFaultyRig(t, f)
	flow := workflow.NewFlow[string, string]("echo")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(_ workflow.Context, in string) (string, error) { return "done", nil }))
	task := spawn(r, flow, "lose-my-claim")
	if got := result(r, task); got != "done" {
		t.Errorf("result %q", got)
	}
	if f.fired.Load() == 0 {
		t.Error("no answer was lost")
	}
	if token := one[int](r, `select token from absurd.tasks`); token < 3 {
		t.Errorf("the run has the token %d, want one for each claim and one for taking it back between them", token)
	}
	if n := one[int](r, `select attempt - 1 + lost_leases from absurd.tasks`); n != 0 {
		t.Error("a lost answer has cost an attempt or a lease")
	}
}

// TestLostCommitAnswer: what was committed without an answer is sent again, and counts once.
func TestLostCommitAnswer(t *testing.T) {
	for name, marker := range map[string]string{
		"record":   "lose-my-record",
		"suspend":  "signal:lose-my-suspend",
		"complete": "lose-my-result",
	} {
		t.Run(name, func(t *testing.T) {
			f := &fault{asked: []byte(marker)}
			r := newFaultyRig(t, f)
			step := workflow.NewStep[string, string]("step")
			flow := workflow.NewFlow[string, string]("flow")
			var runs, lost atomic.Int64
			hooks := workflow.Hooks{PassEnded: func(i workflow.PassInfo) {
				if i.End == workflow.PassLost {
					lost.Add(1)
				}
			}}
			w := r.work(workflow.WorkerOptions{Hooks: hooks},
				step.Bind(func(_ context.Context, in string) (string, error) { runs.Add(1); return in, nil }),
				flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
					for _, in := range []string{"one", "lose-my-record", "three"} {
						if _, err := step.Do(ctx, in); err != nil {
							return "", err
						}
					}
					if _, err := signal.Await(ctx, "lose-my-suspend", 0); err != nil {
						return "", err
					}
					return "lose-my-result", nil
				}))
			task := spawn(r, flow, "")
			r.awaitState(task.ID, "sleeping")
			if err := signal.Emit(r.ctx, workflow.NewClient(r.pool, workflow.ClientOptions{NoListen: true}), named{"lose-my-suspend", ""}); err != nil {
				t.Fatal(err)
			}
			if got := result(r, task); got != "lose-my-result" {
				t.Errorf("result %q", got)
			}
			r.eventually("an answer is lost", func() bool { return f.fired.Load() > 0 }) // the result may be there before
			w.end()
			if lost.Load() != 0 && name != "suspend" { // a run that sleeps may have been woken and claimed before the unit is sent again
				t.Error("the worker takes a run for lost that it has ended itself")
			}
			if runs.Load() != 3 {
				t.Errorf("the step ran %d times, want 3", runs.Load())
			}
			if n := one[int](r, `select attempt - 1 + lost_leases from absurd.tasks`); n != 0 {
				t.Error("a lost answer has cost an attempt or a lease")
			}
		})
	}
}

// TestLostRetireAnswer: the connection breaks when the worker signs off. It signs off all the same: the lease is an hour.
func TestLostRetireAnswer(t *testing.T) {
	f := &fault{asked: []byte("absurd.retire_worker")}
	r := newFaultyRig(t, f)
	flow := workflow.NewFlow[string, string]("echo")
	w := r.work(workflow.WorkerOptions{Lease: time.Hour}, flow.Bind(func(_ workflow.Context, in string) (string, error) { return in, nil }))
	result(r, spawn(r, flow, "x"))
	w.end()
	if f.fired.Load() == 0 {
		t.Error("no answer was lost")
	}
	r.nothingLeft()
}
