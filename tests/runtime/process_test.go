package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/workflow"
)

// processVariable tells the test binary to be a worker process.
const processVariable = "ABSURD_TEST_PROCESS"

// processOptions is what a worker process is told, as JSON in its environment.
type processOptions struct {
	DSN    string
	Lease  time.Duration
	Passes int
}

// runProcess is the main function of a worker process. It works until its standard input ends, which it does when the test
// process is gone.
func runProcess(asked string) int {
	var o processOptions
	if err := json.Unmarshal([]byte(asked), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := workInProcess(ctx, o); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func workInProcess(ctx context.Context, o processOptions) error {
	pool, err := pgxpool.New(ctx, o.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	own, err := pgxpool.New(ctx, o.DSN)
	if err != nil {
		return err
	}
	defer own.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	client := workflow.NewClient(pool, workflow.ClientOptions{Logger: log})
	defer client.Close()
	registry := workflow.NewRegistry()
	process := strconv.Itoa(os.Getpid())
	world := effects{own}
	if err := registry.Add(slices.Concat(chainBindings(world, process), handoverBindings(world, process, true), secondTryBindings(world, process, true), familyBindings(world, process, client),
		[]workflow.Binding{ledgerFlow(), ledgerStep.BindTx(book)})...); err != nil {
		return err
	}
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{
		Name: process, Lease: o.Lease, Passes: o.Passes, Logger: log, ShutdownTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}

// process is a worker process that a test has started.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string // under which its worker is registered and its effects are noted
	ends io.Closer
}

// startProcess starts a worker process. It is gone when the test ends.
func (r *rig) startProcess(o processOptions) *process {
	r.Helper()
	o.DSN = r.dsn
	asked, err := json.Marshal(o)
	if err != nil {
		r.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processVariable+"="+string(asked))
	cmd.Stderr = r.Output()
	input, err := cmd.StdinPipe()
	if err != nil {
		r.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	p := &process{t: r.T, cmd: cmd, name: strconv.Itoa(cmd.Process.Pid), ends: input}
	r.Cleanup(p.kill)
	return p
}

// stop has the process end in good order.
func (p *process) stop() {
	p.t.Helper()
	p.ends.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("worker process: %v", err)
	}
}

// kill ends the process as kill -9 does. It does nothing to one that has ended.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}
