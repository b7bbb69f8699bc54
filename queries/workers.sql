-- name: RegisterWorker :one
-- RegisterWorker makes a worker whose lease ends in LeaseMs milliseconds, and returns its number. ErrInvalidOption when
-- LeaseMs is not positive.
select absurd.register_worker(p_name => @name, p_lease_ms => @lease_ms)::bigint;

-- name: RenewWorker :many
-- RenewWorker extends a worker's lease to LeaseMs milliseconds from now, never shortens it, and returns its end, with the tasks
-- that the worker should look at, because they have been cancelled or asked to end. No row: the worker is unknown or its lease has ended, so it must
-- stop writing and register again.
select lease_end, noticed from absurd.renew_worker(p_worker => @worker, p_lease_ms => @lease_ms);

-- name: RetireWorker :one
-- RetireWorker hands every run that the worker still holds back to its queue, without counting a lost lease, and removes
-- the worker. It returns the number of runs handed back.
select absurd.retire_worker(p_worker => @worker)::integer;

-- name: JoinQueue :many
-- JoinQueue lets a worker take tasks of a queue, and returns the number of each task name, made where there was none. Tasks that
-- other code than Code has blocked are tried again; nil: none is.
-- ErrUnknownQueue, ErrInvalidName, ErrWorkerLost.
select task_name, name_no from absurd.join_queue(p_worker => @worker, p_queue => @queue, p_names => @names::text[], p_code => sqlc.narg(code)::text);

-- name: SetIdle :exec
-- SetIdle raises or lowers a worker's idle flag on a queue: producers notify channel absurd only while one is up.
select absurd.set_idle(p_worker => @worker, p_queue => @queue, p_idle => @idle);

-- name: Sweep :many
-- Sweep takes runs back from workers whose lease has ended, and moves due timers of all queues. Limit bounds the tasks
-- touched. It returns a row for each worker whose lease had ended.
select worker_id, requeued, poisoned from absurd.sweep(p_limit => @max_tasks);

-- name: ReleaseClaims :one
-- ReleaseClaims hands back what a worker holds on a queue through claims other than those it knows, because their answer was
-- lost with a connection. It returns the number of runs handed back. ErrUnknownQueue.
select absurd.release_claims(p_worker => @worker, p_queue => @queue, p_known => @known::bigint[])::integer;

-- name: ListBlocked :many
-- ListBlocked returns what does not go on in a queue until other code comes, at most MaxTasks of each kind: blocked tasks, with the
-- time of their next try, and ready ones whose name no worker knows. ErrUnknownQueue.
select task_id, task_name, state, attempt, reason, due_at from absurd.list_blocked(p_queue => @queue, p_limit => @max_tasks);
