-- Events, and how a task that goes to sleep and an emit cannot miss each other.
--
-- A waiter holds a share lock on the event's row while it stores its wait. An emit writes that row, so it
-- either comes first, and the waiter sees the payload, or it waits until the wait is committed, and wakes it. A
-- row is needed to be locked: where there is none, the waiter adds a placeholder (a row without a payload). A
-- worker's flush must not wait for an emit whose transaction is open: it stores the wait as not registered,
-- with a timer of kind e that looks again.

-- place_events adds the placeholders that are missing. Where another open transaction adds the same row it
-- gives up after two milliseconds, and after three of those it leaves the rest.
create function absurd.place_events(p_queue_no integer, p_tenants text[], p_events text[]) returns void
language plpgsql
as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_blocked integer := 0;
  v_tenant  text;
  v_event   text;
begin
  begin
    perform set_config('lock_timeout', '2ms', true);
    insert into absurd.events (queue_no, tenant, event_name, emitted_at)
    select distinct p_queue_no, u.tenant, u.event_name, timestamptz 'epoch'
    from unnest(p_tenants, p_events) u(tenant, event_name)
    where not exists (
      select from absurd.events e where e.queue_no = p_queue_no and e.tenant = u.tenant and e.event_name = u.event_name
      offset 0)
    order by 2, 3
    on conflict do nothing;
    perform set_config('lock_timeout', v_timeout, true);
    return;
  exception when lock_not_available then  -- which also takes the setting back
  end;
  for v_tenant, v_event in
    select distinct u.tenant, u.event_name
    from unnest(p_tenants, p_events) u(tenant, event_name)
    where not exists (
      select from absurd.events e where e.queue_no = p_queue_no and e.tenant = u.tenant and e.event_name = u.event_name
      offset 0)
  loop
    exit when v_blocked = 3;
    begin
      perform set_config('lock_timeout', '2ms', true);
      insert into absurd.events (queue_no, tenant, event_name, emitted_at)
      values (p_queue_no, v_tenant, v_event, timestamptz 'epoch')
      on conflict do nothing;
      perform set_config('lock_timeout', v_timeout, true);
    exception when lock_not_available then
      v_blocked := v_blocked + 1;
    end;
  end loop;
end
$$;

-- meet_events settles waits (parallel arrays; the tasks are locked by the caller). met: the outcome is
-- recorded, either before or now, because the event has been emitted. registered: the event's row is locked
-- until this transaction ends, so the wait can be stored. Neither: it must be looked at again.
create function absurd.meet_events(p_queue_no integer, p_tasks uuid[], p_steps text[], p_tenants text[], p_events text[], p_now timestamptz,
  out met boolean[], out registered boolean[])
language plpgsql
as $$
begin
  perform
  from unnest(p_tenants, p_events) u(tenant, event_name)
  where not exists (
    select from absurd.events e where e.queue_no = p_queue_no and e.tenant = u.tenant and e.event_name = u.event_name
    offset 0);
  if found then
    perform absurd.place_events(p_queue_no, p_tenants, p_events);
  end if;

  select array_agg(l.locked is not null order by u.ord) into registered
  from unnest(p_tenants, p_events) with ordinality u(tenant, event_name, ord)
  left join lateral (
    select true as locked
    from absurd.events e
    where e.queue_no = p_queue_no and e.tenant = u.tenant and e.event_name = u.event_name and e.payload is null
    for share skip locked
  ) l on true;

  -- With a look at the rows as they are now: what could be locked stays as it is.
  insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, checkpoint_name, state)
  select p_now, u.task_id, p_queue_no, (select t.attempt from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id), 'e',
         u.step, e.payload
  from unnest(p_tasks, p_steps, p_tenants, p_events) u(task_id, step, tenant, event_name)
  cross join lateral (
    select e.payload from absurd.events e
    where e.queue_no = p_queue_no and e.tenant = u.tenant and e.event_name = u.event_name and e.payload is not null
    offset 0
  ) e
  on conflict (queue_no, task_id, checkpoint_name) do update
    set recorded_at = excluded.recorded_at, attempt = excluded.attempt, kind = excluded.kind, outcome = excluded.outcome, state = excluded.state
    where c.outcome = 'n';

  select array_agg(c.found is not null order by u.ord) into met
  from unnest(p_tasks, p_steps) with ordinality u(task_id, step, ord)
  left join lateral (
    select true as found
    from absurd.checkpoints c
    where c.queue_no = p_queue_no and c.task_id = u.task_id and c.checkpoint_name = u.step and c.outcome <> 'n'
    offset 0
  ) c on true;
