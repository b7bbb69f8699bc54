-- name: ValidateQueueName :one
-- ValidateQueueName returns its argument, or an error when it is no name for a queue: one has 1 to 57 bytes.
select absurd.validate_queue_name(p_queue_name => @queue)::text;

-- name: CreateQueue :exec
-- CreateQueue makes an unpartitioned queue; nothing happens if there is one.
select absurd.create_queue(p_queue_name => @queue);

-- name: CreateQueueWithStorage :exec
-- CreateQueueWithStorage makes a queue with storage mode "unpartitioned" or "partitioned"; nothing happens if there is one of that mode.
select absurd.create_queue(p_queue_name => @queue, p_storage_mode => @storage_mode);

-- name: EnsureQueueTables :exec
-- EnsureQueueTables makes those of a queue's relations that are missing.
select absurd.ensure_queue_tables(p_queue_name => @queue);

-- name: DropQueue :exec
-- DropQueue removes a queue with everything in it; an unknown name is no error.
select absurd.drop_queue(p_queue_name => @queue);

-- name: ListQueues :many
-- ListQueues returns the names of all queues, in order.
select queue_name from absurd.list_queues();

-- name: PauseQueue :exec
-- PauseQueue lets no further run of a queue start until ResumeQueue. Spawns, events and running runs go on. ErrUnknownQueue.
select absurd.pause_queue(p_queue => @queue);

-- name: ResumeQueue :exec
-- ResumeQueue ends a pause. ErrUnknownQueue.
select absurd.resume_queue(p_queue => @queue);

-- name: SetQueueLimit :exec
-- SetQueueLimit lets at most MaxRunning runs of a queue run at once, over all workers; nil takes the limit away. ErrUnknownQueue,
-- ErrInvalidOption.
select absurd.set_queue_limit(p_queue => @queue, p_max_running => sqlc.narg(max_running)::integer);
