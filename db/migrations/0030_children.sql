-- Children: tasks that a task makes and waits for, on its own queue or on another.
--
-- A child is born together with its record in its parent's history: a pending checkpoint of kind c whose state names it
-- ({"task": id, "queue": name}). So a commit that is sent again, or a crash, never makes two. The child's end replaces the pending
-- record by its outcome (see tell_parents).

-- spawn_children makes the children of passes (parallel arrays; units are indexes into p_tasks, p_held says which of these are
-- locked by the caller). A child whose record is there already was made before. Ids are given by the caller, options are those of
-- spawn_tasks without idempotency_key and tenant, and: version and shape_hash of the child's code; policy, "abandon" for a child
-- that outlives its parent. Tenant, headers and root are the parent's; a header of the child's own goes before. AB004, AB005 and
-- AB006 as spawn_tasks.
create function absurd.spawn_children(p_queue_no integer, p_tasks uuid[], p_held boolean[], p_units integer[], p_names text[],
  p_ids uuid[], p_queues text[], p_workflows text[], p_params jsonb[], p_options jsonb[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_new   integer[];  -- indexes of the children to make
  v_queue text;
begin
  perform absurd.check_options(p_workflows, array(
    select nullif(u.options - '{policy,version,shape_hash}'::text[], '{}') from unnest(p_options) with ordinality u(options, ord) order by u.ord));

  select array_agg(u.ord::integer order by u.ord) into v_new
  from unnest(p_units, p_names) with ordinality u(unit, name, ord)
  where p_held[u.unit]
    and not exists (
      select from absurd.checkpoints c
      where c.queue_no = p_queue_no and c.task_id = p_tasks[u.unit] and c.checkpoint_name = u.name
      offset 0);
  if v_new is null then
    return;
  end if;

  for v_queue in select distinct p_queues[n.ord] from unnest(v_new) n(ord) order by 1 loop
    perform absurd.insert_children(absurd.queue_number(v_queue), p_queue_no,
      array_agg(p_ids[n.ord] order by n.ord), array_agg(p_workflows[n.ord] order by n.ord), array_agg(p_params[n.ord] order by n.ord),
      array_agg(p_options[n.ord] order by n.ord), array_agg(t.task_id order by n.ord), array_agg(p_names[n.ord] order by n.ord),
      array_agg(coalesce(t.root_queue_no, p_queue_no) order by n.ord), array_agg(coalesce(t.root_id, t.task_id) order by n.ord),
      array_agg(t.tenant order by n.ord), array_agg(t.headers order by n.ord), p_now)
    from unnest(v_new) n(ord)
    cross join lateral (
      select t.task_id, t.root_queue_no, t.root_id, t.tenant, t.headers
      from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = p_tasks[p_units[n.ord]]
      offset 0
    ) t
    where p_queues[n.ord] = v_queue;
  end loop;

  update absurd.tasks t
  set children = 'o'
  where t.ctid = any (array(
    select x.row
    from (select distinct p_tasks[p_units[n.ord]] as task_id from unnest(v_new) n(ord)) u
    cross join lateral (
      select t.ctid as row from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id and t.children is null
      offset 0
    ) x));
end
$$;

-- insert_children makes tasks of one queue as children of tasks of another, or of the same. The options are checked.
create function absurd.insert_children(p_queue_no integer, p_parent_queue_no integer, p_ids uuid[], p_workflows text[], p_params jsonb[],
  p_options jsonb[], p_parents uuid[], p_names text[], p_root_queue_nos integer[], p_roots uuid[], p_tenants text[], p_headers jsonb[],
  p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_missing  text[];
  v_name_nos integer[];
  v_starts   timestamptz[];
begin
  select array_agg(distinct u.name) into v_missing
  from unnest(p_workflows) u(name)
  where not exists (select from absurd.task_names n where n.queue_no = p_queue_no and n.task_name = u.name);
  if v_missing is not null then
    perform absurd.add_task_names(p_queue_no, v_missing);
  end if;
  select array_agg(n.name_no order by u.ord) into v_name_nos
  from unnest(p_workflows) with ordinality u(name, ord)
  join absurd.task_names n on n.queue_no = p_queue_no and n.task_name = u.name;

  select array_agg(absurd.start_time(u.options, p_now) order by u.ord) into v_starts from unnest(p_options) with ordinality u(options, ord);

  insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, state, max_attempts, priority, parent_policy, tenant,
    tags, version, shape_hash, parent_id, parent_queue_no, root_id, root_queue_no, child_name, retry_strategy, cancellation, headers, params)
  select u.task_id, p_now, u.start_at, p_queue_no, u.name_no, case when u.start_at > p_now then 's' else 'p' end::"char",
    coalesce((u.options ->> 'max_attempts')::numeric::integer, 5), coalesce((u.options ->> 'priority')::numeric::smallint, 0),
    case when u.options ->> 'policy' = 'abandon' then 'a'::"char" end, u.tenant,
    nullif(u.options -> 'tags', 'null'), u.options ->> 'version', u.options ->> 'shape_hash',
    u.parent, p_parent_queue_no, u.root, u.root_queue_no, u.name,
    nullif(u.options -> 'retry_strategy', 'null'), nullif(u.options -> 'cancellation', 'null'),
    case when jsonb_typeof(u.headers) = 'object' and jsonb_typeof(u.options -> 'headers') = 'object' then u.headers || (u.options -> 'headers')
         else coalesce(nullif(u.options -> 'headers', 'null'), u.headers) end,
    coalesce(u.params, 'null')
  from unnest(p_ids, v_name_nos, p_params, p_options, v_starts, p_parents, p_names, p_root_queue_nos, p_roots, p_tenants, p_headers)
    u(task_id, name_no, params, options, start_at, parent, name, root_queue_no, root, tenant, headers);

  insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
  select p_queue_no, u.name_no, coalesce((u.options ->> 'priority')::numeric::smallint, 0), u.start_at, u.task_id, nullif(u.tenant, '')
  from unnest(p_ids, v_name_nos, p_options, v_starts, p_tenants) u(task_id, name_no, options, start_at, tenant)
  where u.start_at <= p_now;

  insert into absurd.timers (queue_no, due_at, task_id, kind)
  select p_queue_no, m.due_at, u.task_id, m.kind
  from unnest(p_ids, p_options, v_starts) u(task_id, options, start_at)
  cross join lateral (values
    (case when u.start_at > p_now then u.start_at end, 'w'::"char"),
    (absurd.policy_deadline(u.options -> 'cancellation', p_now, null, null, p_now), 'd'::"char")) m(due_at, kind)
  where m.due_at is not null;

  perform absurd.notify_ready(p_queue_no);
end
$$;

-- awaits_child answers whether an open task of this queue still expects the outcome of a child.
create function absurd.awaits_child(p_queue_no integer, p_parent uuid, p_name text, p_child uuid) returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select from absurd.checkpoints c
    where c.queue_no = p_queue_no and c.task_id = p_parent and c.checkpoint_name = p_name and c.kind = 'c' and c.outcome in ('n', 'N')
      and c.state ->> 'task' = p_child::text
      and exists (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_parent and t.state not in ('c', 'f', 'x') offset 0));
end
$$;

-- start_time answers when a task with these options, which are checked, is to start: at most ten years ahead.
create function absurd.start_time(p_options jsonb, p_now timestamptz) returns timestamptz
language sql stable
as $$
  select greatest(p_now, least(p_now + interval '10 years',
    case when p_options ->> 'start_at' is not null then (p_options ->> 'start_at')::timestamptz
         when p_options ->> 'delay_ms' is not null
           then p_now + make_interval(secs => least((p_options ->> 'delay_ms')::numeric / 1000, 400000000)::double precision)
         else p_now end))
$$;
