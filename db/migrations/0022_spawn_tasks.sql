-- spawn_tasks and what its options may say.

-- spawn_plain makes one task without options. It is a path of its own because most spawns are just this, and statements over
-- arrays, whose plans are made anew at each call, cost several times as much for one row.
create function absurd.spawn_plain(p_queue_no integer, p_name text, p_params jsonb, p_version text, p_shape text, p_now timestamptz) returns uuid
language plpgsql
as $$
declare
  v_task_id uuid := absurd.uuidv7_at(p_now);
  v_name_no integer;
begin
  select n.name_no into v_name_no from absurd.task_names n where n.queue_no = p_queue_no and n.task_name = p_name;
  if v_name_no is null then
    perform absurd.add_task_names(p_queue_no, array[p_name]);
    select n.name_no into v_name_no from absurd.task_names n where n.queue_no = p_queue_no and n.task_name = p_name;
  end if;
  insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, max_attempts, version, shape_hash, params)
  values (v_task_id, p_now, p_now, p_queue_no, v_name_no, 5, nullif(p_version, ''), nullif(p_shape, ''), p_params);
  insert into absurd.ready (queue_no, name_no, priority, available_at, task_id)
  values (p_queue_no, v_name_no, 0, p_now, v_task_id);
  perform absurd.notify_ready(p_queue_no);
  return v_task_id;
end
$$;

-- option_problem answers what is wrong with one options document of spawn_tasks; null when nothing is.
create function absurd.option_problem(p_options jsonb) returns text
language plpgsql stable
as $$
declare
  v_key   text;
  v_value jsonb;
  v_text  text;
  v_bad   text;
begin
  if jsonb_typeof(p_options) <> 'object' then
    return 'options must be a JSON object';
  end if;
  for v_key, v_value in select * from jsonb_each(p_options) loop
    v_text := v_value #>> '{}';
    if jsonb_typeof(v_value) = 'null' then
      continue;
    end if;
    v_bad := case v_key
      when 'headers' then null
      when 'max_attempts' then absurd.number_problem(v_value, 1, 1000000, true)
      when 'priority' then absurd.number_problem(v_value, -100, 100, true)
      when 'delay_ms' then absurd.number_problem(v_value, 0, 1e15, false)
      when 'fingerprint' then absurd.number_problem(v_value, -9223372036854775808, 9223372036854775807, true)
      when 'idempotency_key' then absurd.text_problem(v_value, 1, 1000)
      when 'workflow_run' then case when not absurd.is_uuid(v_value) then 'must be the id of a workflow run' end
      when 'created_by' then absurd.text_problem(v_value, 1, 200)
      when 'tenant' then coalesce(absurd.text_problem(v_value, 0, 200), case when v_text = '*' then 'must not be "*", which means all tenants' end)
      when 'start_at' then absurd.time_problem(v_value)
      when 'retry_strategy' then absurd.retry_problem(v_value)
      when 'cancellation' then absurd.cancellation_problem(v_value)
      when 'tags' then absurd.tags_problem(v_value)
      when 'unique_key' then absurd.text_problem(v_value, 1, 1000)
      when 'unique' then case when v_value not in ('"join"', '"refuse"') then 'must be join or refuse' end
      when 'messages' then absurd.messages_problem(v_value)
      else 'is unknown'
    end;
    if v_bad is not null then
      return format('option %s %s', v_key, v_bad);
    end if;
  end loop;
  if p_options ? 'start_at' and p_options ? 'delay_ms' then
    return 'options start_at and delay_ms exclude each other';
  end if;
  return null;
end
$$;

create function absurd.number_problem(p_value jsonb, p_least numeric, p_most numeric, p_whole boolean) returns text
language plpgsql immutable
as $$
declare
  v_text text := format('must be a %snumber from %s to %s', case when p_whole then 'whole ' end, p_least, p_most);
