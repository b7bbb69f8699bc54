-- name: EmitEvents :many
-- EmitEvents emits events and wakes the tasks that wait for them. Rows come by position (Ord counts from 1); First is
-- false where the name had a payload already, which stays. A nil payload is JSON null; a nil Tenant is the session's. With
-- PatienceMs no lock is waited for longer than that (55P03).
-- ErrUnknownQueue, ErrInvalidName.
select ord, first from absurd.emit_events(p_queue => @queue, p_names => @names::text[], p_payloads => @payloads::jsonb[],
       p_tenant => sqlc.narg(tenant)::text, p_patience_ms => sqlc.narg(patience_ms)::integer);

-- name: EmitEvent :exec
-- EmitEvent emits one event as the other Absurd clients do.
select absurd.emit_event(p_queue_name => @queue, p_event_name => @event_name, p_payload => sqlc.narg(payload)::jsonb);

-- name: AwaitEvent :many
-- AwaitEvent puts a run claimed with ClaimTask to sleep until an event, for at most Timeout seconds if given, or answers at
-- once: one row, with the payload, or without one when the wait has timed out. ErrCancelled.
select should_suspend, payload
from absurd.await_event(p_queue_name => @queue, p_task_id => @task_id, p_run_id => @run_id, p_step_name => @step_name, p_event_name => @event_name,
       p_timeout => sqlc.narg(timeout)::integer);
