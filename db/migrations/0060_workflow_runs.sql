-- Workflow runs: the tracking record of a root task with all tasks that it spawned.
--
-- A root task is its own record: its row, seen through a view, says all there is to say and is never behind. Only workflow runs that a
-- caller makes by hand, to spawn tasks under its id (the spawn option workflow_run), have a row of their own; only these may be updated
-- from outside. How many tasks a run has is counted when it is read, by an index that root tasks are not in.

create table absurd.runs_by_hand (
  queue_no      integer not null,
  run_id        uuid not null,
  tenant        text not null default '',
  workflow_name text not null,
  version       text,
  shape_hash    text,
  status        text not null check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
  input         jsonb,
  result        jsonb,
  error         jsonb,
  created_by    text not null,
  tags          jsonb,
  created_at    timestamptz not null,
  started_at    timestamptz,
  completed_at  timestamptz,
  primary key (queue_no, run_id)
);
create index runs_by_hand_by_end on absurd.runs_by_hand (queue_no, completed_at) where completed_at is not null;

create index tasks_by_root on absurd.tasks (root_queue_no, root_id) where root_id is not null;

-- count_tasks_of_root counts the tasks below a root, or under a workflow run that was made by hand, that stand in the storage of queue
-- p_queue_no, up to p_most: those of the given tenants, or of all (null).
create function absurd.count_tasks_of_root(p_queue_no integer, p_root_queue_no integer, p_root_id uuid, p_tenants text[], p_most bigint) returns bigint
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  return (
    select count(*)
    from (
      select from absurd.tasks t
      where t.root_queue_no = p_root_queue_no and t.root_id = p_root_id and (p_tenants is null or t.tenant = any (p_tenants))
      limit p_most
    ) t);
end
$$;

-- count_workflow_tasks counts the tasks of a workflow run, but for its root task, wherever they stand: in the storage that queues share, and in
-- that of each partitioned queue. It is for views, and for callers without the engine's rights counts what they may see. With p_most it stops once
-- there are so many.
create function absurd.count_workflow_tasks(p_root_queue_no integer, p_root_id uuid, p_most bigint default null) returns bigint
language plpgsql stable
as $$
declare
  v_tenants text[] := absurd.session_tenants();
  v_storage integer;
  v_count   bigint := absurd.count_tasks_of_root(0, p_root_queue_no, p_root_id, v_tenants, p_most);
begin
  for v_storage in select q.queue_no from absurd.queues q where q.storage_mode = 'partitioned' loop
    exit when v_count >= p_most;
    v_count := v_count + absurd.count_tasks_of_root(v_storage, p_root_queue_no, p_root_id, v_tenants, p_most);
  end loop;
  return v_count;
end
$$;

-- The workflow runs of this storage: of all queues that are not partitioned, or of one that is (see join_workflow_runs). root_task is null
-- for one that was made by hand, by_hand is true then; error is also the reason why a task is blocked.
create view absurd.stored_workflow_runs with (security_barrier) as
select t.queue_no, q.queue_name as queue, t.task_id as run_id, n.task_name as workflow_name, t.version, t.shape_hash,
       absurd.state_word(t.state) as status, t.task_id as root_task, t.params as input, t.result, t.failure as error, t.created_by, t.tags,
       t.enqueue_at as created_at, t.first_started_at as started_at, t.ended_at as completed_at,
       1 + absurd.count_workflow_tasks(t.queue_no, t.task_id) as task_count,
       t.tenant, false as by_hand
from absurd.tasks t
join absurd.task_names n on n.name_no = t.name_no
join absurd.queues q on q.queue_no = t.queue_no
where t.root_id is null and ((select absurd.my_tenants()) is null or t.tenant = any ((select absurd.my_tenants())::text[]))
union all
select h.queue_no, q.queue_name, h.run_id, h.workflow_name, h.version, h.shape_hash, h.status, null, h.input, h.result, h.error, h.created_by,
       h.tags, h.created_at, h.started_at, h.completed_at,
       absurd.count_workflow_tasks(h.queue_no, h.run_id), h.tenant, true
