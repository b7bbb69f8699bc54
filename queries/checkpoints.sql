-- name: SetTaskCheckpointState :exec
-- SetTaskCheckpointState stores a checkpoint of a run claimed with ClaimTask, and extends its claim by ExtendClaimBy seconds
-- if given. ErrCancelled, ErrRunFailed.
select absurd.set_task_checkpoint_state(p_queue_name => @queue, p_task_id => @task_id, p_step_name => @step_name, p_state => sqlc.narg(state)::jsonb,
       p_owner_run => @owner_run, p_extend_claim_by => sqlc.narg(extend_claim_by)::integer);

-- name: GetTaskCheckpointState :many
-- GetTaskCheckpointState returns one checkpoint of a task, or none; a pending one only if asked for.
select checkpoint_name, state, status, owner_run_id, updated_at
from absurd.get_task_checkpoint_state(p_queue_name => @queue, p_task_id => @task_id, p_step_name => @step_name, p_include_pending => @include_pending);

-- name: GetTaskCheckpointStates :many
-- GetTaskCheckpointStates returns the committed checkpoints that a run may see, oldest first.
select checkpoint_name, state, status, owner_run_id, updated_at
from absurd.get_task_checkpoint_states(p_queue_name => @queue, p_task_id => @task_id, p_run_id => @run_id);
