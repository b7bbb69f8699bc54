-- name: LoadRecords :many
-- LoadRecords returns all records of tasks, by task and then in the order in which they were written.
select task_id, seq, checkpoint_name, kind, outcome, fingerprint, attempt, recorded_at, state
from absurd.load_records(p_queue => @queue, p_tasks => @tasks::uuid[]);

-- name: LoadNamedRecords :many
-- LoadNamedRecords returns the records of pairs of task and name, as LoadRecords does.
select task_id, seq, checkpoint_name, kind, outcome, fingerprint, attempt, recorded_at, state
from absurd.load_named_records(p_queue => @queue, p_tasks => @tasks::uuid[], p_names => @names::text[]);

-- name: RecordStep :one
-- RecordStep records the value of a step, as the last statement of the transaction that did its work. Answer is "ok"; "recorded"
-- where there is an outcome already, which is returned; "lost" where the run is not this worker's under this token; or
-- "cancelled". Roll back unless it is "ok". ErrUnknownQueue.
select answer, outcome, recorded_at, state
from absurd.record_step(p_queue => @queue, p_worker => @worker, p_task => @task, p_token => @token, p_name => @name, p_fingerprint => @fingerprint,
       p_recorded_at => @recorded_at, p_state => @state);

-- name: FindStep :one
-- FindStep returns what became of a RecordStep whose transaction was committed without an answer: "recorded" with the outcome, "ok"
-- where there is none and the run is still this worker's, "lost" or "cancelled". It waits for that transaction to end.
-- ErrUnknownQueue.
select answer, outcome, recorded_at, state
from absurd.find_step(p_queue => @queue, p_worker => @worker, p_task => @task, p_token => @token, p_name => @name);
