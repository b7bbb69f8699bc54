-- name: SpawnTask :many
-- SpawnTask makes one task as the other Absurd clients do: one row. See SpawnTasks for the engine's own.
select task_id, run_id, attempt, created
from absurd.spawn_task(p_queue_name => @queue, p_task_name => @task_name, p_params => sqlc.narg(params)::jsonb, p_options => sqlc.narg(options)::jsonb);

-- name: ClaimTask :many
-- ClaimTask claims at most Quantity runs for ClaimTimeout seconds (0: without end), for workers without a lease of their own.
select run_id, task_id, attempt, task_name, params, retry_strategy, max_attempts, headers, wake_event, event_payload
from absurd.claim_task(p_queue_name => @queue, p_worker_id => @worker_id, p_claim_timeout => @claim_timeout, p_qty => @quantity);

-- name: CompleteRun :exec
-- CompleteRun completes a run claimed with ClaimTask. ErrCancelled, ErrRunFailed.
select absurd.complete_run(p_queue_name => @queue, p_run_id => @run_id, p_state => sqlc.narg(state)::jsonb);

-- name: ScheduleRun :exec
-- ScheduleRun puts a run claimed with ClaimTask to sleep.
select absurd.schedule_run(p_queue_name => @queue, p_run_id => @run_id, p_wake_at => @wake_at::timestamptz);

-- name: FailRun :exec
-- FailRun fails a run claimed with ClaimTask, or a sleeping one; the next attempt is due at RetryAt (nil: by the retry
-- strategy). ErrCancelled, ErrRunFailed.
select absurd.fail_run(p_queue_name => @queue, p_run_id => @run_id, p_reason => sqlc.narg(reason)::jsonb, p_retry_at => sqlc.narg(retry_at)::timestamptz);

-- name: ExtendClaim :exec
-- ExtendClaim lets the claim of a run end Seconds from now. ErrCancelled, ErrRunFailed.
select absurd.extend_claim(p_queue_name => @queue, p_run_id => @run_id, p_extend_by => @seconds);

-- name: CancelTask :exec
-- CancelTask cancels an open task at once; one that has ended stays as it is.
select absurd.cancel_task(p_queue_name => @queue, p_task_id => @task_id);

-- name: RetryTask :many
-- RetryTask gives a failed task another attempt, with all its checkpoints: one row. See RetryTaskNow for the engine's own.
select task_id, run_id, attempt, created
from absurd.retry_task(p_queue_name => @queue, p_task_id => @task_id, p_options => sqlc.narg(options)::jsonb);

-- name: GetTaskResult :many
-- GetTaskResult returns the state of a task, with the result if it completed and the reason if it failed: one row, or none
-- for an unknown task.
select task_id, state, result, failure_reason from absurd.get_task_result(p_queue_name => @queue, p_task_id => @task_id);
