package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// install copies the TypeScript peer into a directory of its own and installs its packages there.
func install(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the TypeScript client needs %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "peer.mjs"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // npm itself would wait for a quarter of an hour
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.WaitDelay = time.Second
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install the TypeScript client: %v\n%s", err, out)
	}
	return dir
}

type parcel struct {
	ID     string `json:"id"`
	Weight int    `json:"weight"`
}

type statement struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type approval struct {
	ID    string `json:"id"`
	Extra int    `json:"extra"`
}

type person struct {
	Name string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

// What both sides know by name. Go runs label and ship; TypeScript runs greet, awaits approved and emits said.
var (
	label    = workflow.NewStep[parcel, string]("go.label")
	ship     = workflow.NewFlow[parcel, map[string]string]("go.ship", workflow.Queue("gophers"))
	said     = workflow.NewEvent("typescript.said", func(s statement) string { return s.ID }, workflow.Queue("gophers"))
	approved = workflow.NewEvent("approved", func(a approval) string { return a.ID }, workflow.Queue("interop"))
	greet    = workflow.NewFlow[person, greeting]("greet", workflow.Queue("interop"))
)

// startWorker runs a Go worker on the queue gophers for the length of the test.
func startWorker(ctx context.Context, t *testing.T, client *workflow.Client) {
	t.Helper()
	registry := workflow.NewRegistry()
	err := registry.Add(
		label.Bind(func(_ context.Context, p parcel) (string, error) {
			return fmt.Sprintf("parcel %s, %d kg", p.ID, p.Weight), nil
		}),
		ship.Bind(func(ctx workflow.Context, p parcel) (map[string]string, error) {
			printed, err := label.Do(ctx, p)
			if err != nil {
				return nil, err
			}
			s, err := said.Await(ctx, p.ID, time.Minute)
			if err != nil {
				return nil, err
			}
			return map[string]string{"label": printed, "said": s.Text}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the Go worker: %v", err)
		}
	})
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// A TypeScript peer and a Go worker on one database: each spawns what the other runs, and events cross both ways.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	dir := install(t)
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			typeScriptClient(t, dir, mode)
		})
	}
}

func typeScriptClient(t *testing.T, dir, mode string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	pool, _ := pgtest.Database(t)
	client := workflow.NewClient(pool, workflow.ClientOptions{})
	t.Cleanup(client.Close)
	for _, queue := range []string{"gophers", "interop"} {
		if _, err := pool.Exec(ctx, "select absurd.create_queue($1, $2)", queue, mode); err != nil {
			t.Fatal(err)
		}
	}
	startWorker(ctx, t, client)

	config := pool.Config().ConnConfig
	peer := exec.CommandContext(ctx, "node", "peer.mjs")
	peer.Dir = dir
	peer.Env = append(os.Environ(), "STORAGE_MODE="+mode, "PGHOST="+config.Host, fmt.Sprintf("PGPORT=%d", config.Port), "PGUSER="+config.User, "PGPASSWORD="+config.Password,
		"PGDATABASE="+config.Database)
	var out, complaints bytes.Buffer
	peer.Stdout, peer.Stderr = &out, &complaints
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	if err := approved.Emit(ctx, client, approval{ID: "1", Extra: 37}); err != nil {
		t.Error(err)
	}
	task, err := greet.Spawn(ctx, client, person{Name: "typescript"})
	if err != nil {
		t.Error(err)
	}
	if err := peer.Wait(); err != nil {
		t.Fatalf("the TypeScript peer: %v\n%s", err, &complaints)
	}
	if got, err := task.Result(ctx); err != nil || got.Text != "hello typescript" {
		t.Errorf("the peer greets with %q (%v)", got.Text, err)
	}

	want := `{
		"policy": {"queueName": "interop", "storageMode": "` + mode + `", "partitionLookahead": "28 days", "partitionLookback": "1 day",
			"cleanupTtl": "3 days", "cleanupLimit": 7, "detachMode": "none", "detachMinAge": "30 days"},
		"queues": ["gophers", "interop"],
		"key": {"first": true, "second": false, "same": true},
		"flaky": {"state": "completed", "result": {"value": 7, "tries": 3}},
		"hopeless": {"state": "failed", "message": "no way"},
		"retried": {"attempt": 2, "created": false, "state": "failed"},
		"order": {"state": "completed", "result": {"total": 42, "headers": {"trace": "x"}}},
		"cancelled": "cancelled",
		"patient": "completed",
		"shipped": {"state": "completed", "result": {"label": "parcel 7, 3 kg", "said": "go"}},
		"effects": ["charge 1", "charge 3", "flaky step", "greet", "pack 1"]
	}`
	if diff := cmp.Diff(decode(t, want), decode(t, out.String())); diff != "" {
		t.Errorf("what the TypeScript peer saw (-want +got):\n%s", diff)
	}
	var packed string
	if err := pool.QueryRow(ctx, "select payload::text from absurd.e_interop where event_name = 'packed:1'").Scan(&packed); err != nil || packed != `{"total": 42}` {
		t.Errorf("the peer's event has payload %s (%v)", packed, err)
	}
}

// decode reads a JSON document into plain values.
func decode(t *testing.T, document string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		t.Fatalf("%v in %q", err, document)
	}
	return value
}
