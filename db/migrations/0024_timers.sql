-- Timers: moments at which something must happen to a task.

-- fire_timers moves due timers of one kind, oldest first, and answers how many had an effect, at most p_limit.
-- Each is locked together with its task, passing over what others have locked; such a timer stays. Kinds:
--
--   w  a sleeping or blocked task becomes pending; waits of it whose time is up get their timeout recorded
--   e  see recheck_waits and settle_relatives
--   d  the task is cancelled if its policy's deadline, or that of a cancel request, has come; else the timer is armed for the deadline that runs
--   l  a run whose claim_task lease has ended fails; if the lease was extended the timer is armed for its new end
create function absurd.fire_timers(p_queue_no integer, p_kind "char", p_limit integer, p_now timestamptz) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_fired integer;
begin
  if p_kind = 'w' then
    perform from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at <= p_now limit 1;
  else
    perform from absurd.timers m where m.queue_no = p_queue_no and m.kind <> 'w' and m.kind = p_kind and m.due_at <= p_now limit 1;
  end if;
  if not found then
    return 0;
  end if;
  v_fired := case p_kind
    when 'w' then absurd.fire_sleepers(p_queue_no, p_limit, p_now)
    when 'e' then absurd.fire_second_looks(p_queue_no, p_limit, p_now)
    else absurd.fire_deadlines(p_queue_no, p_kind, p_limit, p_now)
  end;
  if v_fired = 0 then
    perform absurd.drop_orphaned_timers(p_queue_no, p_kind, p_limit, p_now);
  end if;
  return v_fired;
end
$$;

-- fire_all_timers does fire_timers for every kind, and answers the sum.
create function absurd.fire_all_timers(p_queue_no integer, p_limit integer, p_now timestamptz) returns integer
language plpgsql
as $$
declare
  v_kind  "char";
  v_fired integer := 0;
begin
  for v_kind in
    select k.kind from unnest('{d,l,w,e}'::"char"[]) k(kind)
    where case k.kind
      when 'w' then exists (select from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at <= p_now offset 0)
      else exists (select from absurd.timers m where m.queue_no = p_queue_no and m.kind <> 'w' and m.kind = k.kind and m.due_at <= p_now offset 0) end
  loop
    v_fired := v_fired + absurd.fire_timers(p_queue_no, v_kind, p_limit, p_now);
  end loop;
  return v_fired;
end
$$;

-- fire_sleepers does fire_timers for kind w.
create function absurd.fire_sleepers(p_queue_no integer, p_limit integer, p_now timestamptz) returns integer
language plpgsql
as $$
declare
  v_timers tid[];
  v_tasks  uuid[];
begin
  select array_agg(l.timer), array_agg(l.task_id) filter (where l.state in ('s', 'b')) into v_timers, v_tasks
  from (
    select m.timer, m.task_id, t.state
    from (
      select m.ctid as timer, m.task_id
      from absurd.timers m
      where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at <= p_now
      order by m.due_at, m.task_id
      for update skip locked
    ) m
    cross join lateral (
      select t.state from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = m.task_id for no key update skip locked
    ) t
    limit p_limit
  ) l;
  delete from absurd.timers m where m.ctid = any (v_timers);
  if v_tasks is not null then
    perform absurd.time_out_waits(p_queue_no, v_tasks, p_now);
    perform absurd.make_pending(p_queue_no, v_tasks, p_now);
    perform absurd.notify_ready(p_queue_no);
  end if;
  return coalesce(cardinality(v_timers), 0);
end
$$;

-- fire_second_looks does fire_timers for kind e. A task that came back to sleep before it was looked at again has more than one such timer.
create function absurd.fire_second_looks(p_queue_no integer, p_limit integer, p_now timestamptz) returns integer
language plpgsql
as $$
declare
  v_timers  tid[];
  v_tasks   uuid[];
  v_related uuid[];
begin
  select array_agg(l.timer), array_agg(distinct l.task_id) filter (where l.state = 's'),
         array_agg(distinct l.task_id) filter (where l.parent_id is not null or l.children is not null)
  into v_timers, v_tasks, v_related
  from (
    select m.timer, m.task_id, t.state, t.parent_id, t.children
    from (
      select m.ctid as timer, m.task_id
      from absurd.timers m
      where m.queue_no = p_queue_no and m.kind = 'e' and m.due_at <= p_now
      order by m.due_at, m.task_id
      for update skip locked
    ) m
    cross join lateral (
      select t.state, t.parent_id, t.children
      from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = m.task_id
      for no key update skip locked
    ) t
    limit p_limit
  ) l;
  delete from absurd.timers m where m.ctid = any (v_timers);
  v_tasks := absurd.recheck_waits(p_queue_no, v_tasks, p_now);
  if v_tasks <> '{}' then
    perform absurd.make_pending(p_queue_no, v_tasks, p_now);
    perform absurd.notify_ready(p_queue_no);
  end if;
  if v_related is not null then
    perform absurd.settle_relatives(p_queue_no, v_related, p_now);
  end if;
  return coalesce(cardinality(v_timers), 0);
end
$$;

-- fire_deadlines does fire_timers for kinds d and l, task by task. Timers that turn out early or late are moved
-- or dropped beside the limit, a hundred a call. Options stored through spawn_task may be anything, so an error
-- is kept to its task, whose timer fires again in a minute.
create function absurd.fire_deadlines(p_queue_no integer, p_kind "char", p_limit integer, p_now timestamptz) returns integer
language plpgsql
as $$
declare
  v_timer record;
  v_fired integer := 0;
  v_next  timestamptz;
  v_done  uuid[] := '{}';
