-- Maintenance by pg_cron, where it is installed. It is found when a function is called, not when the schema is made, and its
-- objects are used by dynamic statements alone.

-- has_cron tells whether jobs can be removed, and with p_schedule also whether they can be made.
create function absurd.has_cron(p_schedule boolean) returns boolean
language sql stable
as $$
  select to_regclass('cron.job') is not null
    and exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'cron' and p.proname = 'unschedule')
    and (not p_schedule
         or exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                    where n.nspname = 'cron' and p.proname = 'schedule'))
$$;

-- require_cron raises where pg_cron is missing.
create function absurd.require_cron(p_schedule boolean) returns void
language plpgsql
as $$
begin
  if not absurd.has_cron(p_schedule) then
    raise exception 'pg_cron is not installed: cron.job, cron.schedule and cron.unschedule are needed'
      using hint = 'Install the extension pg_cron, or call the maintenance functions from elsewhere.';
  end if;
end
$$;

-- cron_scope is the part of a job's name that says whose it is: all, or a queue's.
create function absurd.cron_scope(p_queue_name text) returns text
language sql immutable
as $$ select coalesce(left(md5(p_queue_name), 12), 'all') $$;

-- unschedule_jobs removes the jobs whose names match a regular expression, and returns them by name and id. Without pg_cron there
-- are none.
create function absurd.unschedule_jobs(p_names text) returns table (job_name text, job_id bigint)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job record;
begin
  if p_names is null or not absurd.has_cron(false) then
    return;
  end if;
  for v_job in execute 'select j.jobname::text as name, j.jobid::bigint as id from cron.job j where j.jobname ~ $1 order by 1, 2' using p_names loop
    execute 'select cron.unschedule($1)' using v_job.id;
    return query select v_job.name, v_job.id;
  end loop;
end
$$;

-- unschedule_job removes the job of that name, if there is one.
create function absurd.unschedule_job(p_name text) returns void
language sql
as $$ select absurd.unschedule_jobs('^' || regexp_replace(p_name, '([^A-Za-z0-9_])', '\\\1', 'g') || '$') $$;

-- enable_cron schedules the maintenance of one queue, or of all: partitions, cleanup, and the plan for detaching. Jobs of the same
-- names are replaced.
create function absurd.enable_cron(p_queue_name text default null, p_partition_schedule text default '5 * * * *',
  p_cleanup_schedule text default '17 * * * *', p_detach_schedule text default '29 * * * *')
returns table (job_name text, job_id bigint)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_scope    text := absurd.cron_scope(p_queue_name);
  v_argument text := coalesce(quote_literal(p_queue_name), 'null::text');
  v_job      record;
  v_id       bigint;
begin
  perform absurd.require_all_tenants('schedule maintenance');
  perform absurd.check_known_queue(p_queue_name);
  if exists (select from unnest(array[p_partition_schedule, p_cleanup_schedule, p_detach_schedule]) s
             where s is null or btrim(s) = '') then
    raise exception 'a schedule must not be blank';
  end if;
  perform absurd.require_cron(true);
  for v_job in
    select 'absurd_' || j.name || '_' || v_scope as name, j.schedule, format('select absurd.%s(%s)', j.called, v_argument) as command
    from (values (1, 'partitions', p_partition_schedule, 'ensure_partitions'),
                 (2, 'cleanup', p_cleanup_schedule, 'cleanup_all_queues'),
                 (3, 'detach_plan', p_detach_schedule, 'schedule_detach_jobs')) j (ord, name, schedule, called)
    order by j.ord
  loop
    perform absurd.unschedule_job(v_job.name);
    execute 'select cron.schedule($1, $2, $3)' into v_id using v_job.name, v_job.schedule, v_job.command;
    return query select v_job.name, v_id;
  end loop;
end
$$;

-- disable_cron removes the jobs that enable_cron and schedule_detach_jobs made for a queue, or, with null, those made for all
-- queues together. It returns what it removed.
create function absurd.disable_cron(p_queue_name text default null) returns table (job_name text, job_id bigint)
language plpgsql
as $$
begin
  perform absurd.require_all_tenants('unschedule maintenance');
  if p_queue_name is not null then
    perform absurd.validate_queue_name(p_queue_name);
  end if;
  perform absurd.require_cron(false);
  return query select * from absurd.unschedule_jobs(absurd.cron_jobs_of(p_queue_name));
end
$$;

-- cron_jobs_of is the regular expression for the names of a queue's jobs.
create function absurd.cron_jobs_of(p_queue_name text) returns text
language sql immutable
as $$ select '^absurd_((partitions|cleanup|detach_plan)_' || s || '|(detach|drop)_run_' || s || '_.*)$' from absurd.cron_scope(p_queue_name) s $$;

-- schedule_detach_jobs schedules, for each parent without such jobs, the detaching of its oldest candidate and the dropping of what has been
-- detached. Both run every minute until the second removes them. Detaching is a bare statement, because one that goes
-- on beside other work cannot run in a function; PostgreSQL allows that kind only where there is no default partition.
create function absurd.schedule_detach_jobs(p_queue_name text default null)
returns table (job_name text, job_id bigint, queue_name text, partition_table text, job_kind text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job  record;
  v_id   bigint;
begin
  perform absurd.require_all_tenants('detach partitions');
  perform absurd.check_known_queue(p_queue_name);
  perform absurd.require_cron(true);
  for v_job in
    select d.queue_name as queue, d.partition_table as partition, j.kind, format('absurd_%s_run_%s', j.kind, d.job) as name,
           case j.kind when 'detach' then
             format('ALTER TABLE %s DETACH PARTITION absurd.%I%s', absurd.partitioned_table(d.queue_no, d.table_name), d.partition_table,
                    case when d.concurrently then ' CONCURRENTLY' else '' end)
           else format('select absurd.drop_detached_partition(%L, %L)', d.partition_table, 'absurd_drop_run_' || d.job) end as command
    from (
      select distinct on (c.queue_name, t.ord) c.*, q.queue_no, t.table_name, t.ord,
             format('%s_%s_%s', absurd.cron_scope(p_queue_name), left(md5(c.parent_table), 8), left(md5(c.parent_table || ':' || c.partition_table), 12)) as job,
             to_regclass(absurd.partition_name(t.prefix, c.queue_name, null)) is null as concurrently
      from absurd.list_detach_candidates(p_queue_name) with ordinality c (queue_name, parent_table, partition_table, nth)
      join absurd.queues q on q.queue_name = c.queue_name
      join absurd.partitioned_tables() t on t.prefix = left(c.parent_table, 1)
      order by c.queue_name, t.ord, c.nth
    ) d
    cross join (values (1, 'detach'), (2, 'drop')) j (ord, kind)
    where not absurd.has_job('^absurd_(detach|drop)_run_(all|[0-9a-f]{12})_' || left(md5(d.parent_table), 8) || '_')
    order by d.queue_name, d.ord, j.ord
  loop
    execute 'select cron.schedule($1, $2, $3)' into v_id using v_job.name, '* * * * *', v_job.command;
    return query select v_job.name, v_id, v_job.queue, v_job.partition, v_job.kind;
  end loop;
end
$$;

-- has_job tells whether there is a job whose name matches a regular expression.
create function absurd.has_job(p_names text) returns boolean
language plpgsql stable
as $$
declare
  v_found boolean;
begin
  execute 'select exists (select from cron.job j where j.jobname ~ $1)' into v_found using p_names;
  return v_found;
end
$$;
