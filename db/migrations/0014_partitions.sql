-- Partitions. No queue can be partitioned yet (create_queue refuses it), so these functions check their arguments and find nothing to
-- do; what a detached partition needs is here, because it depends on nothing else.

-- check_known_queue raises for a name that is given but names no queue.
create function absurd.check_known_queue(p_queue_name text) returns void
language plpgsql
as $$
begin
  if p_queue_name is not null then
    perform absurd.validate_queue_name(p_queue_name);
    if not exists (select from absurd.queues q where q.queue_name = p_queue_name) then
      raise exception 'queue "%" does not exist', p_queue_name;
    end if;
  end if;
end
$$;

-- ensure_partitions makes the weekly partitions of a partitioned queue, or of all; it ignores unpartitioned ones.
create function absurd.ensure_partitions(p_queue_name text default null) returns void
language plpgsql
as $$
begin
  perform absurd.require_all_tenants('make partitions');
  perform absurd.check_known_queue(p_queue_name);
end
$$;

-- list_detach_candidates names the partitions that the queue's policy detach_mode lets go.
create function absurd.list_detach_candidates(p_queue_name text default null)
returns table (queue_name text, parent_table text, partition_table text)
language plpgsql
as $$
begin
  perform absurd.require_all_tenants('list partitions');
  perform absurd.check_known_queue(p_queue_name);
end
$$;

-- drop_detached_partition drops a partition, named without its schema, once it has been detached: true. A partition that is still
-- attached, or gone, is left: false. With the name of its drop job, the jobs that detach and drop it are unscheduled when
-- they are no longer needed. It drops no table that is not named like a queue's partition.
create function absurd.drop_detached_partition(p_partition_table text, p_unschedule_job_name text default null) returns boolean
language plpgsql
as $$
declare
  v_partition pg_catalog.pg_class;
begin
  perform absurd.require_all_tenants('drop partitions');
  if p_partition_table is null or btrim(p_partition_table) = '' then
    raise exception 'the name of the partition must not be blank';
  end if;
  select c.* into v_partition from pg_catalog.pg_class c
  where c.relnamespace = 'absurd'::regnamespace and c.relname = p_partition_table and c.relkind = 'r';
  if found and v_partition.relispartition then
    return false;
  end if;
  if v_partition.oid is not null and p_partition_table !~ '^[trcw]_.+_([0-9]{3}|d)$' then
    raise exception 'table "%" is not named like a partition of a queue', p_partition_table;
  end if;
  perform absurd.unschedule_job(replace(p_unschedule_job_name, 'absurd_drop_run_', 'absurd_detach_run_'));
  if v_partition.oid is not null then
    execute format('drop table absurd.%I', p_partition_table);
  end if;
  perform absurd.unschedule_job(p_unschedule_job_name);
  return v_partition.oid is not null;
end
$$;
