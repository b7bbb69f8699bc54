package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/tests/internal/postgrestest"
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
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install the TypeScript client: %v\n%s", err, out)
	}
	return dir
}

func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	dir := install(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, postgrestest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select absurd.create_queue('elsewhere')"); err != nil {
		t.Fatal(err)
	}

	peer := exec.CommandContext(ctx, "node", "peer.mjs")
	peer.Dir = dir
	peer.Env = append(os.Environ(), "PGHOST="+conn.Config().Host, "PGUSER=postgres", "PGDATABASE=postgres", "PGSSLMODE=disable")
	var out, complaints bytes.Buffer
	peer.Stdout, peer.Stderr = &out, &complaints
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- peer.Wait() }()

	// The peer's task on another queue is run from here, with the same functions.
	const run = `with claimed as materialized (select run_id, params from absurd.claim_task('elsewhere', 'go'))
		select count(absurd.complete_run('elsewhere', run_id, jsonb_build_object('ran', params)) is null) from claimed`
	for done := 0; done == 0; {
		select {
		case err := <-ended:
			t.Fatalf("the TypeScript peer ended early (%v):\n%s", err, &complaints)
		default:
		}
		if err := conn.QueryRow(ctx, run).Scan(&done); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		t.Fatalf("the TypeScript peer: %v\n%s", err, &complaints)
	}

	const want = `{
		"policy": {"queueName": "interop", "storageMode": "unpartitioned", "partitionLookahead": "28 days", "partitionLookback": "1 day",
			"cleanupTtl": "3 days", "cleanupLimit": 7, "detachMode": "none", "detachMinAge": "30 days"},
		"queues": ["elsewhere", "interop"],
		"key": {"first": true, "second": false, "same": true},
		"flaky": {"state": "completed", "result": {"value": 7, "tries": 3}},
		"hopeless": {"state": "failed", "message": "no way"},
		"retried": {"attempt": 2, "created": false, "state": "failed"},
		"order": {"state": "completed", "result": {"total": 42, "headers": {"trace": "x"}}},
		"cancelled": "cancelled",
		"patient": "completed",
		"remote": {"state": "completed", "result": {"ran": {"from": "typescript"}}},
		"effects": ["charge 1", "charge 3", "flaky step", "pack 1"]
	}`
	if diff := cmp.Diff(decode(t, want), decode(t, out.String())); diff != "" {
		t.Errorf("what the TypeScript peer saw (-want +got):\n%s", diff)
	}
	var packed string
	if err := conn.QueryRow(ctx, "select payload::text from absurd.e_interop where event_name = 'packed:1'").Scan(&packed); err != nil || packed != `{"total": 42}` {
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
