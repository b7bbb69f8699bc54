-- Partitions of partitioned queues: the children of the tables in a queue's own schema (see 0085). They stand in schema absurd under
-- the names t_<queue>_<week>, r_.., c_.. and w_.., and _d for the default one.

-- partitioned_tables are the tables of which a partitioned queue has its own, the first letter of their children, and their key.
create function absurd.partitioned_tables() returns table (ord integer, table_name text, prefix text, key text)
language sql immutable
as $$ values (1, 'tasks', 't', 'task_id'), (2, 'runs', 'r', 'run_id'), (3, 'checkpoints', 'c', 'task_id'), (4, 'waits', 'w', 'task_id') $$;

-- storage_schema is the schema with the tables and functions of a queue.
create function absurd.storage_schema(p_queue_no integer) returns text
language sql immutable strict
as $$ select case when p_queue_no < 0 then 'absurd_q' || -p_queue_no else 'absurd' end $$;

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

-- ensure_partitions makes the weekly partitions of a partitioned queue, or of all, from the week partition_lookback ago to that
-- partition_lookahead from now, and the default partitions where the policy wants them. It ignores unpartitioned queues and drops nothing.
-- A week whose rows have gone into the default partition takes them over, if there are at most 10,000; more are left for
-- repair_partitions. With null, what is wrong with one queue is a warning and does not keep the others from theirs. It never makes another call
-- fail, nor waits for one that waits for it: it answers 55P03 where a queue with default partitions is in use without a gap for some seconds.
-- Call it in a transaction of its own, because one that has written already waits for nothing.
create function absurd.ensure_partitions(p_queue_name text default null) returns void
language plpgsql
as $$
declare
  v_queue record;
begin
  perform absurd.require_all_tenants('make partitions');
  perform absurd.check_known_queue(p_queue_name);
  for v_queue in
    select q.queue_name, q.queue_no from absurd.queues q
    where q.storage_mode = 'partitioned' and (p_queue_name is null or q.queue_name = p_queue_name)
    order by q.queue_name
  loop
    begin
      perform absurd.add_partitions(v_queue.queue_name, v_queue.queue_no);
    exception when others then
      if p_queue_name is not null then
        raise;
      end if;
      raise warning 'queue "%": its partitions could not be made: %', v_queue.queue_name, sqlerrm;
    end;
  end loop;
end
$$;

