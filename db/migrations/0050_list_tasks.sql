-- Lists for operators: pages of bounded cost, whatever the history.
--
-- Every list function takes p_limit, the most rows of a page (1 to 1,000); p_after, the cursor of the row to go on from (null: the
-- first page); and those that filter rows one by one take p_examine, how many they may look at for one page (1 to 100,000). Every
-- row carries its cursor. Where p_examine ends a page before it is full, a last row has nulls and the cursor to go on from, so an
-- empty page with a cursor is not the end, and a page without such a row and with fewer than p_limit rows is.

-- list_cursor reads a cursor: the source that made it, then the key of its row, whose members have the given types. Null for none;
-- AB005 for what is no cursor of this source.
create function absurd.list_cursor(p_source text, p_after text, p_types text[]) returns jsonb
language plpgsql stable
as $$
declare
  v_after jsonb;
begin
  v_after := p_after;
  if v_after ->> 0 is distinct from p_source or jsonb_array_length(v_after) <> cardinality(p_types) + 1 then
    raise data_exception;
  end if;
  for v_member in 1 .. cardinality(p_types) loop
    case p_types[v_member]
      when 'uuid' then perform (v_after ->> v_member)::uuid;
      when 'timestamptz' then perform (v_after ->> v_member)::timestamptz;
      when 'integer' then perform (v_after ->> v_member)::integer;
      when 'bigint' then perform (v_after ->> v_member)::bigint;
      else null;
    end case;
  end loop;
  return v_after;
exception when data_exception then
  if p_after is null then
    return null;
  end if;
  raise exception 'cursor % does not belong to this list: pass the cursor of one of its rows, with the same filters', quote_literal(left(p_after, 100))
    using errcode = 'AB005';
end
$$;

-- list_limit clamps a limit to 1..p_most; null is p_default.
create function absurd.list_limit(p_limit integer, p_default integer, p_most integer) returns integer
language sql immutable parallel safe
as $$ select least(greatest(coalesce(p_limit, p_default), 1), p_most) $$;

-- task_source names the narrowest place that has all tasks of the given states: the ended table, the ready table, timers and
-- waits, claims; where there is none, all tasks of the queue. AB005 for a state that does not exist.
create function absurd.task_source(p_states text[]) returns text
language plpgsql immutable
as $$
declare
  v_state text;
begin
  foreach v_state in array coalesce(p_states, '{}') loop
    if v_state is null or v_state <> all ('{pending,running,sleeping,blocked,completed,failed,cancelled}') then
      raise exception 'task state % does not exist: use pending, running, sleeping, blocked, completed, failed or cancelled', coalesce(quote_literal(v_state), 'null')
        using errcode = 'AB005';
    end if;
  end loop;
  return case
    when coalesce(cardinality(p_states), 0) = 0 then 'all'
    when p_states <@ '{failed}' then 'failed'
    when p_states <@ '{cancelled}' then 'cancelled'
    when p_states <@ '{pending}' then 'pending'
    when p_states <@ '{running}' then 'running'
    when p_states <@ '{sleeping,blocked}' then 'sleeping'
    else 'all' end;
end
$$;