from absurd.runs_by_hand h
join absurd.queues q on q.queue_no = h.queue_no
where (select absurd.my_tenants()) is null or h.tenant = any ((select absurd.my_tenants())::text[]);

-- note_origins notes in new tasks, of spawn_tasks, who has made them, and the workflow run under which they were spawned. AB005 for one
-- that does not exist, has ended, or is of another tenant. Locks the rows of these workflow runs against an update.
create function absurd.note_origins(p_queue_no integer, p_names text[], p_options jsonb[], p_ids uuid[], p_owners uuid[]) returns void
language plpgsql
as $$
declare
  v_row  integer;
  v_run  uuid;
begin
  for v_row in select i from generate_subscripts(p_ids, 1) i where p_options[i] ?| '{workflow_run,created_by}' order by 1 loop
    continue when p_owners[v_row] <> p_ids[v_row];
    v_run := p_options[v_row] ->> 'workflow_run';
    if v_run is not null then
      perform from absurd.runs_by_hand h
      where h.queue_no = p_queue_no and h.run_id = v_run and h.completed_at is null and h.tenant = coalesce(p_options[v_row] ->> 'tenant', '')
      for share;
      if not found then
        raise exception 'task "%" (row %): option workflow_run names no workflow run of this queue and tenant that was made by hand and goes on',
          p_names[v_row], v_row using errcode = 'AB005';
      end if;
    end if;
    update absurd.tasks t
    set created_by = p_options[v_row] ->> 'created_by', root_id = v_run, root_queue_no = case when v_run is not null then p_queue_no end
    where t.queue_no = p_queue_no and t.task_id = p_ids[v_row];
  end loop;
end
$$;

-- create_workflow_run makes a workflow run by hand, pending, and returns its id, under which tasks of the queue can be spawned.
-- p_created_by defaults to the login, p_tenant to the session's. AB004 unknown queue, AB005 tags that are no object, AB006 blank or long
-- name, 42501 a tenant that this session may not use.
create function absurd.create_workflow_run(p_queue text, p_workflow_name text, p_input jsonb default null, p_version text default null,
  p_shape_hash text default null, p_tags jsonb default null, p_created_by text default null, p_tenant text default null) returns uuid
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenant   text := absurd.session_tenant(p_tenant);
  v_now      timestamptz := absurd.current_time();
  v_id       uuid := absurd.uuidv7_at(v_now);
begin
  if p_workflow_name is null or p_workflow_name !~ '\S' or octet_length(p_workflow_name) > 1000 then
    raise exception 'workflow name "%" is not valid: it must have 1 to 1000 bytes that are not all blank', left(p_workflow_name, 100)
      using errcode = 'AB006';
  elsif jsonb_typeof(p_tags) <> 'object' then
    raise exception 'the tags of a workflow run must be a JSON object, not %', jsonb_typeof(p_tags) using errcode = 'AB005';
  end if;
  insert into absurd.runs_by_hand (queue_no, run_id, tenant, workflow_name, version, shape_hash, status, input, created_by, tags, created_at)
  values (v_queue_no, v_id, v_tenant, p_workflow_name, p_version, p_shape_hash, 'pending', p_input, coalesce(p_created_by, session_user), p_tags, v_now);
  return v_id;
end
$$;

-- update_workflow_run_status sets the status of a workflow run that was made by hand: running, completed (with p_result), failed (with
-- p_error), cancelled, or pending. The first running starts it, a final status ends it and cannot be changed any more. Whether there is
-- such a run. AB004 unknown queue, AB005 unknown status, AB011 for a run that the engine keeps, or one that has ended with another status.
create function absurd.update_workflow_run_status(p_queue text, p_run_id uuid, p_status text, p_result jsonb default null, p_error jsonb default null)
returns boolean
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
  v_now      timestamptz := absurd.current_time();
  v_final    boolean := p_status in ('completed', 'failed', 'cancelled');
  v_run      absurd.runs_by_hand;
