-- What the functions of the engine share. Internals take the queue's number and the caller's "now", and expect
-- the rows of the tasks they are given to be locked already.
--
-- PL/pgSQL keeps the plans of its statements for as long as a connection lives, and many are made while the
-- tables are still empty. So that such a plan is right for full ones, the set functions leave the planner no
-- choice:
--
--   * rows of the large tables are looked up by their whole key in a lateral subquery that the planner may not merge with
--     the query around it (offset 0, or a locking clause), one look-up for each element of an array; in an exists as well, which
--     it would otherwise answer from a hash table of all that could match;
--   * rows that are locked already are changed by their address (ctid), which no other transaction can change;
--   * whatever else a planner could do with a small table is switched off for the outermost function.

-- queue_number answers the number of a queue, or refuses with AB004.
create function absurd.queue_number(p_queue text) returns integer
language plpgsql stable
as $$
declare
  v_queue_no integer;
begin
  select q.queue_no into v_queue_no from absurd.queues q where q.queue_name = p_queue;
  if v_queue_no is null then
    raise exception 'queue "%" does not exist: create it first, with absurd.create_queue or Client.CreateQueue', p_queue
      using errcode = 'AB004';
  end if;
  return v_queue_no;
end
$$;

-- add_task_names makes the numbers of those names that have none yet. It waits only for a transaction that is
-- just now making the same number for the first time.
create function absurd.add_task_names(p_queue_no integer, p_names text[]) returns void
language plpgsql
as $$
declare
  v_name text;
begin
  foreach v_name in array p_names loop
    if v_name is null or v_name !~ '\S' or octet_length(v_name) > 1000 then
      raise exception 'task name "%" is not valid: it must have 1 to 1000 bytes that are not all blank', left(v_name, 100)
        using errcode = 'AB006';
    end if;
  end loop;
  insert into absurd.task_names (queue_no, task_name)
  select distinct p_queue_no, u.task_name
  from unnest(p_names) u(task_name)
  where not exists (select from absurd.task_names n where n.queue_no = p_queue_no and n.task_name = u.task_name)
  order by 2
  on conflict do nothing;
end
$$;

-- notice_of is what stands for a queue's name, or a task's id, in a notification: any login of the database may listen, and must not
-- learn either. Stable, so that the planner puts it into the statement: as a function of its own it is planned at each call.
create function absurd.notice_of(p_text text) returns text
language sql stable strict
as $$ select left(encode(sha256(convert_to(p_text, 'UTF8')), 'hex'), 32) $$;

-- notify_ready tells the workers of a queue that there is work, if one of them is idle. Its payload is 'q:' and
-- notice_of the queue's name.
create function absurd.notify_ready(p_queue_no integer) returns void
language plpgsql
as $$
begin
  if exists (select from absurd.worker_queues w where w.queue_no = p_queue_no and w.idle) then
    perform pg_notify('absurd', 'q:' || absurd.notice_of(q.queue_name)) from absurd.queues q where q.queue_no = p_queue_no;
  end if;
end
$$;

-- notify_ended tells whoever watches a task that it has ended.
create function absurd.notify_ended(p_task_id uuid) returns void
language sql
as $$ select pg_notify('absurd', 't:' || absurd.notice_of(p_task_id::text)) $$;

-- make_pending wakes sleeping and blocked tasks: they become pending and get a ready row, and the timer that
-- would have woken them goes. What became available before now keeps its place in the queue.
create function absurd.make_pending(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_rows   tid[];
  v_timers tid[];
begin
  select array_agg(t.row), array_agg(m.row) into v_rows, v_timers
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select t.ctid as row, t.available_at from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id offset 0
  ) t
  left join lateral (
    select m.ctid as row from absurd.timers m
    where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at = t.available_at and m.task_id = u.task_id
    offset 0
  ) m on true;
  delete from absurd.timers m where m.ctid = any (v_timers);

  with woken as (
    update absurd.tasks t
    set state = 'p', available_at = least(t.available_at, p_now), has_records = true, failure = null
    where t.ctid = any (v_rows)
    returning t.name_no, t.priority, t.available_at, t.task_id, t.tenant
  )
  insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
  select p_queue_no, w.name_no, w.priority, w.available_at, w.task_id, nullif(w.tenant, '') from woken w;
end
$$;

-- policy_deadline answers when a cancellation policy must be looked at next: the deadline that runs now, or,
-- for a task that has not started, the earliest moment at which one could be reached. Null when there is none.
create function absurd.policy_deadline(
  p_cancellation jsonb, p_enqueue_at timestamptz, p_first_started_at timestamptz, p_revived_at timestamptz, p_now timestamptz
) returns timestamptz
language plpgsql immutable
as $$
declare
  v_delay    double precision;
  v_duration double precision;
begin
  if jsonb_typeof(p_cancellation) is distinct from 'object' then
    return null;
  end if;
  v_duration := absurd.seconds_option(p_cancellation, 'max_duration');
  if p_first_started_at is not null then
    return coalesce(p_revived_at, p_first_started_at) + make_interval(secs => v_duration);
  end if;
  v_delay := absurd.seconds_option(p_cancellation, 'max_delay');
  -- Never now for max_duration: a task that has not started has not used any of it.
  return least(coalesce(p_revived_at, p_enqueue_at) + make_interval(secs => v_delay), p_now + make_interval(secs => case when v_duration < 1 then 1 else v_duration end));
end
$$;
