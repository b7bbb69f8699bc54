package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
)

// workflowRun reads one workflow run of queue q.
func workflowRun(t *testing.T, pool *pgxpool.Pool, id pgtype.UUID) db.WorkflowRun {
	t.Helper()
	runs, err := db.New().GetWorkflowRun(t.Context(), pool, db.GetWorkflowRunParams{Queue: "q", RunID: id})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}

// A root task is its own record, in every state.
func TestWorkflowRunOfATask(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	id := spawn(t, pool, `{"created_by": "ann", "tenant": "acme"}`)[0]
	run := workflowRun(t, pool, id)
	if run.Status != "pending" || run.WorkflowName != "t" || *run.CreatedBy != "ann" || run.Tenant != "acme" || run.RootTask != id ||
		run.Queue != "q" || run.ByHand || run.TaskCount != 1 || run.StartedAt != nil || run.CompletedAt != nil || string(run.Input) != `{"n": 1}` {
		t.Errorf("%+v", run)
	}
	exec(t, pool, `update absurd.tasks set version = '2', shape_hash = 'abc', tags = '{"a": 1}'`)
	w := newWorker(t, pool)
	task := w.claimOne()
	if run = workflowRun(t, pool, id); run.Status != "running" || run.StartedAt == nil || *run.Version != "2" || *run.ShapeHash != "abc" || string(run.Tags) != `{"a": 1}` {
		t.Errorf("%+v", run)
	}
	w.mustCommit(pass{task: task, action: "fail", payload: `{"message": "no"}`})
	if run = workflowRun(t, pool, id); run.Status != "failed" || string(run.Error) != `{"message": "no"}` || run.CompletedAt == nil {
		t.Errorf("%+v", run)
	}
	for status, want := range map[string]error{"completed": db.ErrRunKept, "odd": db.ErrInvalidOption} {
		_, err := db.New().UpdateWorkflowRunStatus(t.Context(), pool, db.UpdateWorkflowRunStatusParams{Queue: "q", RunID: id, Status: status})
		if !errors.Is(db.Err(err), want) {
			t.Errorf("update to %s: %v, want %v", status, err, want)
		}
	}
}

// A workflow run that was made by hand has the tasks that were spawned under its id, and the life that its maker says.
func TestWorkflowRunByHand(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	q := db.New()
	id, err := q.CreateWorkflowRun(t.Context(), pool, db.CreateWorkflowRunParams{Queue: "q", WorkflowName: "import", Input: raw(`{"file": "x"}`), Tags: raw(`{"a": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	update := func(status string) (bool, error) {
		return q.UpdateWorkflowRunStatus(t.Context(), pool, db.UpdateWorkflowRunStatusParams{Queue: "q", RunID: id, Status: status, Result: raw(`7`)})
	}
	under := fmt.Sprintf(`{"workflow_run": "%x-%x-%x-%x-%x"}`, id.Bytes[:4], id.Bytes[4:6], id.Bytes[6:8], id.Bytes[8:10], id.Bytes[10:])
	tasks := spawn(t, pool, under, "", under)
	run := workflowRun(t, pool, id)
	if run.Status != "pending" || !run.ByHand || run.RootTask.Valid || run.TaskCount != 2 || string(run.Input) != `{"file": "x"}` || run.CreatedBy == nil {
		t.Errorf("%+v", run)
	}
	if root := one[string](t, pool, `select root_id::text from absurd.list_tasks('q') where task_id = $1`, tasks[2]); root != id.String() {
		t.Errorf("the root of its task is %s", root)
	}
	for _, status := range []string{"running", "completed", "completed"} {
		if found, err := update(status); !found || err != nil {
			t.Errorf("%s: %v, %v", status, found, err)
		}
	}
	run = workflowRun(t, pool, id)
	if run.Status != "completed" || string(run.Result) != "7" || run.StartedAt == nil || run.CompletedAt == nil {
		t.Errorf("%+v", run)
	}
	if _, err := update("running"); !errors.Is(db.Err(err), db.ErrRunKept) {
		t.Errorf("a run that has ended goes on: %v", err)
	}
	for _, options := range []string{under, `{"workflow_run": "00000000-0000-7000-8000-000000000000"}`, `{"workflow_run": 1}`} {
		_, err := q.SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t"}, Params: []json.RawMessage{raw("1")}, Options: []json.RawMessage{raw(options)}})
		if !errors.Is(db.Err(err), db.ErrInvalidOption) {
			t.Errorf("spawned under %s: %v", options, err)
		}
	}
	if found, err := q.UpdateWorkflowRunStatus(t.Context(), pool, db.UpdateWorkflowRunStatusParams{Queue: "q", Status: "failed"}); found || err != nil {
		t.Errorf("an unknown run was found: %v, %v", found, err)
	}

	clean := func() int32 {
		n, err := q.CleanupWorkflowRuns(t.Context(), pool, db.CleanupWorkflowRunsParams{Queue: "q", MaxRuns: 10})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := clean(); n != 0 {
		t.Errorf("%d runs with tasks were deleted", n)
	}
	exec(t, pool, `select absurd.cancel_task('q', task_id) from absurd.tasks; select absurd.cleanup_tasks('q', 0)`)
	if n := clean(); n != 1 {
		t.Errorf("%d runs were deleted, want 1", n)
	}
}

// Lists page through tasks and runs by hand together, newest first, and bound what they look at.
func TestListWorkflowRuns(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, spawn(t, pool, fmt.Sprintf(`{"tenant": "t%d"}`, i%2))[0].String(),
			one[string](t, pool, `select absurd.create_workflow_run('q', 'import', p_tags => jsonb_build_object('i', $1::int))::text`, i))
	}
	slices.Reverse(ids)
	list := func(arguments string) (runs []string, cursor string) {
		rows, err := pool.Query(t.Context(), `select coalesce(run_id::text, ''), cursor from absurd.list_workflow_runs('q'`+arguments+`)`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id, &cursor); err != nil {
				t.Fatal(err)
			}
			if id != "" {
				runs = append(runs, id)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return runs, cursor
	}
	for _, page := range []string{"1", "3", "10"} {
		for _, examine := range []string{"1", "2", "1000"} {
			var got []string
			arguments := ", p_limit => " + page + ", p_examine => " + examine
			runs, cursor := list(arguments)
			for turns := 0; cursor != "" && turns < 30; turns++ {
				got = append(got, runs...)
				runs, cursor = list(arguments + ", p_after => '" + cursor + "'")
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("pages of %s that examine %s (-want +got):\n%s", page, examine, diff)
			}
		}
	}
	for arguments, want := range map[string]int{
		"": 10, ", p_workflow_name => 'import'": 5, ", p_tenant => 't0'": 3, `, p_tags => '{"i": 3}'`: 1, ", p_statuses => '{pending}'": 10,
		", p_statuses => '{running}'": 0, ", p_created_from => now() + interval '1 minute'": 0, ", p_created_to => now() + interval '1 minute'": 10,
	} {
		if got, _ := list(arguments); len(got) != want {
			t.Errorf("list%s: %d runs, want %d", arguments, len(got), want)
		}
	}
}