-- lock_partitioning keeps others from making or dropping partitions of a queue until the transaction ends. It waits for who does, unless this
-- transaction may itself be waited for (see take_table_locks).
create function absurd.lock_partitioning(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
begin
  if pg_current_xact_id_if_assigned() is null then
    perform pg_advisory_xact_lock(hashtext('absurd.add_partitions'), p_number);
  elsif not pg_try_advisory_xact_lock(hashtext('absurd.add_partitions'), p_number) then
    perform absurd.report_busy_tables(p_queue_name);
  end if;
end
$$;

-- add_partitions does ensure_partitions for one queue.
create function absurd.add_partitions(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
declare
  v_queue absurd.queues;
  v_now   timestamptz := absurd.current_time();
  v_table record;
  v_week  timestamptz;
  v_last  timestamptz;
begin
  perform absurd.lock_partitioning(p_queue_name, p_number); -- two at once would make the same ones
  select q.* into v_queue from absurd.queues q where q.queue_no = p_number;
  if v_queue.default_partition = 'enabled' then
    for v_table in select t.* from absurd.partitioned_tables() t order by t.ord loop
      continue when to_regclass(absurd.partition_name(v_table.prefix, p_queue_name, null)) is not null;
      perform absurd.make_partition(p_queue_name, p_number, v_table.table_name, null);
      execute format('alter table %s attach partition %s default', absurd.partitioned_table(p_number, v_table.table_name),
                     absurd.partition_name(v_table.prefix, p_queue_name, null));
    end loop;
  end if;

  -- Names come again after ten years.
  v_week := absurd.week_bucket_utc(v_now - least(v_queue.partition_lookback, interval '4 years'));
  v_last := absurd.week_bucket_utc(v_now + least(v_queue.partition_lookahead, interval '4 years'));
  while v_week <= v_last loop
    if exists (select from absurd.partitioned_tables() t where to_regclass(absurd.partition_name(t.prefix, p_queue_name, v_week)) is null) then
      if exists (select from absurd.partitioned_tables() t, absurd.count_default_rows(p_queue_name, t.prefix, t.key, v_week, 10001) n where n > 10000) then
        raise warning 'queue "%": its default partitions hold many rows of the week of %', p_queue_name, v_week::date
          using hint = 'Call absurd.repair_partitions when the queue is quiet.';
      else
        perform absurd.add_week(p_queue_name, p_number, v_week);
      end if;
    end if;
    v_week := v_week + interval '168 hours';
  end loop;
end
$$;

-- partition_name is the name of a partition, quoted and with its schema; p_week null: of the default one.
create function absurd.partition_name(p_prefix text, p_queue_name text, p_week timestamptz) returns text
language sql immutable
as $$ select format('absurd.%I', p_prefix || '_' || p_queue_name || '_' || coalesce(absurd.partition_week_tag(p_week), 'd')) $$;

-- partitioned_table is the name of a partitioned table of a queue, with its schema.
create function absurd.partitioned_table(p_number integer, p_table text) returns text
language sql immutable
as $$ select absurd.storage_schema(p_number) || '.partitioned_' || p_table $$;

-- make_partition makes a table that can become a partition; the statement that makes one at once would lock the whole queue.
create function absurd.make_partition(p_queue_name text, p_number integer, p_table text, p_week timestamptz) returns void
language plpgsql
as $$
begin
  execute (
    select format('create table %s (like %s including defaults including constraints including storage)',
                  absurd.partition_name(t.prefix, p_queue_name, p_week), absurd.partitioned_table(p_number, p_table))
           || coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '')
    from absurd.partitioned_tables() t
    join pg_catalog.pg_class c on c.oid = ('absurd.' || t.table_name)::regclass
    where t.table_name = p_table);
end
$$;

-- count_default_rows counts the rows of one week in a default partition, up to p_most.
create function absurd.count_default_rows(p_queue_name text, p_prefix text, p_key text, p_week timestamptz, p_most integer) returns bigint
language plpgsql
as $$
declare
  v_default text := absurd.partition_name(p_prefix, p_queue_name, null);
  v_count   bigint := 0;
begin
  if to_regclass(v_default) is not null then
    execute format('select count(*) from (select from %s where %I >= $1 and %2$I < $2 limit $3) r', v_default, p_key)
    into v_count using absurd.uuidv7_floor(p_week), absurd.uuidv7_floor(p_week + interval '168 hours'), p_most;
  end if;
  return v_count;
end
$$;

-- add_week attaches the partitions of one week that are missing, and moves the week's rows out of the default partitions; it answers
-- how many there were. Attaching locks a default partition against everybody, so all locks come first (see take_table_locks): 55P03 where
-- others use the queue without a gap.
create function absurd.add_week(p_queue_name text, p_number integer, p_week timestamptz) returns bigint
language plpgsql
as $$
declare
  v_from  uuid := absurd.uuidv7_floor(p_week);
  v_to    uuid := absurd.uuidv7_floor(p_week + interval '168 hours');
  v_table record;
  v_moved bigint;
  v_sum   bigint := 0;
begin
  perform absurd.take_table_locks(p_queue_name, (
    select array_agg(l.lock order by l.place, t.ord)
    from absurd.partitioned_tables() t
    cross join lateral (
      select 1 as place, absurd.partition_name(t.prefix, p_queue_name, null) || ' in access exclusive mode' as lock
      where to_regclass(absurd.partition_name(t.prefix, p_queue_name, null)) is not null
      union all
      select 2, 'only ' || absurd.partitioned_table(p_number, t.table_name) || ' in share update exclusive mode' -- which attaching takes
    ) l
    where to_regclass(absurd.partition_name(t.prefix, p_queue_name, p_week)) is null));
  for v_table in
    select t.*, absurd.partition_name(t.prefix, p_queue_name, null) as "default", absurd.partition_name(t.prefix, p_queue_name, p_week) as partition
    from absurd.partitioned_tables() t
    order by t.ord
  loop
    continue when to_regclass(v_table.partition) is not null;
    perform absurd.make_partition(p_queue_name, p_number, v_table.table_name, p_week);
    if to_regclass(v_table."default") is not null then
      execute format('with moved as (delete from %s where %I >= $1 and %2$I < $2 returning %s) insert into %s (%3$s) select %3$s from moved',
        v_table."default", v_table.key, absurd.column_names(v_table.partition), v_table.partition) using v_from, v_to;
      get diagnostics v_moved = row_count;
      v_sum := v_sum + v_moved;
    end if;
    execute format('alter table %s attach partition %s for values from (%L) to (%L)',
      absurd.partitioned_table(p_number, v_table.table_name), v_table.partition, v_from, v_to);
  end loop;
  return v_sum;
end
$$;

-- column_names are a table's columns, for a statement.
create function absurd.column_names(p_table text) returns text
language sql stable
as $$
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_catalog.pg_attribute a
  where a.attrelid = p_table::regclass and a.attnum > 0 and not a.attisdropped
$$;

-- repair_partitions makes a partition for every week of which the default partitions of a queue, or of all queues, hold rows, and
-- moves these there. It answers how many rows it moved. It locks the queue while it moves a week. Where somebody has dropped a partition by
-- hand, it also deletes what other tables hold of the tasks that are gone, and tells open tasks that wait for one of them.
create function absurd.repair_partitions(p_queue_name text default null) returns table (queue_name text, week timestamptz, rows_moved bigint)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue record;
  v_week  timestamptz;
  v_moved bigint;
begin
  perform absurd.require_all_tenants('repair partitions');
  perform absurd.check_known_queue(p_queue_name);
  for v_queue in
    select q.queue_name as name, q.queue_no from absurd.queues q
    where q.storage_mode = 'partitioned' and (p_queue_name is null or q.queue_name = p_queue_name)
    order by q.queue_name
  loop
    perform absurd.lock_partitioning(v_queue.name, v_queue.queue_no);
    perform absurd.forget_lost_tasks(v_queue.queue_no, v_queue.name, absurd.current_time()); -- before any table is locked
    for v_week in select w.week from absurd.default_weeks(v_queue.name) w order by 1 loop
      v_moved := absurd.add_week(v_queue.name, v_queue.queue_no, v_week);
      return query select v_queue.name, v_week, v_moved;
    end loop;
  end loop;
end
$$;

-- default_weeks are the weeks of which a queue's default partitions hold rows, but for those that have a partition and thus
-- rows that belong elsewhere: there are none.
create function absurd.default_weeks(p_queue_name text) returns table (week timestamptz)
language plpgsql
as $$
declare
  v_query text;
begin
  select string_agg(format('select absurd.week_bucket_utc(absurd.uuidv7_timestamp(%I)) from %s', t.key, absurd.partition_name(t.prefix, p_queue_name, null)), ' union ')
  into v_query
  from absurd.partitioned_tables() t
  where to_regclass(absurd.partition_name(t.prefix, p_queue_name, null)) is not null;
  if v_query is not null then
    return query execute 'select w from (' || v_query || ') x (w) where w is not null';
  end if;
end
$$;

-- ensure_storage makes the schema of a partitioned queue, if it is not there, and the partitions that are missing.
create function absurd.ensure_storage(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
begin
  if to_regclass(absurd.partitioned_table(p_number, 'waits')) is null then
    perform absurd.copy_storage(p_number);
  end if;
  if not exists (select from pg_catalog.pg_inherits i where i.inhparent = absurd.partitioned_table(p_number, 'waits')::regclass) then
    perform absurd.add_partitions(p_queue_name, p_number);
  end if;
end
$$;

-- drop_storage drops the schema of a partitioned queue with its partitions, also those that have been detached.
create function absurd.drop_storage(p_queue_name text, p_number integer) returns void
language plpgsql
set client_min_messages = warning
as $$
declare
  v_table text;
begin
  execute format('drop schema if exists %s cascade', absurd.storage_schema(p_number));
  for v_table in
    select c.relname from absurd.partitioned_tables() t
    join pg_catalog.pg_class c on c.relnamespace = 'absurd'::regnamespace and c.relkind = 'r'
      and left(c.relname, length(t.prefix || p_queue_name) + 2) = t.prefix || '_' || p_queue_name || '_' and c.relname ~ '_([0-9]{3}|d)$'
      and length(c.relname) <= length(t.prefix || p_queue_name) + 5
  loop
    execute format('drop table absurd.%I', v_table);
  end loop;
end
$$;

-- lock_default_partitions takes the locks that dropping the default partitions of a queue needs.
create function absurd.lock_default_partitions(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
begin
  perform absurd.lock_partitioning(p_queue_name, p_number);
  perform absurd.take_table_locks(p_queue_name, (
    select array_agg(l.lock || ' in access exclusive mode' order by l.place, t.ord)
    from absurd.partitioned_tables() t
    cross join lateral (
      values (1, 'only ' || absurd.partitioned_table(p_number, t.table_name)), (2, absurd.partition_name(t.prefix, p_queue_name, null))
    ) l (place, lock)
    where to_regclass(absurd.partition_name(t.prefix, p_queue_name, null)) is not null));
end
$$;

-- set_default_partitions drops the default partitions of a queue that must not have them any more, or makes them. It raises where one
-- holds rows. To drop them, the caller has locked them (see lock_default_partitions).
create function absurd.set_default_partitions(p_queue_name text, p_number integer, p_mode text) returns void
language plpgsql
as $$
declare
  v_table record;
  v_any   boolean;
begin
  if p_mode = 'enabled' then
    perform absurd.add_partitions(p_queue_name, p_number);
    return;
  end if;
  for v_table in
    select t.*, absurd.partition_name(t.prefix, p_queue_name, null) as partition from absurd.partitioned_tables() t order by t.ord
  loop
    continue when to_regclass(v_table.partition) is null;
    execute format('select exists (select from %s)', v_table.partition) into v_any;
    if v_any then
      raise exception 'policy default_partition: partition % of queue "%" holds rows', v_table.partition, p_queue_name
        using hint = 'Move them first: select * from absurd.repair_partitions(...)';
    end if;
    execute format('alter table %s detach partition %s', absurd.partitioned_table(p_number, v_table.table_name), v_table.partition);
    execute format('drop table %s', v_table.partition);
  end loop;
end
$$;

-- list_detach_candidates names the partitions that the queue's policies detach_mode and detach_min_age let go: weeks that ended that long ago,
-- hold no row, and have no task left, because a task writes into the partitions of its week.
create function absurd.list_detach_candidates(p_queue_name text default null)
returns table (queue_name text, parent_table text, partition_table text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_child record;
  v_any   boolean;
begin
  perform absurd.require_all_tenants('list partitions');
  perform absurd.check_known_queue(p_queue_name);
  for v_child in
    select q.queue_name as queue, t.prefix, c.relname::text as name, c.oid::regclass as partition,
           to_regclass(format('absurd.%I', 't' || substr(c.relname, 2))) as tasks
    from absurd.queues q
    cross join absurd.partitioned_tables() t
    join pg_catalog.pg_inherits i on i.inhparent = to_regclass(absurd.partitioned_table(q.queue_no, t.table_name))
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    cross join lateral (
      select absurd.uuidv7_timestamp(substring(pg_get_expr(c.relpartbound, c.oid) from $r$ TO \('([0-9a-f-]+)'\)$r$)::uuid) as ended
    ) b
    where q.storage_mode = 'partitioned' and q.detach_mode = 'empty' and (p_queue_name is null or q.queue_name = p_queue_name)
      and b.ended < absurd.current_time() - q.detach_min_age
    order by q.queue_name, t.ord, b.ended
  loop
    execute format('select exists (select from %s)', v_child.partition) || case when v_child.tasks is not null
      then format(' or exists (select from %s)', v_child.tasks) else '' end into v_any;
    if not v_any then
      return query select v_child.queue, v_child.prefix || '_' || v_child.queue, v_child.name;
    end if;
  end loop;
end
$$;

-- forget_partition removes what the shared tables hold of the tasks of a detached partition, which is about to be dropped, and tells parents
-- that wait for one of them.
create function absurd.forget_partition(p_queue_no integer, p_partition text) returns void
language plpgsql
as $$
declare
  v_first  uuid;
  v_last   uuid;
  v_table  text;
  v_parent record;
begin
  execute format('select min(task_id::text)::uuid, max(task_id::text)::uuid from %s', p_partition) into v_first, v_last;
  if v_first is null then
    return;
  end if;
  for v_parent in
    execute format($s$
      select parent_queue_no, array_agg(parent_id) as parents, array_agg(task_id) as children, array_agg(child_name) as names
      from %s where parent_id is not null and state not in ('c', 'f', 'x') group by parent_queue_no order by parent_queue_no$s$, p_partition)
  loop
    perform absurd.tell_gone(v_parent.parent_queue_no, v_parent.parents, v_parent.children, v_parent.names, absurd.current_time());
  end loop;
  foreach v_table in array '{messages,message_keys,unique_keys,idempotency_keys,ended,ready,timers,notices}'::text[] loop
    execute format('delete from %s d using %s p where d.queue_no = $1 and d.task_id between $2 and $3 and d.task_id = p.task_id',
      'absurd.' || v_table, p_partition) using p_queue_no, v_first, v_last;
  end loop;
end
$$;

-- drop_detached_partition drops a partition, named without its schema, once it has been detached: true. A partition that is still
-- attached, or gone, is left: false. With the name of its drop job, the jobs that detach and drop it are unscheduled when
-- they are no longer needed. It drops no table that is not named like a queue's partition. With a partition of tasks goes what other
-- tables hold of these tasks.
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
    perform absurd.forget_partition(q.queue_no, v_partition.oid::regclass::text)
    from absurd.queues q
    where q.storage_mode = 'partitioned' and p_partition_table ~ '^t_' and regexp_replace(p_partition_table, '^t_(.*)_([0-9]{3}|d)$', '\1') = q.queue_name;
    execute format('drop table absurd.%I', p_partition_table);
  end if;
  perform absurd.unschedule_job(p_unschedule_job_name);
  return v_partition.oid is not null;
end
$$;
