-- name: SendMessages :many
-- SendMessages sends messages to inboxes of tasks. Rows come by position (Ord counts from 1); Answer is "sent", "repeated" (the key
-- was known: dropped), "ended" or "unknown". An empty key is none, a nil payload JSON null. ErrUnknownQueue, ErrInvalidName.
select ord, answer
from absurd.send_messages(p_queue => @queue, p_tasks => @tasks::uuid[], p_inboxes => @inboxes::text[], p_keys => @keys::text[],
       p_payloads => @payloads::jsonb[]);