begin
  for v_timer in
    select m.timer, t.*
    from (
      select m.ctid as timer, m.task_id
      from absurd.timers m
      where m.queue_no = p_queue_no and m.kind <> 'w' and m.kind = p_kind and m.due_at <= p_now
      order by m.due_at, m.task_id
      for update skip locked
    ) m
    cross join lateral (
      select t.* from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = m.task_id for no key update skip locked
    ) t
    limit p_limit + 100
  loop
    exit when v_fired >= p_limit;
    delete from absurd.timers m where m.ctid = v_timer.timer;
    -- A task can have several timers of a kind, and the loop has read their rows ahead of what it does to the first.
    continue when v_timer.state in ('c', 'f', 'x') or v_timer.task_id = any (v_done);
    if p_kind = 'd' then
      v_next := least(v_timer.cancel_due_at,
        absurd.policy_deadline(v_timer.cancellation, v_timer.enqueue_at, v_timer.first_started_at, v_timer.revived_at, p_now));
    else
      v_next := case when v_timer.state = 'r' and v_timer.claimed_by is not null then v_timer.claim_expires_at end;
    end if;
    if v_next <= p_now then
      v_fired := v_fired + 1;
      v_done := v_done || v_timer.task_id;
      begin
        if p_kind = 'd' then
          perform absurd.cancel_open_task(p_queue_no, v_timer.task_id, p_now);
        else
          -- The time of the new run is read anew: it must not start within this very call, unless the clock
          -- stands still.
          perform absurd.fail_current_run(p_queue_no, v_timer.task_id, jsonb_strip_nulls(jsonb_build_object(
            'name', '$ClaimTimeout',
            'message', format('worker %s did not finish the run within its claim', v_timer.claimed_by),
            'workerId', v_timer.claimed_by,
            'claimExpiredAt', v_timer.claim_expires_at,
            'attempt', v_timer.attempt)), null, absurd.current_time());
        end if;
        v_next := null;
      exception when others then
        raise warning 'timer % of task % failed: %', p_kind, v_timer.task_id, sqlerrm;
        v_next := p_now + interval '1 minute';
      end;
    end if;
    insert into absurd.timers (queue_no, kind, due_at, task_id)
    select p_queue_no, p_kind, v_next, v_timer.task_id where isfinite(v_next)
    on conflict do nothing;
    if p_kind = 'l' and isfinite(v_next) then
      update absurd.tasks t set lease_due_at = v_next where t.queue_no = p_queue_no and t.task_id = v_timer.task_id;
    end if;
  end loop;
  return v_fired;
end
$$;

-- drop_orphaned_timers removes due timers of tasks that are gone.
create function absurd.drop_orphaned_timers(p_queue_no integer, p_kind "char", p_limit integer, p_now timestamptz) returns void
language plpgsql
as $$
begin
  if p_kind = 'w' then
    delete from absurd.timers m
    where m.ctid = any (array(
      select o.ctid
      from absurd.timers o
      where o.queue_no = p_queue_no and o.kind = 'w' and o.due_at <= p_now
        and not exists (select from absurd.tasks t where t.queue_no = o.queue_no and t.task_id = o.task_id offset 0)
      order by o.due_at
      limit p_limit
      for update skip locked));
  else
    delete from absurd.timers m
    where m.ctid = any (array(
      select o.ctid
      from absurd.timers o
      where o.queue_no = p_queue_no and o.kind <> 'w' and o.kind = p_kind and o.due_at <= p_now
        and not exists (select from absurd.tasks t where t.queue_no = o.queue_no and t.task_id = o.task_id offset 0)
      order by o.due_at
      limit p_limit
      for update skip locked));
  end if;
end
$$;

-- time_out_waits ends those waits of the given tasks whose time is up, but leaves those of await_event
-- (wake_event is set) to claim_task. Each is recorded with its own time, not with that of the look: a timeout and a sleep that race have
-- their order, however late both are looked at. The tasks are locked by the caller.
create function absurd.time_out_waits(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  with late as (
    delete from absurd.waits w
    where w.ctid = any (array(
      select x.row
      from unnest(p_tasks) u(task_id)
      cross join lateral (
        select w.ctid as row from absurd.waits w where w.queue_no = p_queue_no and w.task_id = u.task_id and w.timeout_at <= p_now offset 0
      ) x
      where (select t.wake_event from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id) is null))
    returning w.task_id, w.step_name, w.kind, w.timeout_at
  )
  insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, outcome, checkpoint_name)
  select l.timeout_at, l.task_id, p_queue_no, (select t.attempt from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = l.task_id),
         l.kind, 't', l.step_name
  from late l
  on conflict (queue_no, task_id, checkpoint_name) do update
    set recorded_at = excluded.recorded_at, attempt = excluded.attempt, kind = excluded.kind, outcome = excluded.outcome, state = excluded.state
    where c.outcome = 'n';
end
$$;

-- next_due answers when the earliest timer of a queue is due, null when there is none: a worker with nothing to
-- do need not claim before, unless it is notified.
create function absurd.next_due(p_queue text) returns timestamptz
language plpgsql stable
as $$
begin
  return (
    select absurd.next_timer(q.queue_no) from absurd.queues q where q.queue_name = p_queue);
end
$$;

-- next_timer does next_due by the queue's number.
create function absurd.next_timer(p_queue_no integer) returns timestamptz
language plpgsql stable
as $$
begin
  return least(
    (select m.due_at from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'w' and m.due_at < 'infinity' order by m.due_at limit 1),
    (select min(n.due_at)
     from unnest('{d,l,e}'::"char"[]) k(kind)
     cross join lateral (
       select m.due_at from absurd.timers m
       where m.queue_no = p_queue_no and m.kind <> 'w' and m.kind = k.kind and m.due_at < 'infinity'
       order by m.due_at
       limit 1
     ) n));
end
$$;
