-- name: EmitEvents :many
-- EmitEvents emits events and wakes the tasks that wait for them. Rows come by position (Ord counts from 1); First is
-- false where the name had a payload already, which stays. A nil payload is JSON null. ErrUnknownQueue, ErrInvalidName.
select ord, first from absurd.emit_events(p_queue => @queue, p_names => @names::text[], p_payloads => @payloads::jsonb[]);