-- next_tasks reads the next p_limit tasks of a source, with their cursors, in its order:
--
--   all                 by id, the newest first; p_newest and p_oldest bound the ids
--   failed, cancelled   by end, the latest first
--   pending             by task name, and then in the order in which they will be claimed
--   sleeping            by the time at which they will be woken, the next first; then those that only an event can wake, by id
--   running             by id, the newest first
--
-- What it answers may have changed its state since: the caller looks at the task. For a session that may not use all tenants it passes
-- over the others' tasks, however many these are, so that no cursor names one.
create function absurd.next_tasks(p_source text, p_queue_no integer, p_after jsonb, p_newest uuid, p_oldest uuid, p_limit integer)
returns table (task_id uuid, cursor jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_highest constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_state   "char" := case p_source when 'failed' then 'f' else 'x' end;
  v_left    integer := p_limit;
  v_tenants text[] := absurd.session_tenants();
begin
  if p_source = 'all' then
    return query
      select t.task_id, jsonb_build_array(p_source, t.task_id)
      from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id < coalesce((p_after ->> 1)::uuid, v_highest) and t.task_id <= p_newest and t.task_id >= p_oldest
        and (v_tenants is null or t.tenant = any (v_tenants))
      order by t.task_id desc
      limit p_limit;
  elsif p_source in ('failed', 'cancelled') then
    return query
      select e.task_id, jsonb_build_array(p_source, e.ended_at, e.task_id)
      from absurd.ended e
      where e.queue_no = p_queue_no and e.state = v_state
        and (e.ended_at, e.task_id) < (coalesce((p_after ->> 1)::timestamptz, 'infinity'), coalesce((p_after ->> 2)::uuid, v_highest))
        and (v_tenants is null or absurd.shown_task(p_queue_no, e.task_id) is not null)
      order by e.ended_at desc, e.task_id desc
      limit p_limit;
  elsif p_source = 'pending' then
    return query
      select r.task_id, jsonb_build_array(p_source, r.name_no, r.priority, r.available_at, r.task_id)
      from absurd.ready r
      where r.queue_no = p_queue_no
        and (p_after is null or (r.name_no, r.priority, r.available_at, r.task_id)
              > ((p_after ->> 1)::integer, (p_after ->> 2)::smallint, (p_after ->> 3)::timestamptz, (p_after ->> 4)::uuid))
        and (v_tenants is null or coalesce(r.tenant, '') = any (v_tenants))
      order by r.name_no, r.priority, r.available_at, r.task_id
      limit p_limit;
  elsif p_source = 'running' then
    return query
      select h.task_id, jsonb_build_array(p_source, h.task_id)
      from (
        select i.task_id from absurd.claims c cross join unnest(c.task_ids) i(task_id) where c.queue_no = p_queue_no
        union
        select m.task_id from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'l'
      ) h
      where h.task_id < coalesce((p_after ->> 1)::uuid, v_highest) and (v_tenants is null or absurd.shown_task(p_queue_no, h.task_id) is not null)
      order by h.task_id desc
      limit p_limit;
  else
    -- The cursor of a task without a timer has no time.
    if p_after is null or p_after ->> 1 is not null then
      return query
        select m.task_id, jsonb_build_array(p_source, m.due_at, m.task_id)
        from absurd.timers m
        where m.queue_no = p_queue_no and m.kind = 'w'
          and (m.due_at, m.task_id) > (coalesce((p_after ->> 1)::timestamptz, '-infinity'), coalesce((p_after ->> 2)::uuid, absurd.lowest_id()))
          and (v_tenants is null or absurd.shown_task(p_queue_no, m.task_id) is not null)
        order by m.due_at, m.task_id
        limit p_limit;
      get diagnostics v_left = row_count;
      v_left := p_limit - v_left;
    end if;
    return query
      select s.task_id, jsonb_build_array(p_source, null, s.task_id)
      from (
        select distinct w.task_id
        from absurd.waits w
        where w.queue_no = p_queue_no
          and w.task_id > case when p_after ->> 1 is null then coalesce((p_after ->> 2)::uuid, absurd.lowest_id()) else absurd.lowest_id() end
          and exists (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = w.task_id and t.available_at = 'infinity' offset 0)
          and (v_tenants is null or w.tenant = any (v_tenants))
        order by w.task_id
        limit v_left
      ) s;
  end if;
end
$$;

-- lowest_id is less than every id.
create function absurd.lowest_id() returns uuid
language sql immutable parallel safe
as $$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

-- list_tasks lists tasks of a queue. Null filters let everything pass: p_states (any of them; see next_tasks for the order that each
-- gives), p_task_name, p_tenant, p_tags and p_attributes (contained in the task's), p_error (part of the failure's text, in any
-- case), p_spawned_from and p_spawned_to (from included, to excluded). available_at
-- is null where nothing but a wait ends a sleep. AB004 for an unknown queue, AB005 for a state or a cursor that does not exist.
create function absurd.list_tasks(p_queue text, p_states text[] default null, p_task_name text default null, p_tenant text default null,
  p_tags jsonb default null, p_attributes jsonb default null, p_error text default null,
  p_spawned_from timestamptz default null, p_spawned_to timestamptz default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000)
returns table (task_id uuid, task_name text, state text, attempt integer, max_attempts integer, lost_leases integer, priority integer,
  tenant text, parent_id uuid, root_id uuid, version text, idempotency_key text, tags jsonb, attributes jsonb, failure jsonb, holder text,
  enqueue_at timestamptz, first_started_at timestamptz, started_at timestamptz, available_at timestamptz, ended_at timestamptz, cursor text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_source   text := absurd.task_source(p_states);
  v_limit    integer := absurd.list_limit(p_limit, 100, 1000);
  v_examine  integer := absurd.list_limit(p_examine, 10000, 100000);
  v_after    jsonb := absurd.list_cursor(v_source, p_after, case v_source
                  when 'all' then '{uuid}' when 'running' then '{uuid}' when 'pending' then '{integer,integer,timestamptz,uuid}'
                  else '{timestamptz,uuid}'::text[] end);
  v_newest   uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_oldest   uuid := absurd.lowest_id();
  v_error    text := '%' || replace(replace(replace(p_error, '\', '\\'), '%', '\%'), '_', '\_') || '%';
  v_ids      uuid[];
  v_cursors  jsonb[];
  v_chunk    integer;
  v_found    integer;
  v_tenants  text[] := absurd.session_tenants();
begin
  -- Ids carry the time of the spawn, but for that of a fake clock. A second more, because another machine's clock may have made them.
  if coalesce(current_setting('absurd.fake_now', true), '') = '' then
    if p_spawned_to is not null then
      v_newest := absurd.uuidv7_floor(greatest(p_spawned_to, 'epoch') + interval '1 second');
    end if;
    if p_spawned_from is not null then
      v_oldest := absurd.uuidv7_floor(greatest(p_spawned_from - interval '1 second', 'epoch'));
    end if;
  end if;
  loop
    v_chunk := least(v_examine, greatest(v_limit, 200));
    select array_agg(n.task_id), array_agg(n.cursor) into v_ids, v_cursors
    from absurd.next_tasks(v_source, v_queue_no, v_after, v_newest, v_oldest, v_chunk) n;
    return query
      select t.task_id, n.task_name, absurd.state_word(t.state), t.attempt, t.max_attempts, t.lost_leases::integer, t.priority::integer, t.tenant,
             t.parent_id, coalesce(t.root_id, t.task_id), t.version, t.idempotency_key, t.tags, t.attributes, t.failure,
             case when t.state = 'r' then coalesce(t.claimed_by,
               (select coalesce(w.worker_name, 'worker ' || t.worker_id) from absurd.workers w where w.worker_id = t.worker_id)) end,
             t.enqueue_at, t.first_started_at, t.started_at, nullif(t.available_at, 'infinity'), t.ended_at, u.cursor::text
      from unnest(v_ids, v_cursors) with ordinality u(task_id, cursor, ord)
      cross join lateral (select t.* from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = u.task_id offset 0) t
      cross join lateral (select n.task_name from absurd.task_names n where n.name_no = t.name_no offset 0) n
      where (p_states is null or p_states = '{}' or absurd.state_word(t.state) = any (p_states))
        and (p_task_name is null or n.task_name = p_task_name)
        and (p_tenant is null or t.tenant = p_tenant)
        and (v_tenants is null or t.tenant = any (v_tenants))
        and (p_tags is null or t.tags @> p_tags)
        and (p_attributes is null or t.attributes @> p_attributes)
        and (v_error is null or t.failure::text ilike v_error)
        and (p_spawned_from is null or t.enqueue_at >= p_spawned_from)
        and (p_spawned_to is null or t.enqueue_at < p_spawned_to)
      order by u.ord
      limit v_limit;
    get diagnostics v_found = row_count;
    v_limit := v_limit - v_found;
    exit when v_limit <= 0 or coalesce(cardinality(v_ids), 0) < v_chunk;
    v_after := v_cursors[v_chunk];
    v_examine := v_examine - v_chunk;
    if v_examine <= 0 then
      cursor := v_after::text;
      return next;
      exit;
    end if;
  end loop;
end
$$;
