-- What parents and children hear of each other.
--
-- A child that ends puts its outcome into its parent's history and wakes it, in the statement that ends it. A parent that ends, or
-- is asked to end, passes that on to its children. Both happen under the locks of all rows concerned, but nobody ever waits for
-- the row of a relative: where another transaction has locked it, a timer of kind e on the *child*, stored in the same
-- transaction, looks again (settle_relatives), so that no word is lost. Waiting would make deadlocks of two families, or let one
-- open transaction that has emitted an event to a parent hold up every flush that ends one of its children.
--
-- Rows of another queue's tasks are touched only by functions that are called for that queue.

-- tell_relatives passes on that tasks of a queue have ended, or have been asked to end: outcomes to their parents, the end to their
-- children. The tasks are locked by the caller, or final. p_depth counts the generations that one call went down.
create function absurd.tell_relatives(p_queue_no integer, p_tasks uuid[], p_now timestamptz, p_depth integer default 0) returns void
language plpgsql
as $$
declare
  v_end     record;
  v_untold  uuid[];
  v_late    uuid[] := '{}';
begin
  for v_end in
    select t.parent_queue_no, array_agg(t.parent_id) as parents, array_agg(t.task_id) as children, array_agg(t.child_name) as names,
           array_agg(case t.state when 'c' then 'v' else 'f' end::"char") as outcomes,
           array_agg(case t.state when 'c' then t.result else jsonb_build_object(
             'task', t.task_id, 'state', absurd.state_word(t.state), 'name', t.failure -> 'name',
             'message', case when jsonb_typeof(t.failure -> 'message') = 'string' then t.failure -> 'message'
                        else to_jsonb(case t.state when 'x' then 'the task was cancelled' else 'the task failed without a message' end) end) end) as states
    from unnest(p_tasks) u(task_id)
    cross join lateral (
      select t.* from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id and t.parent_id is not null and t.state in ('c', 'f', 'x')
      offset 0
    ) t
    group by t.parent_queue_no
    order by t.parent_queue_no
  loop
    v_untold := absurd.tell_parents(v_end.parent_queue_no, v_end.parents, v_end.children, v_end.names, v_end.outcomes, v_end.states, p_now);
    v_late := v_late || v_untold;
  end loop;
  perform absurd.look_again(p_queue_no, v_late, p_now);

  for v_end in
    select q.queue_no, array_agg(o.child) as children, array_agg(o.forced) as forced, array_agg(o.due) as due
    from absurd.open_children(p_queue_no, p_tasks, p_now) o
    join absurd.queues q on q.queue_name = o.queue_name
    group by q.queue_no
    order by q.queue_no
  loop
    perform absurd.end_children(v_end.queue_no, v_end.children, v_end.forced, v_end.due, p_now, p_depth);
  end loop;
end
$$;