begin
  if p_status is null or p_status not in ('pending', 'running', 'completed', 'failed', 'cancelled') then
    raise exception 'workflow run status % does not exist: use pending, running, completed, failed or cancelled', coalesce(quote_literal(p_status), 'null')
      using errcode = 'AB005';
  end if;
  select h.* into v_run from absurd.runs_by_hand h
  where h.queue_no = v_queue_no and h.run_id = p_run_id and (v_tenants is null or h.tenant = any (v_tenants))
  for update;
  if not found then
    if exists (select from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = absurd.shown_task(v_queue_no, p_run_id)) then
      raise exception 'workflow run % is kept by the engine: cancel, retry or signal its task instead', p_run_id using errcode = 'AB011';
    end if;
    return false;
  end if;
  if v_run.completed_at is not null then
    if v_run.status <> p_status then
      raise exception 'workflow run % has ended: it is %', p_run_id, v_run.status using errcode = 'AB011';
    end if;
    return true;
  end if;
  update absurd.runs_by_hand h
  set status = p_status, result = p_result, error = p_error,
      started_at = coalesce(h.started_at, case when p_status <> 'pending' then v_now end),
      completed_at = case when v_final then v_now end
  where h.queue_no = v_queue_no and h.run_id = p_run_id;
  return true;
end
$$;

