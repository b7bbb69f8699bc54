-- Removing what has ended long ago.

-- How far the last walk of cleanup_tasks came; null: it starts at the oldest task again.
alter table absurd.queues add column cleaned_to uuid;

-- The same for sessions that may not use all tenants, who walk past the tasks of the others, also when they claim.
create table absurd.tenant_walks (
  queue_no   integer not null,
  tenants    text[] not null,
  cleaned_to uuid,
  ready_from jsonb, -- by name number, the key of the ready row behind which take_ready_of looks next
  primary key (queue_no, tenants)
);

-- check_ttl raises for a time to live that is null or negative, and returns the moment that lies so many seconds before now.
create function absurd.check_ttl(p_ttl_seconds integer) returns timestamptz
language plpgsql
as $$
begin
  if p_ttl_seconds is null or p_ttl_seconds < 0 then
    raise exception 'ttl_seconds must be at least 0';
  end if;
  return absurd.current_time() - make_interval(secs => p_ttl_seconds);
end
$$;

-- cleanup_tasks deletes up to p_limit tasks that ended more than p_ttl_seconds ago, with all that belongs to them, and returns their
-- number. No index knows when a task ended, because every completion would have to write it. So it walks the tasks in the order
-- of their ids, which is that of their spawns, some thousands a call, and deletes the oldest ends of each stretch first. Tasks that
-- others have locked are left, and what is deleted has ended also under its lock.
create function absurd.cleanup_tasks(p_queue_name text, p_ttl_seconds integer, p_limit integer default 1000) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_tenants  text[] := absurd.session_tenants();
  v_before   timestamptz := absurd.check_ttl(p_ttl_seconds);
  v_limit    integer := greatest(coalesce(p_limit, 1000), 0);
  -- A task cannot have ended before it was spawned: the walk stops at ids of that time.
  v_stop     uuid := absurd.uuidv7_floor(greatest(v_before, 'epoch') + interval '1 ms');
  v_stretch  integer := greatest(v_limit, 1000);
  v_lowest   constant uuid := '00000000-0000-0000-0000-000000000000';
  v_began    uuid := coalesce(case when v_tenants is null
                                then (select q.cleaned_to from absurd.queues q where q.queue_no = v_queue_no)
                                else (select w.cleaned_to from absurd.tenant_walks w where w.queue_no = v_queue_no and w.tenants = v_tenants)
                              end, v_lowest);
  v_from     uuid := v_began;
  v_walked   uuid[];
  v_ended    uuid[];
  v_deleted  integer := 0;
begin
  for v_round in 1 .. 10 loop
    v_walked := array(
      select t.task_id
      from absurd.tasks t
      where t.queue_no = v_queue_no and t.task_id > v_from and t.task_id < v_stop
      order by t.task_id
      limit v_stretch);
    v_ended := array(
      select t.task_id
      from absurd.tasks t
      where t.queue_no = v_queue_no and t.task_id > v_from and t.task_id <= v_walked[cardinality(v_walked)]
        and t.state in ('c', 'f', 'x') and t.ended_at < v_before and (v_tenants is null or t.tenant = any (v_tenants))
      order by t.ended_at, t.task_id
      limit v_limit - v_deleted
      for update skip locked);
    v_deleted := v_deleted + (select count(*) from unnest(v_ended) e (task_id) where absurd.delete_task(v_queue_no, e.task_id));
    exit when v_deleted >= v_limit;  -- the stretch may hold more: the next call looks at it again
    if cardinality(v_walked) = v_stretch then
      v_from := v_walked[v_stretch];
    else
      v_from := v_lowest;
      exit when v_began = v_lowest;  -- once round
      v_began := v_lowest;
    end if;
  end loop;
  if v_queue_no < 0 then
    perform absurd.drop_lost_ready(v_queue_no, 10000);
  end if;
  if v_tenants is null then
    -- Who has locked the queue's row is not waited for, with tasks locked: the next walk then begins where this one did.
    update absurd.queues q set cleaned_to = v_from
    where q.ctid = (select o.ctid from absurd.queues o where o.queue_no = v_queue_no and o.cleaned_to is distinct from v_from for no key update skip locked);
  else
    insert into absurd.tenant_walks as w (queue_no, tenants, cleaned_to) values (v_queue_no, v_tenants, v_from)
    on conflict (queue_no, tenants) do update set cleaned_to = excluded.cleaned_to;
  end if;
  return v_deleted;
end
$$;

