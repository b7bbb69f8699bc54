-- name: ListTasks :many
-- ListTasks lists tasks of a queue, a page of at most MaxRows, by the cursors of its rows. Nil filters let everything pass. Where
-- Examine rows were looked at before the page was full, a last row has a cursor alone, to go on from. By States the order is: failed
-- or cancelled alone, latest end first; pending, as they will be claimed; sleeping and blocked, as they will be woken; else by id, the
-- newest first. ErrUnknownQueue, ErrInvalidOption.
select task_id, task_name, state, attempt, max_attempts, lost_leases, priority, tenant, parent_id, root_id, version, idempotency_key, tags,
       attributes, failure, holder, enqueue_at, first_started_at, started_at, available_at, ended_at, cursor
from absurd.list_tasks(p_queue => @queue, p_states => sqlc.narg(states)::text[], p_task_name => sqlc.narg(task_name)::text,
  p_tenant => sqlc.narg(tenant)::text, p_tags => sqlc.narg(tags)::jsonb, p_attributes => sqlc.narg(attributes)::jsonb, p_error => sqlc.narg(error)::text,
  p_spawned_from => sqlc.narg(spawned_from)::timestamptz, p_spawned_to => sqlc.narg(spawned_to)::timestamptz,
  p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text, p_examine => sqlc.narg(examine)::integer);

-- name: ListRuns :many
-- ListRuns lists the runs of a task, the first attempt first; without one those of all tasks of the queue, the newest task first. Pages
-- are those of ListTasks. ErrUnknownQueue, ErrInvalidOption.
select run_id, task_id, task_name, attempt, state, claimed_by, claim_expires_at, created_at, available_at, started_at, completed_at,
       failed_at, failure_reason, cursor
from absurd.list_runs(p_queue => @queue, p_task => sqlc.narg(task)::uuid, p_states => sqlc.narg(states)::text[],
  p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text, p_examine => sqlc.narg(examine)::integer);

-- name: ListCheckpoints :many
-- ListCheckpoints lists the records of a task in the order of their commits. Kinds are step, sleep, event, child, message, race, changed
-- and cancel. ErrUnknownQueue, ErrInvalidOption.
select checkpoint_name, kind, outcome, superseded, attempt, recorded_at, state, seq, cursor
from absurd.list_checkpoints(p_queue => @queue, p_task => @task, p_kinds => sqlc.narg(kinds)::text[],
  p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text);

-- name: ListWaits :many
-- ListWaits lists open waits by task: of one Task, of one Kind (event, child, message), for one Event, or all. Pages are those of
-- ListTasks. ErrUnknownQueue, ErrInvalidOption.
select task_id, task_name, step_name, kind, event_name, tenant, timeout_at, created_at, cursor
from absurd.list_waits(p_queue => @queue, p_kind => sqlc.narg(kind)::text, p_event => sqlc.narg(event)::text, p_task => sqlc.narg(task)::uuid,
  p_tenant => sqlc.narg(tenant)::text, p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text, p_examine => sqlc.narg(examine)::integer);

-- name: ListEvents :many
-- ListEvents lists the events that were emitted on a queue, the latest first. Pages are those of ListTasks. ErrUnknownQueue, ErrInvalidOption.
select event_name, tenant, emitted_at, payload, cursor
from absurd.list_events(p_queue => @queue, p_prefix => sqlc.narg(prefix)::text, p_tenant => sqlc.narg(tenant)::text,
  p_emitted_from => sqlc.narg(emitted_from)::timestamptz, p_emitted_to => sqlc.narg(emitted_to)::timestamptz,
  p_limit => sqlc.narg(max_rows)::integer, p_after => sqlc.narg(after)::text, p_examine => sqlc.narg(examine)::integer);

-- name: QueueStatistics :many
-- QueueStatistics counts what is alive on a queue, or on every queue. ErrUnknownQueue.
select queue_name, pending, running, sleeping, scheduled, blocked, waits, workers, idle_workers, oldest_pending_at, next_due_at,
       paused, max_running
from absurd.queue_statistics(p_queue => sqlc.narg(queue)::text);