-- get_workflow_run reads one workflow run; no row for an unknown one. AB004 for an unknown queue.
create function absurd.get_workflow_run(p_queue text, p_run_id uuid)
returns table (run_id uuid, queue text, workflow_name text, version text, shape_hash text, status text, root_task uuid, input jsonb, result jsonb,
  error jsonb, created_by text, tags jsonb, created_at timestamptz, started_at timestamptz, completed_at timestamptz, task_count bigint,
  tenant text, by_hand boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  perform absurd.session_tenants();  -- which the view asks for too
  return query
    select r.run_id, r.queue, r.workflow_name, r.version, r.shape_hash, r.status, r.root_task, r.input, r.result, r.error, r.created_by, r.tags,
           r.created_at, r.started_at, r.completed_at, r.task_count, r.tenant, r.by_hand
    from absurd.stored_workflow_runs r
    where r.queue_no = v_queue_no and r.run_id = p_run_id;
end
$$;

-- list_workflow_runs lists workflow runs of a queue, the newest first, in pages as all lists (see 0050). Null filters let everything pass:
-- p_statuses, p_workflow_name, p_tenant, p_tags (contained in the run's), p_created_from and p_created_to (from included, to excluded). The
-- tasks of each listed run are counted. AB004 for an unknown queue, AB005 for a status or a cursor that does not exist.
create function absurd.list_workflow_runs(p_queue text, p_statuses text[] default null, p_workflow_name text default null, p_tenant text default null,
  p_tags jsonb default null, p_created_from timestamptz default null, p_created_to timestamptz default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000)
returns table (run_id uuid, queue text, workflow_name text, version text, shape_hash text, status text, root_task uuid, input jsonb, result jsonb,
  error jsonb, created_by text, tags jsonb, created_at timestamptz, started_at timestamptz, completed_at timestamptz, task_count bigint,
  tenant text, by_hand boolean, cursor text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
  v_limit    integer := absurd.list_limit(p_limit, 100, 1000);
  v_examine  integer := absurd.list_limit(p_examine, 10000, 100000);
  v_before   uuid := coalesce((absurd.list_cursor('workflow_runs', p_after, '{uuid}') ->> 1)::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_oldest   uuid := absurd.lowest_id();
  v_ids      uuid[];
  v_picked   uuid[];
  v_chunk    integer;
  v_found    integer;
begin
  perform absurd.task_source(p_statuses);  -- refuses what is no status
  -- Ids carry the time, but for that of a fake clock. A second more, because another machine's clock may have made them.
  if coalesce(current_setting('absurd.fake_now', true), '') = '' then
    if p_created_to is not null then
      v_before := least(v_before, absurd.uuidv7_floor(greatest(p_created_to, 'epoch') + interval '1 second'));
    end if;
    if p_created_from is not null then
      v_oldest := absurd.uuidv7_floor(greatest(p_created_from - interval '1 second', 'epoch'));
    end if;
  end if;
  loop
    v_chunk := least(v_examine, greatest(v_limit, 200));
    v_ids := array(
      select a.id
      from (
        (select t.task_id as id from absurd.tasks t
         where t.queue_no = v_queue_no and t.task_id < v_before and t.task_id >= v_oldest and (v_tenants is null or t.tenant = any (v_tenants))
         order by t.task_id desc limit v_chunk)
        union all
        (select h.run_id from absurd.runs_by_hand h
         where h.queue_no = v_queue_no and h.run_id < v_before and h.run_id >= v_oldest and (v_tenants is null or h.tenant = any (v_tenants))
         order by h.run_id desc limit v_chunk)
      ) a
      order by a.id desc
      limit v_chunk);
    -- What the filters let pass is picked before any tasks are counted.
    v_picked := array(
      select p.id
      from (
        select u.id, u.ord
        from unnest(v_ids) with ordinality u(id, ord)
        cross join lateral (select t.* from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = u.id offset 0) t
        cross join lateral (select n.task_name from absurd.task_names n where n.name_no = t.name_no offset 0) n
        where t.root_id is null
          and (p_statuses is null or p_statuses = '{}' or absurd.state_word(t.state) = any (p_statuses))
          and (p_workflow_name is null or n.task_name = p_workflow_name)
          and (p_tenant is null or t.tenant = p_tenant)
          and (p_tags is null or t.tags @> p_tags)
          and (p_created_from is null or t.enqueue_at >= p_created_from) and (p_created_to is null or t.enqueue_at < p_created_to)
        union all
        select u.id, u.ord
        from unnest(v_ids) with ordinality u(id, ord)
        cross join lateral (select h.* from absurd.runs_by_hand h where h.queue_no = v_queue_no and h.run_id = u.id offset 0) h
        where (p_statuses is null or p_statuses = '{}' or h.status = any (p_statuses))
          and (p_workflow_name is null or h.workflow_name = p_workflow_name)
          and (p_tenant is null or h.tenant = p_tenant)
          and (p_tags is null or h.tags @> p_tags)
          and (p_created_from is null or h.created_at >= p_created_from) and (p_created_to is null or h.created_at < p_created_to)
      ) p
      order by p.ord
      limit v_limit);
    return query
      select g.*, jsonb_build_array('workflow_runs', u.id)::text
      from unnest(v_picked) with ordinality u(id, ord)
      cross join lateral (select g.* from absurd.get_workflow_run(p_queue, u.id) g offset 0) g
      order by u.ord;
    get diagnostics v_found = row_count;
    v_limit := v_limit - v_found;
    exit when v_limit <= 0 or cardinality(v_ids) < v_chunk;
    v_before := v_ids[v_chunk];
    v_examine := v_examine - v_chunk;
    if v_examine <= 0 then
      cursor := jsonb_build_array('workflow_runs', v_before)::text;
      return next;
      exit;
    end if;
  end loop;
end
$$;

-- cleanup_workflow_runs deletes up to p_limit workflow runs that were made by hand, ended more than p_ttl_seconds ago and have no tasks left,
-- oldest end first, and returns their number. What the engine keeps goes with its task. AB004 for an unknown queue.
create function absurd.cleanup_workflow_runs(p_queue text, p_ttl_seconds integer, p_limit integer default 1000) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
  v_before   timestamptz := absurd.check_ttl(p_ttl_seconds);
  v_deleted  integer;
begin
  delete from absurd.runs_by_hand d
  where d.ctid = any (array(
    select h.ctid from absurd.runs_by_hand h
    where h.queue_no = v_queue_no and h.completed_at < v_before and (v_tenants is null or h.tenant = any (v_tenants))
      and absurd.count_workflow_tasks(v_queue_no, h.run_id, 1) = 0
    order by h.completed_at
    limit greatest(coalesce(p_limit, 1000), 0)
    for update skip locked));
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
