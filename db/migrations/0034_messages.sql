-- Messages: typed entries in the inboxes of one task, many a name, in order.
--
-- A message waits in absurd.messages until a receive gets it; then it is a checkpoint of kind m. Both happen under the lock of
-- the task's row, and so does storing a receive's wait, so that neither can miss the other.
--
-- A message goes to a receive only when it is what wakes the task: at a send while the task sleeps and is not due, and at a
-- suspend when nothing else ends the sleep. So one message is given at each wake-up, and a branch that has lost a race cannot
-- have taken one with it. Who sends to a task that runs, or is about to, leaves the message to the next suspend.

-- give_messages gives each of the tasks the oldest message for which a receive is open, to the oldest open receive of that
-- inbox, and answers the tasks that got one. The tasks are locked by the caller.
create function absurd.give_messages(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns uuid[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_tasks    uuid[];
  v_steps    text[];
  v_messages tid[];
begin
  select array_agg(u.task_id), array_agg(g.step_name), array_agg(g.row) into v_tasks, v_steps, v_messages
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select w.step_name, m.row
    from absurd.waits w
    cross join lateral (
      select m.ctid as row, m.message_no
      from absurd.messages m
      where m.queue_no = p_queue_no and m.task_id = w.task_id and m.inbox_name = w.event_name
      order by m.message_no
      limit 1
    ) m
    where w.queue_no = p_queue_no and w.task_id = u.task_id and w.kind = 'm'
    order by m.message_no, w.created_at, w.place
    limit 1
  ) g;
  if v_tasks is null then
    return '{}';
  end if;

  insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, checkpoint_name, state)
  select p_now, u.task_id, p_queue_no, (select t.attempt from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id), 'm',
         u.step, (select m.payload from absurd.messages m where m.ctid = u.row)
  from unnest(v_tasks, v_steps, v_messages) u(task_id, step, row)
  on conflict (queue_no, task_id, checkpoint_name) do update
    set recorded_at = excluded.recorded_at, attempt = excluded.attempt, kind = excluded.kind, outcome = excluded.outcome, state = excluded.state
    where c.outcome = 'n';

  delete from absurd.messages m where m.ctid = any (v_messages);
  perform absurd.drop_met_waits(p_queue_no, v_tasks, v_steps, array_fill(true, array[cardinality(v_tasks)]));
  return v_tasks;
end
$$;

