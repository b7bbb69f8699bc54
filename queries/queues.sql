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
