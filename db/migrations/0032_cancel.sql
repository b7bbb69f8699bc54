-- Asking a task to end, ending it, and how the worker that runs it learns of either.

-- Tasks that a worker held when they were cancelled or asked to end: it should look at them. Rows go by themselves: see renew_worker.
create table absurd.notices (
  worker_id bigint not null,
  task_id   uuid not null,
  queue_no  integer not null,
  noted_at  timestamptz not null,
  primary key (worker_id, task_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create index notices_by_task on absurd.notices (task_id);

-- cleanup_time is how long a task that is asked to end has to do so where nobody has said otherwise.
create function absurd.cleanup_time() returns interval
language sql immutable
as $$ select interval '1 minute' $$;

-- notice_holder leaves a notice for the worker that runs a task, if one does, and notifies 'w:' and its number.
create function absurd.notice_holder(p_task absurd.tasks, p_now timestamptz) returns void
language plpgsql
as $$
begin
  if p_task.state = 'r' and p_task.worker_id is not null then
    insert into absurd.notices (worker_id, task_id, queue_no, noted_at)
    values (p_task.worker_id, p_task.task_id, p_task.queue_no, p_now)
    on conflict (worker_id, task_id) do update set noted_at = excluded.noted_at;
    perform pg_notify('absurd', 'w:' || p_task.worker_id);
  end if;
end
$$;

-- end_or_ask ends an open task at once (p_forced), or asks it to end by p_due: it is woken, and its workflow sees that it should
-- end. One that has never started has nothing to clean up, and ends at once. It answers whether anything changed: a task that has
-- been asked before is not asked again. Its relatives are not told. The task is locked by the caller.
create function absurd.end_or_ask(p_task absurd.tasks, p_forced boolean, p_due timestamptz, p_now timestamptz) returns boolean
language plpgsql
as $$
begin
  if p_forced or p_task.first_started_at is null then
    perform absurd.end_alone(p_task, 'x', null, null, p_now);
    return true;
  elsif p_task.cancel_requested_at is not null then
    return false;
  end if;
  update absurd.tasks t
  set cancel_requested_at = p_now, cancel_due_at = p_due
  where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_task.queue_no, 'd', p_due, p_task.task_id)
  on conflict do nothing;
  -- A run that waits in await_event takes a wake-up for its timeout: it is left alone until p_due.
  if p_task.state in ('s', 'b') and p_task.wake_event is null then
    perform absurd.make_pending(p_task.queue_no, array[p_task.task_id], p_now);
    perform absurd.notify_ready(p_task.queue_no);
  end if;
  perform absurd.notice_holder(p_task, p_now);
  return true;
end
$$;

-- request_cancel asks a task to end: its workflow is woken, gets an error from its durable calls, and may clean up. If it has not
-- ended in p_cleanup_ms milliseconds (null: a minute; at most a year) it is cancelled at once. Its children are asked too. A task
-- that has never started is cancelled at once, one that has been asked before keeps its time, and one that has ended stays as it
-- is. Answers the task's state in words; no row for an unknown task. AB004, AB005 for a negative time. Locks the task's row, and
-- waits for that; rows of relatives it locks without waiting.
create function absurd.request_cancel(p_queue text, p_task uuid, p_cleanup_ms bigint default null) returns table (task_id uuid, state text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
  v_now      timestamptz := absurd.current_time();
  v_task     absurd.tasks;
begin
  if p_cleanup_ms < 0 then
    raise exception 'a clean-up time of % ms is not valid: it must not be negative', p_cleanup_ms using errcode = 'AB005';
  end if;
  select t.* into v_task from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id for no key update;
  if not found then
    return;
  end if;
  if v_task.state in ('p', 'r', 's', 'b')
    and absurd.end_or_ask(v_task, false,
      v_now + case when p_cleanup_ms is null then absurd.cleanup_time() else least(p_cleanup_ms, 31536000000) * interval '1 millisecond' end, v_now)
    and (v_task.parent_id is not null or v_task.children is not null) then
    perform absurd.tell_relatives(v_queue_no, array[p_task], v_now);
  end if;
  return query
    select t.task_id, absurd.state_word(t.state) from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = p_task;
end
$$;

-- terminate_task cancels an open task at once, and with it all that descends from it. One that has ended stays as it is. Answers
-- the task's state in words; no row for an unknown task. AB004. Locks as request_cancel.
create function absurd.terminate_task(p_queue text, p_task uuid) returns table (task_id uuid, state text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
  v_state    "char";
begin
  select t.state into v_state from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id for no key update;
  if not found then
    return;
  end if;
  if v_state in ('p', 'r', 's', 'b') then
    perform absurd.cancel_open_task(v_queue_no, p_task, absurd.current_time());
  end if;
  return query
    select t.task_id, absurd.state_word(t.state) from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = p_task;
end
$$;

-- end_unwanted asks the children behind pending records (parallel arrays; units are indexes into p_tasks) to end, because the
-- branches that made them have lost a race. The records say so from then on.
create function absurd.end_unwanted(p_queue_no integer, p_tasks uuid[], p_held boolean[], p_units integer[], p_names text[], p_now timestamptz)
returns void
language plpgsql
as $$
declare
  v_group record;
begin
  for v_group in
    with noted as (
      update absurd.checkpoints c
      set state = c.state || '{"unwanted": true}'
      where c.ctid = any (array(
        select x.row
        from unnest(p_units, p_names) u(unit, name)
        cross join lateral (
          select c.ctid as row from absurd.checkpoints c
          where c.queue_no = p_queue_no and c.task_id = p_tasks[u.unit] and c.checkpoint_name = u.name
            and c.kind = 'c' and c.outcome in ('n', 'N')
          offset 0
        ) x
        where p_held[u.unit]))
      returning c.state
    )
    select q.queue_no, array_agg((c.state ->> 'task')::uuid) as children
    from noted c
    join absurd.queues q on q.queue_name = c.state ->> 'queue'
    group by q.queue_no
    order by q.queue_no
  loop
    perform absurd.end_children(v_group.queue_no, v_group.children, array_fill(false, array[cardinality(v_group.children)]),
      array_fill(p_now + absurd.cleanup_time(), array[cardinality(v_group.children)]), p_now, 0);
  end loop;
end
$$;

-- forget_cancels removes the cancels that the workflow of a task has seen, because the task is tried again. What was recorded after the
-- first, when it cleaned up, is superseded (see remove_failures). The task is locked by the caller.
create function absurd.forget_cancels(p_queue_no integer, p_task_id uuid) returns void
language plpgsql
as $$
declare
  v_first bigint;
begin
  with gone as (
    delete from absurd.checkpoints c where c.queue_no = p_queue_no and c.task_id = p_task_id and c.kind = 'k' returning c.seq
  )
  select min(g.seq) into v_first from gone g;
  update absurd.checkpoints c
  set outcome = upper(c.outcome::text)::"char"
  where c.queue_no = p_queue_no and c.task_id = p_task_id and c.seq > v_first and (c.outcome in ('v', 'f', 't') or c.kind = 'c' and c.outcome = 'n');
end
$$;
