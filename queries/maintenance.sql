-- name: GetQueuePolicy :many
-- GetQueuePolicy returns a queue's storage mode and policies: one row, or none for an unknown queue.
select queue_name, storage_mode, default_partition, partition_lookahead, partition_lookback, cleanup_ttl, cleanup_limit, detach_mode, detach_min_age
from absurd.get_queue_policy(p_queue_name => @queue);

-- name: SetQueuePolicy :exec
-- SetQueuePolicy changes those policies of a queue that the document names.
select absurd.set_queue_policy(p_queue_name => @queue, p_policy => @policy::jsonb);

-- name: CleanupTasks :one
-- CleanupTasks deletes at most MaxTasks tasks that ended more than TTLSeconds ago, oldest first, and returns their number.
select absurd.cleanup_tasks(p_queue_name => @queue, p_ttl_seconds => @ttl_seconds, p_limit => @max_tasks)::integer;

-- name: CleanupEvents :one
-- CleanupEvents deletes at most MaxEvents events older than TTLSeconds, oldest first, and returns their number.
select absurd.cleanup_events(p_queue_name => @queue, p_ttl_seconds => @ttl_seconds, p_limit => @max_events)::integer;

-- name: CleanupAllQueues :many
-- CleanupAllQueues cleans one queue up by its policy, or all (nil).
select queue_name, tasks_deleted, events_deleted from absurd.cleanup_all_queues(p_queue_name => sqlc.narg(queue)::text);

-- name: CleanupOldEvents :one
-- CleanupOldEvents deletes at most MaxEvents events older than TTLSeconds that no open task may need, oldest first, and returns their number.
select absurd.cleanup_old_events(p_queue => @queue, p_ttl_seconds => @ttl_seconds, p_limit => @max_events)::integer;

-- name: CleanupQueues :many
-- CleanupQueues cleans one queue up by its policy, or all (nil), and keeps events that open tasks may need.
select queue_name, tasks_deleted, events_deleted from absurd.cleanup_queues(p_queue => sqlc.narg(queue)::text);

-- name: EnsurePartitions :exec
-- EnsurePartitions makes the partitions that a partitioned queue needs, or those of all (nil).
select absurd.ensure_partitions(p_queue_name => sqlc.narg(queue)::text);

-- name: RepairPartitions :many
-- RepairPartitions moves the rows of a queue's default partitions, or of those of all queues (nil), into partitions of their weeks, and returns
-- a row for each week.
select queue_name, week, rows_moved from absurd.repair_partitions(p_queue_name => sqlc.narg(queue)::text);

-- name: ListDetachCandidates :many
-- ListDetachCandidates returns the partitions of a queue, or of all (nil), that its policy lets go.
select queue_name, parent_table, partition_table from absurd.list_detach_candidates(p_queue_name => sqlc.narg(queue)::text);

-- name: DropDetachedPartition :one
-- DropDetachedPartition drops a partition that has been detached, unschedules the job of the given name, and says whether the
-- partition is gone.
select absurd.drop_detached_partition(p_partition_table => @partition_table, p_unschedule_job_name => sqlc.narg(job_name)::text)::boolean;

-- name: ScheduleDetachJobs :many
-- ScheduleDetachJobs schedules pg_cron jobs that detach and drop the candidates of a queue, or of all (nil).
select job_name, job_id, queue_name, partition_table, job_kind from absurd.schedule_detach_jobs(p_queue_name => sqlc.narg(queue)::text);

-- name: EnableCron :many
-- EnableCron schedules the upkeep of a queue, or of all (nil), with pg_cron.
select job_name, job_id
from absurd.enable_cron(p_queue_name => sqlc.narg(queue)::text, p_partition_schedule => @partition_schedule, p_cleanup_schedule => @cleanup_schedule,
       p_detach_schedule => @detach_schedule);

-- name: DisableCron :many
-- DisableCron removes the jobs of EnableCron.
select job_name, job_id from absurd.disable_cron(p_queue_name => sqlc.narg(queue)::text);
