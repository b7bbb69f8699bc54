-- Lists of runs, checkpoints, waits and events. See 0050 for what all lists have in common.

-- list_runs lists the runs of a task, the first attempt first; or, without p_task, those of all tasks, the newest task first. AB004 for
-- an unknown queue, AB005 for a state or a cursor that does not exist.
create function absurd.list_runs(p_queue text, p_task uuid default null, p_states text[] default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000)
returns table (run_id uuid, task_id uuid, task_name text, attempt integer, state text, claimed_by text, claim_expires_at timestamptz,
  created_at timestamptz, available_at timestamptz, started_at timestamptz, completed_at timestamptz, failed_at timestamptz,
  failure_reason jsonb, cursor text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
  v_limit    integer := absurd.list_limit(p_limit, 100, 1000);
  v_examine  integer := absurd.list_limit(p_examine, 10000, 100000);
  v_after    jsonb := absurd.list_cursor('runs', p_after, '{uuid,integer}');
  v_task     uuid := (v_after ->> 1)::uuid;
  v_attempt  integer := coalesce((v_after ->> 2)::integer, 0);
  v_ids      uuid[];
  v_chunk    integer;
  v_found    integer;
begin
  perform absurd.task_source(p_states);  -- refuses what is no state
  loop
    v_chunk := least(v_examine, 200) + 1;  -- one of them may be the cursor's own
    v_ids := array[absurd.shown_task(v_queue_no, p_task)];
    if p_task is null then
      v_ids := array(
        select t.task_id from absurd.tasks t
        where t.queue_no = v_queue_no and t.task_id <= coalesce(v_task, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          and (v_tenants is null or t.tenant = any (v_tenants))
        order by t.task_id desc
        limit v_chunk);
    end if;
    return query
      select r.run_id, u.task_id, n.task_name, r.attempt, r.state, r.claimed_by, r.claim_expires_at, r.created_at, nullif(r.available_at, 'infinity'), r.started_at,
             r.completed_at, r.failed_at, r.failure_reason, jsonb_build_array('runs', u.task_id, r.attempt)::text
      from unnest(v_ids) with ordinality u(task_id, ord)
      cross join lateral (select t.name_no from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = u.task_id offset 0) t
      cross join lateral (select n.task_name from absurd.task_names n where n.name_no = t.name_no offset 0) n
      cross join lateral (select r.* from absurd.reader_runs r where r.queue_no = v_queue_no and r.task_id = u.task_id offset 0) r
      where (u.task_id is distinct from v_task or r.attempt > v_attempt)
        and (p_states is null or p_states = '{}' or r.state = any (p_states))
      order by u.ord, r.attempt
      limit v_limit;
    get diagnostics v_found = row_count;
    v_limit := v_limit - v_found;
    exit when v_limit <= 0 or cardinality(v_ids) < v_chunk;
    -- On from the last task that was looked at, whose runs have all been seen.
    v_task := v_ids[v_chunk];
    v_attempt := 2147483647;
    v_examine := v_examine - (v_chunk - 1);
    if v_examine <= 0 then
      cursor := jsonb_build_array('runs', v_task, v_attempt)::text;
      return next;
      exit;
    end if;
  end loop;
end
$$;

-- list_checkpoints lists the records of a task in the order in which they were committed, without and with those that have been
-- superseded. p_kinds: step, sleep, event, child, message, race, changed, cancel. AB004 for an unknown queue, AB005 for a kind or a cursor
-- that does not exist; no row for an unknown task.
create function absurd.list_checkpoints(p_queue text, p_task uuid, p_kinds text[] default null, p_limit integer default 100, p_after text default null)
returns table (checkpoint_name text, kind text, outcome text, superseded boolean, attempt integer, recorded_at timestamptz, state jsonb,
  seq bigint, cursor text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
  v_after    bigint := coalesce((absurd.list_cursor('checkpoints', p_after, '{bigint}') ->> 1)::bigint, -1);
  v_unknown  text := (select k from unnest(p_kinds) k where k is null or k <> all ('{step,sleep,event,child,message,race,changed,cancel}') limit 1);
begin
  if v_unknown is not null or array_position(p_kinds, null) is not null then
    raise exception 'checkpoint kind % does not exist: use step, sleep, event, child, message, race, changed or cancel', coalesce(quote_literal(v_unknown), 'null')
      using errcode = 'AB005';
  end if;
  return query
    select c.checkpoint_name, k.kind, o.outcome, c.outcome <> lower(c.outcome::text)::"char", c.attempt, c.recorded_at, c.state, c.seq,
           jsonb_build_array('checkpoints', c.seq)::text
    from absurd.checkpoints c
    cross join lateral (
      select case c.kind when 's' then 'step' when 'z' then 'sleep' when 'e' then 'event' when 'c' then 'child' when 'm' then 'message'
                         when 'r' then 'race' when 'p' then 'changed' when 'k' then 'cancel' else c.kind::text end as kind
    ) k
    cross join lateral (
      select case lower(c.outcome::text) when 'v' then 'value' when 'f' then 'failure' when 't' then 'timeout' when 'n' then 'pending'
                                         else c.outcome::text end as outcome
    ) o
    where c.queue_no = v_queue_no and c.task_id = v_task_id and c.seq > v_after and (p_kinds is null or p_kinds = '{}' or k.kind = any (p_kinds))
    order by c.seq
    limit absurd.list_limit(p_limit, 100, 1000);
end
$$;

-- list_waits lists open waits by task: all of a queue, of a task, or of what is waited for: p_kind event, child or message, p_event the
-- event's name, the child's id or the inbox's name. AB004 for an unknown queue, AB005 for a cursor that does not exist.
create function absurd.list_waits(p_queue text, p_kind text default null, p_event text default null, p_task uuid default null,
  p_tenant text default null, p_limit integer default 100, p_after text default null, p_examine integer default 10000)
returns table (task_id uuid, task_name text, step_name text, kind text, event_name text, tenant text, timeout_at timestamptz,
  created_at timestamptz, cursor text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_limit    integer := absurd.list_limit(p_limit, 100, 1000);
  v_examine  integer := absurd.list_limit(p_examine, 10000, 100000);
  v_tenants  text[] := absurd.session_tenants();
  v_after    jsonb := absurd.list_cursor('waits', p_after, '{uuid,text}');
  v_task     uuid := coalesce((v_after ->> 1)::uuid, p_task, absurd.lowest_id());
  v_step     text := coalesce(v_after ->> 2, '');
  v_last     uuid := coalesce(p_task, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_found    integer;
  v_wait     record;
begin
  return query
    select w.task_id, n.task_name, w.step_name, absurd.wait_word(w.kind), w.event_name, w.tenant, w.timeout_at, w.created_at,
           jsonb_build_array('waits', w.task_id, w.step_name)::text
    from (
      select w.*
      from absurd.waits w
      where w.queue_no = v_queue_no and w.task_id <= v_last and (w.task_id, w.step_name) > (v_task, v_step)
        and (v_tenants is null or w.tenant = any (v_tenants))
      order by w.task_id, w.step_name
      limit v_examine
    ) w
    cross join lateral (select t.name_no from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = w.task_id offset 0) t
    cross join lateral (select n.task_name from absurd.task_names n where n.name_no = t.name_no offset 0) n
    where (p_kind is null or absurd.wait_word(w.kind) = p_kind)
      and (p_event is null or w.event_name = p_event)
      and (p_tenant is null or w.tenant = p_tenant)
    order by w.task_id, w.step_name
    limit v_limit;
  get diagnostics v_found = row_count;
  if v_found < v_limit then
    select w.task_id, w.step_name into v_wait
    from absurd.waits w
    where w.queue_no = v_queue_no and w.task_id <= v_last and (w.task_id, w.step_name) > (v_task, v_step)
      and (v_tenants is null or w.tenant = any (v_tenants))
    order by w.task_id, w.step_name
    offset v_examine - 1 limit 1;
    if found then
      cursor := jsonb_build_array('waits', v_wait.task_id, v_wait.step_name)::text;
      return next;
    end if;
  end if;
end
$$;

-- wait_word is the long form of what a wait waits for.
create function absurd.wait_word(p_kind "char") returns text
language sql immutable strict parallel safe
as $$ select case p_kind when 'e' then 'event' when 'c' then 'child' when 'm' then 'message' end $$;

-- list_events lists what was emitted, the latest first. p_prefix: how the name begins; p_emitted_from included, p_emitted_to excluded.
-- AB004 for an unknown queue, AB005 for a cursor that does not exist.
create function absurd.list_events(p_queue text, p_prefix text default null, p_tenant text default null, p_emitted_from timestamptz default null,
  p_emitted_to timestamptz default null, p_limit integer default 100, p_after text default null, p_examine integer default 10000)
returns table (event_name text, tenant text, emitted_at timestamptz, payload jsonb, cursor text)
language plpgsql
set enable_seqscan = off set enable_sort = off set jit = off -- events of one moment may be sorted, but not all of them
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_limit    integer := absurd.list_limit(p_limit, 100, 1000);
  v_examine  integer := absurd.list_limit(p_examine, 10000, 100000);
  v_tenants  text[] := absurd.session_tenants();
  v_after    jsonb := absurd.list_cursor('events', p_after, '{timestamptz,text,text}');
  v_before   timestamptz := least((v_after ->> 1)::timestamptz, p_emitted_to, 'infinity');
  v_found    integer;
  v_event    record;
begin
  -- Placeholders have time epoch.
  return query
    select e.event_name, e.tenant, e.emitted_at, e.payload, jsonb_build_array('events', e.emitted_at, e.event_name, e.tenant)::text
    from (
      select e.*
      from absurd.events e
      where e.queue_no = v_queue_no and e.emitted_at <= v_before and e.emitted_at >= greatest(p_emitted_from, 'epoch') and e.emitted_at > 'epoch'
        and (v_tenants is null or e.tenant = any (v_tenants))
        and (v_after is null or (e.emitted_at, e.event_name, e.tenant) < ((v_after ->> 1)::timestamptz, v_after ->> 2, v_after ->> 3))
      order by e.emitted_at desc, e.event_name desc, e.tenant desc
      limit v_examine
    ) e
    where (p_emitted_to is null or e.emitted_at < p_emitted_to)
      and (p_prefix is null or starts_with(e.event_name, p_prefix))
      and (p_tenant is null or e.tenant = p_tenant)
    order by e.emitted_at desc, e.event_name desc, e.tenant desc
    limit v_limit;
  get diagnostics v_found = row_count;
  if v_found < v_limit then
    select e.emitted_at, e.event_name, e.tenant into v_event
    from absurd.events e
    where e.queue_no = v_queue_no and e.emitted_at <= v_before and e.emitted_at >= greatest(p_emitted_from, 'epoch') and e.emitted_at > 'epoch'
      and (v_tenants is null or e.tenant = any (v_tenants))
      and (v_after is null or (e.emitted_at, e.event_name, e.tenant) < ((v_after ->> 1)::timestamptz, v_after ->> 2, v_after ->> 3))
    order by e.emitted_at desc, e.event_name desc, e.tenant desc
    offset v_examine - 1 limit 1;
    if found then
      cursor := jsonb_build_array('events', v_event.emitted_at, v_event.event_name, v_event.tenant)::text;
      return next;
    end if;
  end if;
end
$$;
