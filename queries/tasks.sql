-- name: SpawnTasks :many
-- SpawnTasks makes one task for each element of its parallel arrays; see the SQL function for the members of an options
-- document (nil: none). A nil input is stored as JSON null. Rows come by position (Ord counts from 1). ErrUnknownQueue,
-- ErrInvalidOption, ErrInvalidName, ErrKeyReused; nothing is made then.
select ord, task_id, attempt, created
from absurd.spawn_tasks(p_queue => @queue, p_names => @names::text[], p_params => @params::jsonb[], p_options => @options::jsonb[],
       p_versions => @versions::text[], p_shapes => @shapes::text[]);

-- name: ClaimTasks :many
-- ClaimTasks gives a worker at most MaxTasks runs that may start now, for task names by number, in claim order, and
-- removes the claims in DoneClaims, whose tasks have all left the worker. ErrWorkerLost when its lease has ended.
select claim_no, task_id, name_no, token, attempt, generation, max_attempts, lost_leases, has_records, enqueue_at, first_started_at,
       claimed_at, params, headers, retry_strategy, cancel_requested, tenant
from absurd.claim_tasks(p_queue => @queue, p_worker => @worker, p_limit => @max_tasks, p_name_nos => @name_nos::integer[],
       p_done_claims => @done_claims::bigint[]);

-- name: CommitPasses :many
-- CommitPasses writes what passes of one worker have come to, any number of them, in one commit. Tasks, Tokens, Actions,
-- Payloads and Due are parallel, one element a unit; the other groups of arrays name their unit (from 1). See the SQL
-- function for actions and answers (ok, requested, busy, lost, cancelled).
select unit, answer
from absurd.commit_passes(p_queue => @queue, p_worker => @worker,
       p_tasks => @tasks::uuid[], p_tokens => @tokens::integer[], p_actions => @actions::text[], p_payloads => @payloads::jsonb[],
       p_due => @due::timestamp with time zone[],
       p_record_units => @record_units::integer[], p_record_names => @record_names::text[], p_record_kinds => @record_kinds::text[],
       p_record_outcomes => @record_outcomes::text[], p_record_fingerprints => @record_fingerprints::bigint[],
       p_record_times => @record_times::timestamp with time zone[], p_record_states => @record_states::jsonb[],
       p_wait_units => @wait_units::integer[], p_wait_names => @wait_names::text[], p_wait_kinds => @wait_kinds::text[], p_wait_events => @wait_events::text[],
       p_wait_timeouts => @wait_timeouts::timestamp with time zone[],
       p_removed_units => @removed_units::integer[], p_removed_names => @removed_names::text[], p_resend => @resend::boolean,
       p_renews => @renews::boolean,
       p_note_units => @note_units::integer[], p_attributes => @attributes::jsonb[], p_published => @published::jsonb[],
       p_child_units => @child_units::integer[], p_child_names => @child_names::text[], p_child_ids => @child_ids::uuid[],
       p_child_queues => @child_queues::text[], p_child_workflows => @child_workflows::text[], p_child_params => @child_params::jsonb[],
       p_child_options => @child_options::jsonb[],
       p_unwanted_units => @unwanted_units::integer[], p_unwanted_names => @unwanted_names::text[]);

-- name: NextDue :one
-- NextDue returns when the earliest timer of a queue is due; nil when there is none.
select next_due from absurd.next_due(p_queue => @queue);

-- name: GetOutcome :many
-- GetOutcome returns the state of a task (pending, running, sleeping, blocked, completed, failed or cancelled) and its result
-- or failure: one row, or none for an unknown task.
select task_id, task_name, state, attempt, result, failure from absurd.get_outcome(p_queue => @queue, p_task => @task);

-- name: WatchTask :many
-- WatchTask returns what GetOutcome does, and has the end of an open task notified on channel absurd, as 't:' and its id.
select task_id, task_name, state, attempt, result, failure from absurd.watch_task(p_queue => @queue, p_task => @task);

-- name: RequestCancel :many
-- RequestCancel asks a task to end, and cancels it if it has not in CleanupMs milliseconds (nil: a minute): one row with its
-- state, or none for an unknown task. ErrUnknownQueue, ErrInvalidOption.
select task_id, state from absurd.request_cancel(p_queue => @queue, p_task => @task, p_cleanup_ms => sqlc.narg(cleanup_ms)::bigint);

-- name: TerminateTask :many
-- TerminateTask cancels an open task at once, and its descendants: one row with its state, or none for an unknown task.
-- ErrUnknownQueue.
select task_id, state from absurd.terminate_task(p_queue => @queue, p_task => @task);

-- name: RetryTaskNow :many
-- RetryTaskNow gives a failed or cancelled task another attempt at once, without the records that its failure names: one row, or none
-- for an unknown task.
select task_id, attempt from absurd.retry_task_now(p_queue => @queue, p_task => @task);

-- name: GetNotes :many
-- GetNotes returns a task's tags, attributes and published state (nil: none), or no row for an unknown task. ErrUnknownQueue.
select tags, attributes, published from absurd.get_notes(p_queue => @queue, p_task => @task);