-- delete_task deletes an ended task with all that belongs to it. Timers that look at a policy go when they are due. A
-- child whose parent has not heard of its end yet stays: false. So does a task that was cancelled while a worker ran it, for a minute: what the
-- worker is just recording does not lock the task, and would outlive it.
create function absurd.delete_task(p_queue_no integer, p_task_id uuid) returns boolean
language plpgsql
as $$
begin
  if exists (
    select from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = p_task_id and t.parent_id is not null
      and absurd.awaits_child(t.parent_queue_no, t.parent_id, t.child_name, t.task_id)) then
    return false;
  end if;
  if exists (
    select from absurd.notices n
    join absurd.tasks t on t.queue_no = p_queue_no and t.task_id = p_task_id and t.state = 'x'
    where n.task_id = p_task_id) then
    return false;
  end if;
  delete from absurd.waits w where w.queue_no = p_queue_no and w.task_id = p_task_id;
  delete from absurd.unique_keys k where k.queue_no = p_queue_no and k.task_id = p_task_id and k.task_id <> '00000000-0000-0000-0000-000000000000';
  delete from absurd.messages m where m.queue_no = p_queue_no and m.task_id = p_task_id;
  delete from absurd.message_keys k where k.queue_no = p_queue_no and k.task_id = p_task_id;
  delete from absurd.checkpoints c where c.queue_no = p_queue_no and c.task_id = p_task_id;
  delete from absurd.runs r where r.queue_no = p_queue_no and r.task_id = p_task_id and r.attempt <> 0;
  delete from absurd.idempotency_keys k where k.queue_no = p_queue_no and k.task_id = p_task_id and k.task_id <> '00000000-0000-0000-0000-000000000000';
  perform absurd.forget_ended(t) from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id and t.state <> 'c';
  delete from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id;
  return true;
end
$$;

-- cleanup_events deletes up to p_limit events that were emitted more than p_ttl_seconds ago, oldest first, and returns their number.
-- Placeholders, which nobody has emitted, count as old, but stay while somebody waits.
create function absurd.cleanup_events(p_queue_name text, p_ttl_seconds integer, p_limit integer default 1000) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_allowed  text[] := absurd.session_tenants();
  v_before   timestamptz := absurd.check_ttl(p_ttl_seconds);
  v_limit    integer := greatest(coalesce(p_limit, 1000), 0);
  v_deleted  integer;
begin
  delete from absurd.events d
  where d.ctid = any (array(
    select e.ctid
    from absurd.events e
    where e.queue_no = v_queue_no and e.emitted_at > 'epoch' and e.emitted_at < v_before
      and (v_allowed is null or e.tenant = any (v_allowed))
    order by e.emitted_at, e.event_name
    limit v_limit
    for update skip locked));
  get diagnostics v_deleted = row_count;
  return v_deleted + absurd.drop_placeholders(v_queue_no, v_limit - v_deleted);
end
$$;

-- drop_placeholders deletes up to p_limit placeholders of events that nobody waits for any more, and returns their number.
create function absurd.drop_placeholders(p_queue_no integer, p_limit integer) returns integer
language plpgsql
as $$
declare
  v_allowed text[] := absurd.session_tenants();
  v_rows    tid[];
  v_tenants text[];
  v_events  text[];
  v_deleted integer;
begin
  -- Who waits holds, or has held, a share lock on the placeholder. So those that seem unwanted are locked first, and the waits are looked at
  -- again in a second statement, which sees every wait that was stored before the lock was given.
  select array_agg(p.row), array_agg(p.tenant), array_agg(p.event_name) into v_rows, v_tenants, v_events
  from (
    select e.ctid as row, e.tenant, e.event_name
    from absurd.events e
    where e.queue_no = p_queue_no and e.emitted_at = 'epoch' and e.payload is null
      and (v_allowed is null or e.tenant = any (v_allowed))
      and not exists (select from absurd.waits w where w.queue_no = e.queue_no and w.tenant = e.tenant and w.event_name = e.event_name and w.kind = 'e' offset 0)
    limit p_limit
    for update skip locked
  ) p;
  delete from absurd.events e
  where e.ctid = any (array(
    select o.row
    from unnest(v_rows, v_tenants, v_events) o (row, tenant, event_name)
    where not exists (select from absurd.waits w where w.queue_no = p_queue_no and w.tenant = o.tenant and w.event_name = o.event_name and w.kind = 'e' offset 0)));
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;

