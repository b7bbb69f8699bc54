-- Blocked tasks, and tasks whose name no worker knows: what does not go on until other code comes.
--
-- A blocked task has a timer of kind w, which is due within five minutes and little more. So all blocked tasks of a queue are among
-- the first of its timers, and need no index of their own.

-- blocked_tasks answers those tasks of a queue that are blocked, by the time of their next try, from among its next 10,000 timers.
create function absurd.blocked_tasks(p_queue_no integer, p_now timestamptz)
returns table (row_id tid, task_id uuid, name_no integer, tenant text, attempt integer, available_at timestamptz, failure jsonb)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
as $$
begin
  return query
    select t.*
    from (
      select m.task_id from absurd.timers m
      where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at <= p_now + interval '6 minutes'
      order by m.due_at
      limit 10000
    ) m
    cross join lateral (
      select t.ctid, t.task_id, t.name_no, t.tenant, t.attempt, t.available_at, t.failure
      from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = m.task_id and t.state = 'b'
      offset 0
    ) t;
end
$$;

-- wake_blocked makes those blocked tasks pending that other code than p_code has blocked, at most a thousand. Rows that others have
-- locked are left to their timers. This is housekeeping, for all tenants.
create function absurd.wake_blocked(p_queue_no integer, p_code text, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_tasks uuid[];
begin
  perform absurd.keep_house(true);
  select array_agg(l.task_id) into v_tasks
  from (
    select b.task_id from absurd.blocked_tasks(p_queue_no, p_now) b
    where b.failure ->> 'code' is distinct from p_code
    limit 1000
  ) b
  cross join lateral (
    select t.task_id from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = b.task_id and t.state = 'b'
    for no key update skip locked
  ) l;
  if v_tasks is not null then
    perform absurd.make_pending(p_queue_no, v_tasks, p_now);
    perform absurd.notify_ready(p_queue_no);
  end if;
  perform absurd.keep_house(false);
end
$$;

-- list_blocked answers what does not go on in a queue until other code comes, at most p_limit of each of:
--
--   blocked  the code and the records of the task disagree, or the code cannot read or do what the task asks for; reason says how. It
--            is tried again at due_at, and at once when a worker with other code joins the queue
--   pending  the task is ready, and no worker that is alive knows its name; due_at is null
--
-- No locks. AB004 for an unknown queue.
create function absurd.list_blocked(p_queue text, p_limit integer)
returns table (task_id uuid, task_name text, state text, attempt integer, reason text, due_at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
begin
  return query
    select b.task_id, n.task_name, 'blocked', b.attempt, b.failure ->> 'message', b.available_at
    from absurd.blocked_tasks(v_queue_no, v_now) b
    join absurd.task_names n on n.name_no = b.name_no
    where v_tenants is null or b.tenant = any (v_tenants)
    limit p_limit;
  return query
    select t.task_id, n.task_name, 'pending', t.attempt,
           format('no worker that is alive knows the task name "%s"', n.task_name), null::timestamptz
    from absurd.task_names n
    cross join lateral (
      select r.task_id from absurd.ready r
      where r.queue_no = v_queue_no and r.name_no = n.name_no and r.available_at <= v_now
        and (v_tenants is null or coalesce(r.tenant, '') = any (v_tenants))
      order by r.priority, r.available_at, r.task_id
      limit p_limit
    ) r
    cross join lateral (
      select t.task_id, t.attempt from absurd.tasks t
      where t.queue_no = v_queue_no and t.task_id = r.task_id and t.state = 'p'
      offset 0
    ) t
    where n.queue_no = v_queue_no and not exists (
      select from absurd.worker_queues k
      join absurd.workers w on w.worker_id = k.worker_id and w.lease_expires_at > v_now
      where k.queue_no = v_queue_no and n.name_no = any (k.name_nos))
    limit p_limit;
end
$$;

-- hurry_blocked answers when parked tasks are due (parallel arrays): those that are blocked within five seconds while a worker with other
-- code lives that knows their name. In a deploy it may have joined, and the task been woken for it, and the old code has got it first.
create function absurd.hurry_blocked(p_queue_no integer, p_tasks uuid[], p_actions text[], p_payloads jsonb[], p_due timestamptz[],
  p_now timestamptz) returns timestamptz[]
language plpgsql
as $$
begin
  return array(
    select case when u.action = 'block' and exists (
        select from absurd.worker_queues k
        join absurd.workers w on w.worker_id = k.worker_id and w.lease_expires_at > p_now
        where k.queue_no = p_queue_no and k.code <> u.payload ->> 'code'
          and (select t.name_no from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id) = any (k.name_nos)
        offset 0)
      then least(u.due, p_now + interval '5 seconds') else u.due end
    from unnest(p_tasks, p_actions, p_payloads, p_due) with ordinality u(task_id, action, payload, due, unit)
    order by u.unit);
end
$$;