begin
  if jsonb_typeof(p_value) <> 'number' or (p_value #>> '{}')::numeric not between p_least and p_most then
    return v_text;
  end if;
  if p_whole and (p_value #>> '{}')::numeric % 1 <> 0 then
    return v_text;
  end if;
  return null;
end
$$;

create function absurd.is_uuid(p_value jsonb) returns boolean
language sql immutable
as $$ select jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~ '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$' $$;

create function absurd.text_problem(p_value jsonb, p_least integer, p_most integer) returns text
language sql immutable
as $$
  select case when jsonb_typeof(p_value) <> 'string' or octet_length(p_value #>> '{}') not between p_least and p_most
    then format('must be a text of %s to %s bytes', p_least, p_most) end
$$;

create function absurd.time_problem(p_value jsonb) returns text
language plpgsql stable
as $$
begin
  if jsonb_typeof(p_value) = 'string' and isfinite((p_value #>> '{}')::timestamptz) then
    return null;
  end if;
  return 'must be a finite moment such as "2030-01-31T15:04:05Z"';
exception when data_exception then
  return 'must be a finite moment such as "2030-01-31T15:04:05Z"';
end
$$;

create function absurd.retry_problem(p_value jsonb) returns text
language plpgsql immutable
as $$
declare
  v_key  text;
  v_item jsonb;
  v_bad  text;
begin
  if jsonb_typeof(p_value) <> 'object' then
    return 'must be a JSON object';
  end if;
  if not p_value ? 'kind' then
    return 'needs a kind: none, fixed or exponential';
  end if;
  for v_key, v_item in select * from jsonb_each(p_value) loop
    v_bad := case v_key
      when 'kind' then case when v_item in ('"none"', '"fixed"', '"exponential"') then null else 'must be none, fixed or exponential' end
      when 'base_seconds' then absurd.number_problem(v_item, 0, 315360000, false)
      when 'factor' then absurd.number_problem(v_item, 1, 1000, false)
      when 'max_seconds' then absurd.number_problem(v_item, 0, 315360000, false)
      else 'is unknown'
    end;
    if v_bad is not null then
      return format('has a member %s that %s', v_key, v_bad);
    end if;
  end loop;
  return null;
end
$$;

create function absurd.cancellation_problem(p_value jsonb) returns text
language plpgsql immutable
as $$
declare
  v_key  text;
  v_item jsonb;
  v_bad  text;
begin
  if jsonb_typeof(p_value) <> 'object' then
    return 'must be a JSON object';
  end if;
  for v_key, v_item in select * from jsonb_each(p_value) loop
    v_bad := case
      when v_key not in ('max_delay', 'max_duration') then 'is unknown'
      when v_item = 'null' then null
      else absurd.number_problem(v_item, 0.001, 315360000, false)
    end;
    if v_bad is not null then
      return format('has a member %s that %s', v_key, v_bad);
    end if;
  end loop;
  return null;
end
$$;

-- check_options refuses with AB005 when an options document is not valid, and says which. Documents that differ
-- only in members that belong to one task are checked once.
create function absurd.check_options(p_names text[], p_options jsonb[]) returns void
language plpgsql
as $$
declare
  v_row  bigint;
  v_text text;
begin
  perform
  from (
    select distinct case when jsonb_typeof(u.options) = 'object' then u.options - '{idempotency_key,fingerprint,headers}'::text[] else u.options end as shape
    from unnest(p_options) u(options)
    where u.options is not null
  ) s
  where absurd.option_problem(s.shape) is not null;
  if not found then
    perform
    from unnest(p_options) u(options)
    where u.options is not null and jsonb_typeof(u.options) = 'object'
      and (jsonb_typeof(u.options -> 'idempotency_key') not in ('string', 'null')
        or octet_length(u.options ->> 'idempotency_key') not between 1 and 1000
        or jsonb_typeof(u.options -> 'fingerprint') not in ('number', 'null')
        or case jsonb_typeof(u.options -> 'fingerprint') when 'number' then
             (u.options ->> 'fingerprint')::numeric not between -9223372036854775808 and 9223372036854775807
             or (u.options ->> 'fingerprint')::numeric % 1 <> 0 end);
    if not found then
      return;
    end if;
  end if;
  for v_row, v_text in
    select u.ord, format('task "%s" (row %s): ', p_names[u.ord], u.ord) || absurd.option_problem(u.options)
    from unnest(p_options) with ordinality u(options, ord)
    where u.options is not null
    order by u.ord
  loop
    if v_text is not null then
      raise exception '%', v_text using errcode = 'AB005';
    end if;
  end loop;
end
$$;

-- reserve_keys claims the idempotency keys of new tasks, scoped by task name. It answers, for each row, the id
-- of the task that owns the row's key: the given id where the key was free or the row has none. AB007 when the
-- owner was made from another input (both fingerprints known and different). Waits for a transaction that has
-- just now reserved one of the keys.
create function absurd.reserve_keys(p_queue_no integer, p_names text[], p_options jsonb[], p_ids uuid[]) returns uuid[]
language plpgsql
as $$
declare
  v_owners uuid[];
  v_clash  bigint;
begin
  loop
    insert into absurd.idempotency_keys (queue_no, tenant, scope, idempotency_key, task_id, fingerprint)
    select distinct on (2, 3, 4)
      p_queue_no, coalesce(u.options ->> 'tenant', ''), u.task_name, u.options ->> 'idempotency_key', u.task_id,
      coalesce((u.options ->> 'fingerprint')::bigint, 0)
    from unnest(p_names, p_options, p_ids) with ordinality u(task_name, options, task_id, ord)
    where u.options ->> 'idempotency_key' is not null
    order by 2, 3, 4, u.ord
    on conflict do nothing;

    select array_agg(case when u.options ->> 'idempotency_key' is null then u.task_id else k.task_id end order by u.ord),
           min(u.ord) filter (where k.fingerprint <> 0 and (u.options ->> 'fingerprint')::bigint not in (0, k.fingerprint))
    into v_owners, v_clash
    from unnest(p_names, p_options, p_ids) with ordinality u(task_name, options, task_id, ord)
    left join lateral (
      select k.task_id, k.fingerprint
      from absurd.idempotency_keys k
      where k.queue_no = p_queue_no and k.tenant = coalesce(u.options ->> 'tenant', '') and k.scope = u.task_name
        and k.idempotency_key = u.options ->> 'idempotency_key'
      offset 0
    ) k on true;

    if v_clash is not null then
      raise exception 'task "%" (row %): idempotency key "%" was used with another input: use the same input or another key',
        p_names[v_clash], v_clash, p_options[v_clash] ->> 'idempotency_key' using errcode = 'AB007';
    end if;
    -- Null: cleanup removed the owner between the two statements, so the key is free again.
    exit when array_position(v_owners, null) is null;
  end loop;
  return v_owners;
end
$$;

-- tenant_options answers the options of p_count tasks, each with the tenant that a session makes tasks of which may not use all tenants.
create function absurd.tenant_options(p_options jsonb[], p_count integer) returns jsonb[]
language plpgsql stable
as $$
declare
  v_options jsonb[];
  v_tenant  text;
begin
  for v_row in 1 .. p_count loop
    v_options[v_row] := coalesce(p_options[v_row], '{}');
    if jsonb_typeof(v_options[v_row]) = 'object' and coalesce(jsonb_typeof(v_options[v_row] -> 'tenant'), 'null') in ('null', 'string') then
      v_tenant := absurd.session_tenant(v_options[v_row] ->> 'tenant');
      v_options[v_row] := case v_tenant when '' then p_options[v_row] - 'tenant' else v_options[v_row] || jsonb_build_object('tenant', v_tenant) end;
    end if;
  end loop;
  return v_options;
end
$$;

-- spawn_tasks makes one task for each element of its parallel arrays and answers, by position, its id, its
-- attempt, and whether it was made now or found under its idempotency key. A null input is stored as JSON null.
-- A null options document means none, a null p_options none for any task; members:
--
--   max_attempts     1 to 1000000, default 5
--   priority         -100 (first) to 100, default 0
--   start_at         moment of the first run, or delay_ms from now; at most ten years ahead
--   retry_strategy   {kind: none|fixed|exponential, base_seconds, factor, max_seconds}
--   cancellation     {max_delay, max_duration} in seconds
--   idempotency_key  1 to 1000 bytes, unique by queue, tenant and task name
--   fingerprint      whole number that stands for the input; 0 or absent: unknown
--   headers          any JSON
--   tags             an object of at most 64 texts
--   unique_key       1 to 1000 bytes: while a task of this name with the key is open, that one is answered, or, with unique:
--                    "refuse" in place of "join", the call is refused with AB009
--   messages         [{inbox, key, payload}], sent to the task that was made or found; AB010 when that has ended
--   created_by       who starts it, up to 200 bytes
--   workflow_run     id of a workflow run of the queue that was made by hand and has not ended: the task becomes one of its tasks
--   tenant           label of up to 200 bytes, but not "*"; default: the session's (see session_tenant)
--
-- p_versions and p_shapes say which code spawns each task, for whoever looks at it: up to 100 bytes each; null or '' is
-- unknown. They are no options, so that a task with nothing else to say of it stays plain.
--
-- AB004 unknown queue, AB005 bad option, AB006 bad task name, AB007 key used with another input, 42501 a tenant that
-- this session may not use; nothing is made then. It takes no locks but those of new rows; see reserve_keys for when it waits.
create function absurd.spawn_tasks(p_queue text, p_names text[], p_params jsonb[], p_options jsonb[],
  p_versions text[] default null, p_shapes text[] default null)
returns table (ord integer, task_id uuid, attempt integer, created boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_queue_no integer := absurd.queue_number(p_queue);
  v_count    integer := coalesce(cardinality(p_names), 0);
  v_options  jsonb[];               -- p_options; null when no task has any
  v_name_nos integer[];
  v_ids      uuid[];
  v_owners   uuid[];                -- of the idempotency keys; null when no task has one
  v_starts   timestamptz[];         -- null when no task has options
begin
  if v_count <> coalesce(cardinality(p_params), 0) or v_count <> coalesce(cardinality(p_options), v_count)
    or v_count <> coalesce(cardinality(p_versions), v_count) or v_count <> coalesce(cardinality(p_shapes), v_count) then
    raise exception 'spawn_tasks needs as many params, options, versions and shapes as names' using errcode = 'AB005';
  end if;
  if p_versions is not null or p_shapes is not null then
    perform from unnest(p_versions || p_shapes) u(text) where octet_length(u.text) > 100;
    if found then
      raise exception 'a version or shape hash of more than 100 bytes was given to spawn_tasks' using errcode = 'AB005';
    end if;
  end if;
  if v_count = 0 then
    return;
  end if;
  if absurd.session_tenants() is not null then
    p_options := absurd.tenant_options(p_options, v_count);
  end if;
  if v_count = 1 and p_options[1] is null then
    return query select 1, absurd.spawn_plain(v_queue_no, p_names[1], coalesce(p_params[1], 'null'), p_versions[1], p_shapes[1], v_now), 1, true;
    return;
  end if;

  select array_agg(n.name_no order by u.ord) into v_name_nos
  from unnest(p_names) with ordinality u(task_name, ord)
  join absurd.task_names n on n.queue_no = v_queue_no and n.task_name = u.task_name;
  if cardinality(v_name_nos) is distinct from v_count then
    perform absurd.add_task_names(v_queue_no, p_names);
    select array_agg(n.name_no order by u.ord) into v_name_nos
    from unnest(p_names) with ordinality u(task_name, ord)
    join absurd.task_names n on n.queue_no = v_queue_no and n.task_name = u.task_name;
  end if;

  -- A microsecond apart, so that ids sort as the rows were given.
  select array_agg(absurd.uuidv7_at(v_now + g.n * interval '1 microsecond') order by g.n) into v_ids
  from generate_series(0, v_count - 1) g(n);

  perform from unnest(p_options) u(options) where u.options is not null;
  if found then
    v_options := p_options;
    perform absurd.check_options(p_names, p_options);
    perform from unnest(p_options) u(options) where u.options ->> 'idempotency_key' is not null;
    if found then
      v_owners := absurd.reserve_keys(v_queue_no, p_names, p_options, v_ids);
    end if;
    perform from unnest(p_options) u(options) where u.options ->> 'unique_key' is not null;
    if found then
      v_owners := absurd.reserve_unique_keys(v_queue_no, p_names, p_options, v_ids, coalesce(v_owners, v_ids));
    end if;
    select array_agg(greatest(v_now, least(v_now + interval '10 years',
             case when u.options ->> 'start_at' is not null then (u.options ->> 'start_at')::timestamptz
                  when u.options ->> 'delay_ms' is not null
                    then v_now + make_interval(secs => least((u.options ->> 'delay_ms')::numeric / 1000, 400000000)::double precision)
                  else v_now end)) order by u.ord)
    into v_starts
    from unnest(p_options) with ordinality u(options, ord);
  end if;

  if v_options is null then
    insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, max_attempts, version, shape_hash, params)
    select u.task_id, v_now, v_now, v_queue_no, u.name_no, 5, nullif(u.version, ''), nullif(u.shape, ''), coalesce(u.params, 'null')
    from unnest(v_ids, v_name_nos, p_params, p_versions, p_shapes) u(task_id, name_no, params, version, shape);

    insert into absurd.ready (queue_no, name_no, priority, available_at, task_id)
    select v_queue_no, u.name_no, 0, v_now, u.task_id
    from unnest(v_ids, v_name_nos) u(task_id, name_no);
  else
    insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, state, max_attempts, priority, tenant,
      idempotency_key, tags, version, shape_hash, retry_strategy, cancellation, headers, params)
    select u.task_id, v_now, u.start_at, v_queue_no, u.name_no, case when u.start_at > v_now then 's' else 'p' end::"char",
      coalesce((u.options ->> 'max_attempts')::numeric::integer, 5), coalesce((u.options ->> 'priority')::numeric::smallint, 0),
      coalesce(u.options ->> 'tenant', ''), u.options ->> 'idempotency_key', nullif(u.options -> 'tags', 'null'), nullif(u.version, ''),
      nullif(u.shape, ''), nullif(u.options -> 'retry_strategy', 'null'),
      nullif(u.options -> 'cancellation', 'null'), nullif(u.options -> 'headers', 'null'), coalesce(u.params, 'null')
    from unnest(v_ids, v_owners, v_name_nos, p_params, v_options, v_starts, p_versions, p_shapes)
      u(task_id, owner, name_no, params, options, start_at, version, shape)
    where u.owner is null or u.owner = u.task_id;

    insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
    select v_queue_no, u.name_no, coalesce((u.options ->> 'priority')::numeric::smallint, 0), u.start_at, u.task_id,
      nullif(u.options ->> 'tenant', '')
    from unnest(v_ids, v_owners, v_name_nos, v_options, v_starts) u(task_id, owner, name_no, options, start_at)
    where (u.owner is null or u.owner = u.task_id) and u.start_at <= v_now;

    insert into absurd.timers (queue_no, due_at, task_id, kind)
    select v_queue_no, m.due_at, u.task_id, m.kind
    from unnest(v_ids, v_owners, v_options, v_starts) u(task_id, owner, options, start_at)
    cross join lateral (values
      (case when u.start_at > v_now then u.start_at end, 'w'::"char"),
      (absurd.policy_deadline(u.options -> 'cancellation', v_now, null, null, v_now), 'd'::"char")) m(due_at, kind)
    where (u.owner is null or u.owner = u.task_id) and m.due_at is not null;

    perform from unnest(v_options) u(options) where jsonb_array_length(nullif(u.options -> 'messages', 'null')) > 0;
    if found then
      perform absurd.send_with_spawn(v_queue_no, coalesce(v_owners, v_ids), v_options, v_now);
    end if;
  end if;

  if v_options is not null then
    perform from unnest(v_options) u(options) where u.options ?| '{workflow_run,created_by}';
    if found then
      perform absurd.note_origins(v_queue_no, p_names, v_options, v_ids, v_owners);
    end if;
  end if;

  perform absurd.notify_ready(v_queue_no);

  if v_owners is null then
    return query select u.ord::integer, u.task_id, 1, true from unnest(v_ids) with ordinality u(task_id, ord);
  else
    return query
      select u.ord::integer, coalesce(u.owner, u.task_id), coalesce(t.attempt, 1), u.owner = u.task_id
      from unnest(v_ids, v_owners) with ordinality u(task_id, owner, ord)
      left join lateral (select t.attempt from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = u.owner offset 0) t on true;
  end if;
end
$$;
