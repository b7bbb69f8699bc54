-- name: LoadRecords :many
-- LoadRecords returns all records of tasks, by task and then in the order in which they were written.
select task_id, seq, checkpoint_name, kind, outcome, fingerprint, attempt, recorded_at, state
from absurd.load_records(p_queue => @queue, p_tasks => @tasks::uuid[]);

-- name: LoadNamedRecords :many
-- LoadNamedRecords returns the records of pairs of task and name, as LoadRecords does.
select task_id, seq, checkpoint_name, kind, outcome, fingerprint, attempt, recorded_at, state
from absurd.load_named_records(p_queue => @queue, p_tasks => @tasks::uuid[], p_names => @names::text[]);