end
$$;

-- drop_met_waits removes those waits (parallel arrays) that are met.
create function absurd.drop_met_waits(p_queue_no integer, p_tasks uuid[], p_steps text[], p_met boolean[]) returns void
language plpgsql
as $$
begin
  delete from absurd.waits w
  where w.ctid = any (array(
    select x.row
    from unnest(p_tasks, p_steps, p_met) u(task_id, step, met)
    cross join lateral (
      select w.ctid as row from absurd.waits w where w.queue_no = p_queue_no and w.task_id = u.task_id and w.step_name = u.step offset 0
    ) x
    where u.met));
end
$$;

-- store_waits stores what the picked units wait for, in place of what they waited for before, and answers for
-- each unit when it should wake: its p_due or its first timeout, or -infinity where an outcome is there
-- already. A wait whose time is up gets its timeout recorded at once. Units are indexes into p_tasks; the
-- picked tasks are locked by the caller, and running.
create function absurd.store_waits(p_queue_no integer, p_picked boolean[], p_tasks uuid[], p_had_waits boolean[], p_due timestamptz[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[], p_now timestamptz)
returns timestamptz[]
language plpgsql
as $$
declare
  v_due        timestamptz[] := p_due;
  v_dropped    uuid[];
  v_late       uuid[];
  v_units      integer[];
  v_steps      text[];
  v_tenants    text[];
  v_events     text[];
  v_timeouts   timestamptz[];
  v_tasks      uuid[];
  v_met        boolean[];
  v_registered boolean[];
  v_unit       integer;
  v_timeout    timestamptz;
begin
  select array_agg(u.task_id) into v_dropped
  from unnest(p_picked, p_had_waits, p_tasks) u(picked, had_waits, task_id)
  where u.picked and u.had_waits;
  if v_dropped is not null then
    delete from absurd.waits w
    where w.ctid = any (array(
      select x.row
      from unnest(v_dropped) d(task_id)
      cross join lateral (
        select w.ctid as row, w.step_name from absurd.waits w where w.queue_no = p_queue_no and w.task_id = d.task_id offset 0
      ) x
      where (d.task_id, x.step_name) not in (select p_tasks[u.unit], u.step from unnest(p_wait_units, p_wait_names) u(unit, step))));
  end if;

  for v_unit, v_timeout in
    select u.unit, min(u.timeout_at) from unnest(p_wait_units, p_wait_timeouts) u(unit, timeout_at) where p_picked[u.unit] group by u.unit
  loop
    v_due[v_unit] := least(v_due[v_unit], v_timeout);
  end loop;

  -- Waits that are stored and registered already need nothing, so that a task which wakes often does not pay
  -- for all it waits for.
  select array_agg(u.unit), array_agg(p_tasks[u.unit]), array_agg(u.step),
         array_agg((select t.tenant from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_tasks[u.unit])),
         array_agg(u.event_name), array_agg(u.timeout_at)
  into v_units, v_tasks, v_steps, v_tenants, v_events, v_timeouts
  from unnest(p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts) u(unit, step, kind, event_name, timeout_at)
  where p_picked[u.unit] and u.kind = 'e'
    and not exists (
      select from absurd.waits w
      where w.queue_no = p_queue_no and w.task_id = p_tasks[u.unit] and w.step_name = u.step and w.event_name = u.event_name
        and w.timeout_at is not distinct from u.timeout_at and w.registered
      offset 0);
  if v_units is not null then
    select m.met, m.registered into v_met, v_registered
    from absurd.meet_events(p_queue_no, v_tasks, v_steps, v_tenants, v_events, p_now) m;
  end if;

  insert into absurd.waits as w (queue_no, task_id, step_name, tenant, event_name, timeout_at, created_at, registered)
  select p_queue_no, u.task_id, u.step, u.tenant, u.event_name, u.timeout_at, p_now, u.registered
  from unnest(v_tasks, v_steps, v_tenants, v_events, v_timeouts, v_met, v_registered) u(task_id, step, tenant, event_name, timeout_at, met, registered)
  where not u.met
  on conflict (queue_no, task_id, step_name) do update
    set tenant = excluded.tenant, event_name = excluded.event_name, timeout_at = excluded.timeout_at, created_at = excluded.created_at,
        registered = excluded.registered, kind = excluded.kind;

  if v_dropped is not null then
    perform absurd.drop_met_waits(p_queue_no, v_tasks, v_steps, v_met);
  end if;

  for v_unit in select distinct u.unit from unnest(v_units, v_met) u(unit, met) where u.met loop
    v_due[v_unit] := '-infinity';
  end loop;

  insert into absurd.timers (queue_no, due_at, task_id, kind)
  select distinct p_queue_no, p_now + interval '250 milliseconds', u.task_id, 'e'::"char"
  from unnest(v_units, v_tasks, v_met, v_registered) u(unit, task_id, met, registered)
  where not u.met and not u.registered and v_due[u.unit] is distinct from '-infinity'
  on conflict do nothing;

  if p_wait_kinds && array['m'] then
    v_due := absurd.store_receives(p_queue_no, p_picked, p_tasks, p_due, v_due, p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts, p_now);
  end if;

  select array_agg(u.task_id) into v_late
  from unnest(p_picked, p_tasks, v_due) u(picked, task_id, due)
  where u.picked and u.due <= p_now;
  if v_late is not null then
    perform absurd.time_out_waits(p_queue_no, v_late, p_now);
  end if;
  return v_due;
end
$$;

-- recheck_waits looks again at the waits of sleeping tasks that could not be registered. It answers the tasks
-- that have an outcome now and should wake; for those whose event still cannot be locked it arms the next look.
-- The tasks are locked by the caller.
create function absurd.recheck_waits(p_queue_no integer, p_tasks uuid[], p_now timestamptz) returns uuid[]
language plpgsql
as $$
declare
  v_tasks      uuid[];
  v_steps      text[];
  v_tenants    text[];
  v_events     text[];
  v_met        boolean[];
  v_registered boolean[];
begin
  select array_agg(w.task_id), array_agg(w.step_name), array_agg(w.tenant), array_agg(w.event_name)
  into v_tasks, v_steps, v_tenants, v_events
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select w.task_id, w.step_name, w.tenant, w.event_name
    from absurd.waits w
    where w.queue_no = p_queue_no and w.task_id = u.task_id and not w.registered and w.kind <> 'm'
    offset 0
  ) w;
  if v_tasks is null then
    return '{}';
  end if;

  select m.met, m.registered into v_met, v_registered
  from absurd.meet_events(p_queue_no, v_tasks, v_steps, v_tenants, v_events, p_now) m;

  perform absurd.drop_met_waits(p_queue_no, v_tasks, v_steps, v_met);

  update absurd.waits w
  set registered = true
  where w.ctid = any (array(
    select x.row
    from unnest(v_tasks, v_steps, v_met, v_registered) u(task_id, step, met, registered)
    cross join lateral (
      select w.ctid as row from absurd.waits w where w.queue_no = p_queue_no and w.task_id = u.task_id and w.step_name = u.step offset 0
    ) x
    where not u.met and u.registered));

  insert into absurd.timers (queue_no, due_at, task_id, kind)
  select distinct p_queue_no, p_now + interval '250 milliseconds', u.task_id, 'e'::"char"
  from unnest(v_tasks, v_met, v_registered) u(task_id, met, registered)
  where not u.met and not u.registered
  on conflict do nothing;

  return array(select distinct u.task_id from unnest(v_tasks, v_met) u(task_id, met) where u.met);