-- cleanup_all_queues cleans one queue, or all of them by name, one batch each, as their policies cleanup_ttl and cleanup_limit say.
-- Workflow runs that were made by hand go with the tasks.
create function absurd.cleanup_all_queues(p_queue_name text default null)
returns table (queue_name text, tasks_deleted integer, events_deleted integer)
language plpgsql
as $$
begin
  perform absurd.check_known_queue(p_queue_name);
  return query select * from absurd.cleanup_each(p_queue_name, false);
end
$$;

-- cleanup_old_events deletes up to p_limit events, oldest first, and returns their number: those that were emitted more than p_ttl_seconds
-- ago, and that no open task may need. An event is kept for a task of its tenant that was spawned before the event's time was over, however
-- long the task takes; who comes later cannot count on it. cleanup_events, of the Absurd surface, goes by age alone. Placeholders go as
-- there. AB004 for an unknown queue.
create function absurd.cleanup_old_events(p_queue text, p_ttl_seconds integer, p_limit integer default 1000) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_allowed  text[] := absurd.session_tenants();
  v_before   timestamptz := absurd.check_ttl(p_ttl_seconds);
  v_ttl      interval := make_interval(secs => p_ttl_seconds);
  v_limit    integer := greatest(coalesce(p_limit, 1000), 0);
  v_tenants  text[];
  v_oldest   timestamptz[];  -- when the oldest open task of the tenant was spawned
  v_deleted  integer;
begin
  select array_agg(o.tenant), array_agg(o.oldest) into v_tenants, v_oldest
  from (
    select t.tenant, min(t.enqueue_at) as oldest
    from (
      select r.task_id from absurd.ready r where r.queue_no = v_queue_no
      union
      select m.task_id from absurd.timers m where m.queue_no = v_queue_no and m.kind = 'w'
      union
      select m.task_id from absurd.timers m where m.queue_no = v_queue_no and m.kind = 'l'
      union
      select w.task_id from absurd.waits w where w.queue_no = v_queue_no
      union
      select i.task_id from absurd.claims c cross join unnest(c.task_ids) i(task_id) where c.queue_no = v_queue_no
    ) o
    cross join lateral (
      select t.tenant, t.enqueue_at from absurd.tasks t
      where t.queue_no = v_queue_no and t.task_id = o.task_id and t.state not in ('c', 'f', 'x')
      offset 0
    ) t
    group by t.tenant
  ) o;

  delete from absurd.events e
  where e.ctid = any (array(
    select e.ctid
    from absurd.events e
    where e.queue_no = v_queue_no and e.emitted_at > 'epoch' and e.emitted_at < v_before
      and (v_allowed is null or e.tenant = any (v_allowed))
      and (e.emitted_at + v_ttl < v_oldest[array_position(v_tenants, e.tenant)]) is not false
    order by e.emitted_at, e.event_name
    limit v_limit
    for update skip locked));
  get diagnostics v_deleted = row_count;
  return v_deleted + absurd.drop_placeholders(v_queue_no, v_limit - v_deleted);
end
$$;

-- cleanup_queues does what cleanup_all_queues does, but keeps events that open tasks may need (see cleanup_old_events). AB004 for an unknown
-- queue.
create function absurd.cleanup_queues(p_queue text default null)
returns table (queue_name text, tasks_deleted integer, events_deleted integer)
language plpgsql
as $$
begin
  if p_queue is not null then
    perform absurd.queue_number(p_queue);
  end if;
  return query select * from absurd.cleanup_each(p_queue, true);
end
$$;

-- cleanup_each cleans one queue, or all of them (null), and with p_keep keeps events that open tasks may need.
create function absurd.cleanup_each(p_queue_name text, p_keep boolean)
returns table (queue_name text, tasks_deleted integer, events_deleted integer)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue record;
begin
  for v_queue in
    select q.queue_name, least(floor(extract(epoch from q.cleanup_ttl)), 2147483647)::integer as ttl, q.cleanup_limit
    from absurd.queues q
    where p_queue_name is null or q.queue_name = p_queue_name
    order by q.queue_name
  loop
    queue_name := v_queue.queue_name;
    tasks_deleted := absurd.cleanup_tasks(v_queue.queue_name, v_queue.ttl, v_queue.cleanup_limit);
    if p_keep then
      events_deleted := absurd.cleanup_old_events(v_queue.queue_name, v_queue.ttl, v_queue.cleanup_limit);
    else
      events_deleted := absurd.cleanup_events(v_queue.queue_name, v_queue.ttl, v_queue.cleanup_limit);
    end if;
    perform absurd.cleanup_workflow_runs(v_queue.queue_name, v_queue.ttl, v_queue.cleanup_limit);
    return next;
  end loop;
end
$$;