-- store_receives stores the waits of kind m of the picked units, and gives a message to each task that nothing else wakes. It
-- answers p_wakes, when each unit should wake, with -infinity for those that have an outcome. p_due is when their sleeps end: such
-- a unit wakes by itself, and so does one whose child has ended while it ran. A message that is there is received however short the
-- receive's timeout. For the rest see store_waits, which calls it.
create function absurd.store_receives(p_queue_no integer, p_picked boolean[], p_tasks uuid[], p_due timestamptz[], p_wakes timestamptz[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[], p_now timestamptz)
returns timestamptz[]
language plpgsql
as $$
declare
  v_wakes  timestamptz[] := p_wakes;
  v_asleep uuid[];
  v_given  uuid[];
  v_unit   integer;
begin
  for v_unit in
    with receives as (
      select u.unit, u.step, u.inbox_name, u.timeout_at, u.ord,
             exists (
               select from absurd.checkpoints c
               where c.queue_no = p_queue_no and c.task_id = p_tasks[u.unit] and c.checkpoint_name = u.step and c.outcome <> 'n'
               offset 0) as met
      from unnest(p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts) with ordinality u(unit, step, kind, inbox_name, timeout_at, ord)
      where p_picked[u.unit] and u.kind = 'm'
        and not exists (
          select from absurd.waits w
          where w.queue_no = p_queue_no and w.task_id = p_tasks[u.unit] and w.step_name = u.step and w.kind = 'm' and w.event_name = u.inbox_name
            and w.timeout_at is not distinct from u.timeout_at
          offset 0)
    ), stored as (
      insert into absurd.waits as w (queue_no, task_id, step_name, tenant, event_name, timeout_at, created_at, kind, place)
      select p_queue_no, p_tasks[r.unit], r.step,
             (select t.tenant from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_tasks[r.unit]),
             r.inbox_name, r.timeout_at, p_now, 'm', r.ord
      from receives r
      where not r.met
      on conflict (queue_no, task_id, step_name) do update
        set tenant = excluded.tenant, event_name = excluded.event_name, timeout_at = excluded.timeout_at, created_at = excluded.created_at, registered = true,
            kind = excluded.kind, place = excluded.place
    )
    select distinct r.unit from receives r where r.met
  loop
    v_wakes[v_unit] := '-infinity';
  end loop;

  select array_agg(distinct p_tasks[u.unit]) into v_asleep
  from unnest(p_wait_units, p_wait_kinds) u(unit, kind)
  where p_picked[u.unit] and u.kind = 'm' and p_due[u.unit] > p_now and v_wakes[u.unit] > '-infinity'
    and (select t.children from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_tasks[u.unit]) is distinct from 'n';
  if v_asleep is null then
    return v_wakes;
  end if;
  v_given := absurd.give_messages(p_queue_no, v_asleep, p_now);
  return (
    select array_agg(case when u.picked and u.task_id = any (v_given) then '-infinity' else u.wake end order by u.unit)
    from unnest(p_picked, p_tasks, v_wakes) with ordinality u(picked, task_id, wake, unit));
end
$$;

-- check_message refuses with AB006 a name or a key that cannot be one.
create function absurd.check_message(p_inbox text, p_key text) returns void
language plpgsql immutable
as $$
begin
  if p_inbox is null or p_inbox !~ '\S' or octet_length(p_inbox) > 1000 then
    raise exception 'inbox name "%" is not valid: it must have 1 to 1000 bytes that are not all blank', left(p_inbox, 100)
      using errcode = 'AB006';
  end if;
  if octet_length(p_key) > 1000 then
    raise exception 'a message key of % bytes is not valid: it must have at most 1000', octet_length(p_key) using errcode = 'AB006';
  end if;
end
$$;

-- store_messages stores messages (parallel arrays) for tasks, wakes those that sleep in a receive, and answers by position what
-- became of each; see send_messages. It locks the rows of the tasks in the order of their ids, waiting where it must.
create function absurd.store_messages(p_queue_no integer, p_tasks uuid[], p_inboxes text[], p_keys text[], p_payloads jsonb[], p_now timestamptz)
returns text[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_answers text[];
  v_asleep  uuid[];
  v_woken   uuid[];
begin
  perform absurd.check_message(u.inbox_name, u.message_key) from unnest(p_inboxes, p_keys) u(inbox_name, message_key);

  with held as (
    select l.task_id, l.state, l.available_at, l.has_waits
    from (select distinct u.task_id from unnest(p_tasks) u(task_id) order by 1) s
    cross join lateral (
      select t.task_id, t.state, t.available_at, t.has_waits
      from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = s.task_id
      for no key update
    ) l
  )
  select array_agg(case when h.task_id is null then 'unknown' when h.state in ('c', 'f', 'x') then 'ended' else 'sent' end order by u.ord),
         array_agg(distinct h.task_id) filter (where h.state = 's' and h.available_at > p_now and h.has_waits)
  into v_answers, v_asleep
  from unnest(p_tasks) with ordinality u(task_id, ord)
  left join held h on h.task_id = u.task_id;

  with fresh as (
    insert into absurd.message_keys (queue_no, task_id, inbox_name, message_key)
    select distinct p_queue_no, u.task_id, u.inbox_name, u.message_key
    from unnest(p_tasks, p_inboxes, p_keys, v_answers) u(task_id, inbox_name, message_key, answer)
    where u.answer = 'sent' and u.message_key <> ''
    on conflict do nothing
    returning task_id, inbox_name, message_key
  )
  select array_agg(case when u.answer = 'sent' and u.message_key <> '' and (f.task_id is null or u.nth > 1) then 'repeated' else u.answer end order by u.ord)
  into v_answers
  from (
    select u.*, row_number() over (partition by u.task_id, u.inbox_name, u.message_key order by u.ord) as nth
    from unnest(p_tasks, p_inboxes, p_keys, v_answers) with ordinality u(task_id, inbox_name, message_key, answer, ord)
  ) u
  left join fresh f on f.task_id = u.task_id and f.inbox_name = u.inbox_name and f.message_key = u.message_key;

  insert into absurd.messages (queue_no, task_id, inbox_name, sent_at, payload)
  select p_queue_no, u.task_id, u.inbox_name, p_now, coalesce(u.payload, 'null')
  from unnest(p_tasks, p_inboxes, p_payloads, v_answers) with ordinality u(task_id, inbox_name, payload, answer, ord)
  where u.answer = 'sent'
  order by u.ord;

  if v_asleep is not null then
    v_woken := absurd.give_messages(p_queue_no, v_asleep, p_now);
    if v_woken <> '{}' then
      perform absurd.make_pending(p_queue_no, v_woken, p_now);
      perform absurd.notify_ready(p_queue_no);
    end if;
  end if;
  return v_answers;
end
$$;

-- send_messages sends messages, one for each element of its parallel arrays, and answers by position what became of each:
--
--   sent      stored, in the order of the arrays, or received at once
--   repeated  this inbox of the task has got a message with this key before: dropped
--   ended     the task has ended: dropped
--   unknown   there is no such task
--
-- A null or empty key is none, a null payload JSON null. AB004 unknown queue, AB005 arrays of different lengths, AB006 bad name or key;
-- nothing is sent then. Locks the tasks' rows in the order of their ids, waiting where it must; the transaction holds them to its
-- end, which delays what the workers commit for these tasks, and nothing else.
create function absurd.send_messages(p_queue text, p_tasks uuid[], p_inboxes text[], p_keys text[], p_payloads jsonb[])
returns table (ord integer, answer text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  if (cardinality(p_tasks), cardinality(p_tasks), cardinality(p_tasks))
    is distinct from (cardinality(p_inboxes), cardinality(p_keys), cardinality(p_payloads)) then
    raise exception 'send_messages needs as many inboxes, keys and payloads as tasks' using errcode = 'AB005';
  end if;
  p_tasks := absurd.shown_tasks(v_queue_no, p_tasks);
  return query
    select u.ord::integer, u.answer
    from unnest(absurd.store_messages(v_queue_no, p_tasks, p_inboxes, p_keys, p_payloads, absurd.current_time())) with ordinality u(answer, ord);
end
$$;