end
$$;

-- emit_to_waiters stores the payloads of events that have none yet, records them for every task that waits, and
-- wakes those that sleep. It answers the names that were first. Locks, waiting where it must: event rows in
-- name order, then the waiting tasks in id order.
create function absurd.emit_to_waiters(p_queue_no integer, p_tenant text, p_names text[], p_payloads jsonb[], p_now timestamptz) returns text[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_first text[];
  v_tasks uuid[];
  v_wake  uuid[];
begin
  -- An older snapshot would not show the waits that were stored while this call waited for the event's row.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'events can be emitted only in transactions at isolation level read committed'
      using errcode = 'feature_not_supported';
  end if;

  with fresh as (
    insert into absurd.events as e (queue_no, tenant, event_name, emitted_at, payload)
    select p_queue_no, p_tenant, u.event_name, p_now, coalesce(u.payload, 'null')
    from (
      select distinct on (u.event_name) u.event_name, u.payload
      from unnest(p_names, p_payloads) with ordinality u(event_name, payload, ord)
      order by u.event_name, u.ord
    ) u
    where not exists (
      select from absurd.events e
      where e.queue_no = p_queue_no and e.tenant = p_tenant and e.event_name = u.event_name and e.payload is not null
      offset 0)
    order by u.event_name
    on conflict (queue_no, tenant, event_name) do update
      set payload = excluded.payload, emitted_at = excluded.emitted_at
      where e.payload is null
    returning e.event_name
  )
  select array_agg(f.event_name) into v_first from fresh f;
  if v_first is null then
    return '{}';
  end if;

  select array_agg(l.task_id) into v_tasks
  from (
    select distinct w.task_id
    from unnest(v_first) f(event_name)
    cross join lateral (
      select w.task_id from absurd.waits w
      where w.queue_no = p_queue_no and w.tenant = p_tenant and w.event_name = f.event_name and w.kind = 'e'
      offset 0
    ) w
    order by w.task_id
  ) s
  cross join lateral (
    select t.task_id from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = s.task_id for no key update
  ) l;
  if v_tasks is null then
    return v_first;
  end if;

  -- Runs suspended by await_event (wake_event is set) whose time is up find the payload by themselves when they
  -- are claimed.
  with met as (
    delete from absurd.waits w
    where w.ctid = any (array(
      select x.row
      from unnest(v_first) f(event_name)
      cross join lateral (
        select w.ctid as row, w.task_id from absurd.waits w
        where w.queue_no = p_queue_no and w.tenant = p_tenant and w.event_name = f.event_name and w.kind = 'e'
        offset 0
      ) x
      where (x.task_id in (select u.task_id from unnest(v_tasks) u(task_id))) is true))  -- hashed; the others are not locked
    returning w.task_id, w.step_name, w.event_name, w.timeout_at
  ), told as (
    select m.task_id, m.step_name, e.payload, t.row, t.attempt, t.state, t.wake_event
    from met m
    cross join lateral (
      select t.ctid as row, t.attempt, t.state, t.wake_event from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = m.task_id
      offset 0
    ) t
    cross join lateral (
      select e.payload from absurd.events e where e.queue_no = p_queue_no and e.tenant = p_tenant and e.event_name = m.event_name
      offset 0
    ) e
    where t.wake_event is null or m.timeout_at is null or m.timeout_at > p_now
  ), recorded as (
    insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, checkpoint_name, state)
    select p_now, o.task_id, p_queue_no, o.attempt, 'e', o.step_name, o.payload
    from told o
    on conflict (queue_no, task_id, checkpoint_name) do update
      set recorded_at = excluded.recorded_at, attempt = excluded.attempt, kind = excluded.kind, outcome = excluded.outcome, state = excluded.state
      where c.outcome = 'n'
  ), noted as (
    update absurd.tasks t
    set has_records   = true,
        wake_event    = null,
        event_payload = case when t.wake_event is not null and t.state = 's' then o.payload else t.event_payload end
    from told o
    where t.ctid = o.row
      and (t.wake_event is not null or t.state <> 's' and not t.has_records)
  )
  select array_agg(distinct o.task_id) into v_wake from told o where o.state = 's';

  if v_wake is not null then
    perform absurd.make_pending(p_queue_no, v_wake, p_now);
    perform absurd.notify_ready(p_queue_no);
  end if;
  return v_first;