-- look_again has the relatives of tasks looked at again shortly.
create function absurd.look_again(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  if cardinality(p_tasks) > 0 then
    insert into absurd.timers (queue_no, kind, due_at, task_id)
    select distinct p_queue_no, 'e'::"char", p_now + interval '20 milliseconds', u.task_id from unnest(p_tasks) u(task_id)
    on conflict do nothing;
    perform absurd.notify_ready(p_queue_no);
  end if;
end
$$;

-- tell_parents puts the outcomes of ended children (parallel arrays) into the histories of their parents, tasks of this queue, and
-- wakes those that sleep. It answers the children whose parent's row another transaction has locked. A parent that has ended, or
-- holds no pending record of the very child, need not know.
create function absurd.tell_parents(p_queue_no integer, p_parents uuid[], p_children uuid[], p_names text[], p_outcomes "char"[],
  p_states jsonb[], p_now timestamptz) returns uuid[]
language plpgsql
as $$
declare
  v_open   uuid[];
  v_locked uuid[];
  v_told   uuid[];  -- parents, once for each child
  v_wake   uuid[];
begin
  select array_agg(t.task_id order by t.task_id), array_agg(l.task_id) into v_open, v_locked
  from (select distinct u.task_id from unnest(p_parents) u(task_id) order by 1) u
  cross join lateral (
    select t.task_id from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state in ('p', 'r', 's', 'b')
    offset 0
  ) t
  left join lateral (
    select t.task_id from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state in ('p', 'r', 's', 'b')
    for no key update skip locked
  ) l on true;

  -- The outcome of a record that a retry has superseded is superseded too.
  with answered as (
    update absurd.checkpoints c
    set seq = nextval('absurd.checkpoint_seq'), recorded_at = p_now, state = x.state,
        outcome = case c.outcome when 'N' then upper(x.outcome::text)::"char" else x.outcome end
    from (
      select c.row, u.outcome, u.state
      from unnest(p_parents, p_children, p_names, p_outcomes, p_states) u(parent, child, name, outcome, state)
      cross join lateral (
        select c.ctid as row from absurd.checkpoints c
        where c.queue_no = p_queue_no and c.task_id = u.parent and c.checkpoint_name = u.name and c.kind = 'c'
          and c.outcome in ('n', 'N') and c.state ->> 'task' = u.child::text
        offset 0
      ) c
      where u.parent = any (v_locked)
    ) x
    where c.ctid = x.row
    returning c.task_id
  )
  select array_agg(distinct a.task_id) into v_told from answered a;

  if v_told is not null then
    select array_agg(t.task_id) filter (where t.state = 's') into v_wake
    from unnest(v_told) u(task_id)
    cross join lateral (
      select t.task_id, t.state from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state = 's' and t.children = 'w'
      offset 0
    ) t;
    if v_wake is not null then
      perform absurd.make_pending(p_queue_no, v_wake, p_now);
      perform absurd.notify_ready(p_queue_no);
    end if;
    update absurd.tasks t
    set children = 'n'
    where t.ctid = any (array(
      select x.row
      from unnest(v_told) u(task_id)
      cross join lateral (
        select t.ctid as row from absurd.tasks t
        where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state = 'r' and t.children <> 'n'
        offset 0
      ) x));
  end if;

  return array(
    select u.child from unnest(p_parents, p_children) u(parent, child)
    where u.parent = any (v_open) and (u.parent = any (v_locked)) is not true);
end
$$;

-- open_children answers the open children that the end of tasks of this queue, or the request that they end, concerns: each with
-- its queue, whether it ends at once, and by when it has to end otherwise. It ends at once with a parent that was not given the
-- time to clean up.
create function absurd.open_children(p_queue_no integer, p_tasks uuid[], p_now timestamptz)
returns table (child uuid, queue_name text, forced boolean, due timestamptz)
language plpgsql
as $$
#variable_conflict use_column
begin
  return query
    select (c.state ->> 'task')::uuid, c.state ->> 'queue', v.forced, v.due
    from unnest(p_tasks) u(task_id)
    cross join lateral absurd.verdict(p_queue_no, u.task_id, p_now) v
    cross join lateral (
      select c.state from absurd.checkpoints c
      where c.queue_no = p_queue_no and c.task_id = u.task_id and c.kind = 'c' and c.outcome in ('n', 'N')
      offset 0
    ) c
    where v.due is not null;
end
$$;

-- verdict answers what a task means for its children: nothing (due is null), or that they end, at once (forced) or by due.
create function absurd.verdict(p_queue_no integer, p_task_id uuid, p_now timestamptz, out forced boolean, out due timestamptz)
language plpgsql stable
as $$
begin
  select t.state = 'x' and (t.cancel_requested_at is null or t.cancel_due_at <= t.ended_at),
         case when t.state in ('c', 'f', 'x') or t.cancel_requested_at is not null
           then coalesce(t.cancel_due_at, p_now + absurd.cleanup_time()) end
  into verdict.forced, verdict.due
  from absurd.tasks t
  where t.queue_no = p_queue_no and t.task_id = p_task_id and t.children is not null;
end
$$;

-- fate answers the same for one child, by its record: it may also be unwanted (see end_unwanted), or its parent may be gone or know nothing
-- of it any more. A child that somebody has tried again (p_revived) is not expected to be known.
create function absurd.fate(p_queue_no integer, p_parent uuid, p_name text, p_child uuid, p_revived boolean, p_now timestamptz,
  out forced boolean, out due timestamptz)
language plpgsql stable
as $$
begin
  select v.forced, v.due into fate.forced, fate.due from absurd.verdict(p_queue_no, p_parent, p_now) v;
  if due is null then
    if exists (
        select from absurd.checkpoints c
        where c.queue_no = p_queue_no and c.task_id = p_parent and c.checkpoint_name = p_name and c.kind = 'c' and c.outcome in ('n', 'N')
          and c.state ->> 'task' = p_child::text and c.state ? 'unwanted')
      or not p_revived and not exists (
        select from absurd.checkpoints c
        where c.queue_no = p_queue_no and c.task_id = p_parent and c.checkpoint_name = p_name and c.kind = 'c'
          and c.state ->> 'task' = p_child::text) then
      forced := false;
      due := p_now + absurd.cleanup_time();
    end if;
  end if;
end
$$;

-- end_children ends children (parallel arrays), or asks them to, unless they were spawned to outlive their parent. One whose row
-- another transaction has locked is left to a timer; so are those beyond a thousand, and descendants further down than 50
-- generations.
create function absurd.end_children(p_queue_no integer, p_tasks uuid[], p_forced boolean[], p_due timestamptz[], p_now timestamptz,
  p_depth integer) returns void
language plpgsql
as $$
declare
  v_left   uuid[] := p_tasks[1001:];
  v_child  record;
  v_task   absurd.tasks;
  v_locked uuid[] := '{}';
  v_told   uuid[] := '{}';
begin
  if p_depth >= 50 then
    perform absurd.look_again(p_queue_no, p_tasks, p_now);
    return;
  end if;
  for v_child in
    select t.task, u.forced, u.due
    from unnest(p_tasks[:1000], p_forced[:1000], p_due[:1000]) u(task_id, forced, due)
    cross join lateral (
      select t as task from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id
      for no key update skip locked
    ) t
    order by u.task_id
  loop
    v_task := v_child.task;
    v_locked := v_locked || v_task.task_id;
    if v_task.state not in ('c', 'f', 'x') and v_task.parent_policy is null
      and absurd.end_or_ask(v_task, v_child.forced, v_child.due, p_now) then
      v_told := v_told || v_task.task_id;
    end if;
  end loop;

  v_left := v_left || array(
    select u.task_id from unnest(p_tasks[:1000]) u(task_id)
    where u.task_id <> all (v_locked)
      and exists (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state not in ('c', 'f', 'x') offset 0));
  perform absurd.look_again(p_queue_no, v_left, p_now);
  if v_told <> '{}' then
    perform absurd.tell_relatives(p_queue_no, v_told, p_now, p_depth + 1);
  end if;
end
$$;

-- settle_relatives looks again at tasks of a queue that may not have heard of their relatives, or their relatives of them. The
-- tasks are locked by the caller.
create function absurd.settle_relatives(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_group record;
  v_told  uuid[];
begin
  for v_group in
    select t.parent_queue_no, array_agg(t.task_id) as children, array_agg(t.parent_id) as parents, array_agg(t.child_name) as names,
           array_agg(t.revived_at is not null) as revived
    from unnest(p_tasks) u(task_id)
    cross join lateral (
      select t.task_id, t.parent_id, t.parent_queue_no, t.child_name, t.revived_at from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id and t.parent_id is not null and t.parent_policy is null
        and t.state not in ('c', 'f', 'x')
      offset 0
    ) t
    group by t.parent_queue_no
    order by t.parent_queue_no
  loop
    perform absurd.end_children(p_queue_no, array_agg(u.child), array_agg(v.forced), array_agg(v.due), p_now, 0)
    from unnest(v_group.children, v_group.parents, v_group.names, v_group.revived) u(child, parent, name, revived)
    cross join lateral absurd.fate(v_group.parent_queue_no, u.parent, u.name, u.child, u.revived, p_now) v
    where v.due is not null
    having count(*) > 0;
  end loop;

  select array_agg(t.task_id) into v_told
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select t.task_id from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = u.task_id and (t.parent_id is not null or t.children is not null)
      and (t.state in ('c', 'f', 'x') or t.cancel_requested_at is not null)
    offset 0
  ) t;
  if v_told is not null then
    perform absurd.tell_relatives(p_queue_no, v_told, p_now);
  end if;
end
$$;

-- recall_children has a task that is tried again hear of those children that have ended since it ended itself, when there was nobody to
-- tell; of those that are gone it hears so. The task is locked by the caller, and pending.
create function absurd.recall_children(p_queue_no integer, p_task_id uuid, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_group   record;
  v_unknown uuid[];
begin
  for v_group in
    select q.queue_no, array_agg((c.state ->> 'task')::uuid order by c.checkpoint_name collate "C") as children
    from absurd.checkpoints c
    left join absurd.queues q on q.queue_name = c.state ->> 'queue'
    where c.queue_no = p_queue_no and c.task_id = p_task_id and c.kind = 'c' and c.outcome in ('n', 'N')
    group by q.queue_no
    order by q.queue_no
  loop
    v_unknown := case when v_group.queue_no is null then v_group.children else absurd.call_back(v_group.queue_no, v_group.children, p_now) end;
    update absurd.checkpoints c
    set seq = nextval('absurd.checkpoint_seq'), recorded_at = p_now, outcome = case c.outcome when 'N' then 'F' else 'f' end::"char",
        state = jsonb_build_object('task', c.state -> 'task', 'state', 'unknown', 'message', 'the task is gone')
    where c.queue_no = p_queue_no and c.task_id = p_task_id and c.kind = 'c' and c.outcome in ('n', 'N')
      and (c.state ->> 'task')::uuid = any (v_unknown);
  end loop;
end
$$;

-- call_back tells the parents of those of the given children, tasks of this queue, that have ended, has those that have not looked at again, in
-- case they end meanwhile, and answers those that do not exist.
create function absurd.call_back(p_queue_no integer, p_children uuid[], p_now timestamptz) returns uuid[]
language plpgsql
as $$
declare
  v_open    uuid[];
  v_ended   uuid[];
  v_unknown uuid[];
begin
  select array_agg(u.task_id) filter (where t.state not in ('c', 'f', 'x')), array_agg(u.task_id) filter (where t.state in ('c', 'f', 'x')),
         array_agg(u.task_id) filter (where t.state is null)
  into v_open, v_ended, v_unknown
  from unnest(p_children) u(task_id)
  left join lateral (select t.state from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id offset 0) t on true;
  perform absurd.look_again(p_queue_no, v_open, p_now);
  if v_ended is not null then
    perform absurd.tell_relatives(p_queue_no, v_ended, p_now);
  end if;
  return v_unknown;
end
$$;

-- leave_relatives cancels the open tasks of a queue that is dropped and have relatives on other queues, and tells these. It also passes on
-- what could not be told yet. It waits for the rows of these parents and of the tasks.
create function absurd.leave_relatives(p_queue_no integer, p_queue_name text, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_tasks  uuid[];
  v_untold uuid[];
  v_group  record;
  v_task   absurd.tasks;
begin
  select array_agg(t.task_id order by t.task_id) into v_tasks
  from absurd.tasks t
  where t.queue_no = p_queue_no and t.state not in ('c', 'f', 'x') and (t.parent_queue_no <> p_queue_no or t.children is not null);
  select array_agg(distinct m.task_id) into v_untold
  from absurd.timers m
  where m.queue_no = p_queue_no and m.kind = 'e' and m.task_id <> all (coalesce(v_tasks, '{}'));
  for v_group in
    select t.parent_queue_no, array_agg(t.parent_id) as parents
    from unnest(v_tasks || v_untold) u(task_id)
    join absurd.tasks t on t.queue_no = p_queue_no and t.task_id = u.task_id
    where t.parent_queue_no <> p_queue_no
    group by t.parent_queue_no
    order by t.parent_queue_no
  loop
    perform absurd.lock_tasks(v_group.parent_queue_no, v_group.parents);
  end loop;
  perform absurd.lock_tasks(p_queue_no, v_tasks);
  for v_task in
    select t.* from unnest(v_tasks) with ordinality u(task_id, ord)
    join absurd.tasks t on t.queue_no = p_queue_no and t.task_id = u.task_id
    order by u.ord
  loop
    -- The one before may have ended it, as its child.
    select t.* into v_task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = v_task.task_id;
    if v_task.state not in ('c', 'f', 'x') then
      perform absurd.end_task(v_task, 'x', null, jsonb_build_object('name', '$QueueDropped', 'message', format('queue "%s" was dropped', p_queue_name)), p_now);
    end if;
  end loop;
  if v_untold is not null then
    perform absurd.settle_relatives(p_queue_no, v_untold, p_now);
  end if;
end
$$;

-- lock_tasks locks tasks in the order of their ids, waiting where it must.
create function absurd.lock_tasks(p_queue_no integer, p_tasks uuid[]) returns void
language plpgsql
as $$
begin
  perform from (
    select l.task_id
    from (select distinct u.task_id from unnest(p_tasks) u(task_id) order by 1) u
    cross join lateral (
      select t.task_id from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id for no key update
    ) l
  ) l;
end
$$;

-- tell_gone tells open tasks of a queue that their children (parallel arrays) do not exist any more. It waits for the rows of the parents.
create function absurd.tell_gone(p_queue_no integer, p_parents uuid[], p_children uuid[], p_names text[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  perform absurd.lock_tasks(p_queue_no, p_parents);
  perform absurd.tell_parents(p_queue_no, p_parents, p_children, p_names, array_fill('f'::"char", array[cardinality(p_parents)]),
    array(select jsonb_build_object('task', u.child, 'state', 'unknown', 'message', 'the task is gone') from unnest(p_children) with ordinality u(child, ord) order by u.ord),
    p_now);
end
$$;
