-- name: CreateWorkflowRun :one
-- CreateWorkflowRun makes a workflow run by hand and returns its id, under which tasks can be spawned (option workflow_run). A nil
-- CreatedBy is the login, a nil Tenant the session's. ErrUnknownQueue, ErrInvalidName, ErrInvalidOption.
select absurd.create_workflow_run(p_queue => @queue, p_workflow_name => @workflow_name, p_input => sqlc.narg(input)::jsonb,
       p_version => sqlc.narg(version)::text, p_shape_hash => sqlc.narg(shape_hash)::text, p_tags => sqlc.narg(tags)::jsonb,
       p_created_by => sqlc.narg(created_by)::text, p_tenant => sqlc.narg(tenant)::text)::uuid;

-- name: UpdateWorkflowRunStatus :one
-- UpdateWorkflowRunStatus sets the status of a workflow run that was made by hand (pending, running, completed, failed or cancelled), and
-- returns whether there is such a run. ErrUnknownQueue, ErrInvalidOption, ErrRunKept for one that the engine keeps or that has ended.
select absurd.update_workflow_run_status(p_queue => @queue, p_run_id => @run_id, p_status => @status, p_result => sqlc.narg(result)::jsonb,
       p_error => sqlc.narg(error)::jsonb)::boolean;

-- name: GetWorkflowRun :many
-- GetWorkflowRun returns a workflow run: one row, or none for an unknown one. ErrUnknownQueue.
select run_id, queue, workflow_name, version, shape_hash, status, root_task, input, result, error, created_by, tags, created_at, started_at,
       completed_at, task_count, tenant, by_hand
from absurd.get_workflow_run(p_queue => @queue, p_run_id => @run_id);

-- name: ListWorkflowRuns :many
-- ListWorkflowRuns lists the workflow runs of a queue, the newest first. Nil filters let everything pass; Tags are contained in the run's.
-- Pages are those of ListTasks. ErrUnknownQueue, ErrInvalidOption.
select run_id, queue, workflow_name, version, shape_hash, status, root_task, input, result, error, created_by, tags, created_at, started_at,
       completed_at, task_count, tenant, by_hand, cursor
from absurd.list_workflow_runs(p_queue => @queue, p_statuses => sqlc.narg(statuses)::text[], p_workflow_name => sqlc.narg(workflow_name)::text,
       p_tenant => sqlc.narg(tenant)::text, p_tags => sqlc.narg(tags)::jsonb, p_created_from => sqlc.narg(created_from)::timestamptz,
       p_created_to => sqlc.narg(created_to)::timestamptz, p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text,
       p_examine => sqlc.narg(examine)::integer);

-- name: CleanupWorkflowRuns :one
-- CleanupWorkflowRuns deletes at most MaxRuns workflow runs that were made by hand, ended more than TTLSeconds ago and have no tasks left,
-- and returns their number.
select absurd.cleanup_workflow_runs(p_queue => @queue, p_ttl_seconds => @ttl_seconds, p_limit => @max_runs)::integer;