end
$$;

-- emit_events emits events, one for each element of its parallel arrays, and answers by position whether this
-- call was the first to emit the name: the first payload stays. A null payload is JSON null. Every task that
-- waits gets the payload recorded; those that sleep become pending. A null p_tenant is the session's (see
-- session_tenant). AB004 unknown queue, AB006 blank or long name, 42501 a tenant that this session may not use. For
-- locks see emit_to_waiters: the transaction holds them to its end, and nobody waits for it but other emits of the
-- same names. With p_patience_ms no lock is waited for longer than that (55P03), from then on in this transaction.
create function absurd.emit_events(p_queue text, p_names text[], p_payloads jsonb[], p_tenant text default null, p_patience_ms integer default null)
returns table (ord integer, first boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenant   text := absurd.session_tenant(p_tenant);
  v_first    text[];
  v_name     text;
begin
  if cardinality(p_names) is distinct from cardinality(p_payloads) then
    raise exception 'emit_events needs as many payloads as names' using errcode = 'AB005';
  end if;
  foreach v_name in array p_names loop
    if v_name is null or v_name !~ '\S' or octet_length(v_name) > 1000 then
      raise exception 'event name "%" is not valid: it must have 1 to 1000 bytes that are not all blank', left(v_name, 100)
        using errcode = 'AB006';
    end if;
  end loop;
  if p_patience_ms > 0 then
    perform set_config('lock_timeout', p_patience_ms::text, true);
  end if;
  v_first := absurd.emit_to_waiters(v_queue_no, v_tenant, p_names, p_payloads, absurd.current_time());
  return query
    select u.ord::integer,
           row_number() over (partition by u.event_name order by u.ord) = 1
             and (u.event_name in (select f.event_name from unnest(v_first) f(event_name))) is true
    from unnest(p_names) with ordinality u(event_name, ord)
    order by u.ord;
end
$$;
