-- claim_tasks, the set form of claim_task for workers with a lease of their own.

-- take_ready takes at most p_limit ready rows of the given names, in the order (priority, available_at,
-- task_id) over all names, locks their tasks, and answers these as row addresses and, in order, as ids; nulls
-- when there is nothing. What others have locked is passed over, and so are tasks whose cancellation policy is
-- due, which wait for their timer. Only what is taken is locked: with several names, a look without locks first
-- tells how many are to come from each. The ready row is locked before its task: where another claim has just
-- taken it, the task, which is that worker's now, is not touched.
--
-- What has been taken stays at the beginning of the index until the next vacuum, and to walk past it costs more than the claim where hundreds of
-- thousands of tasks wait. So a call that asks for sixteen or more, and gets them, leaves in its session how far it came, and for a tenth of a
-- second the next ones go on from there, unless something of a higher priority has come. What is older and has come back meanwhile waits that long,
-- behind what was ready with it. A call that does not find enough on from there looks from the beginning.
create function absurd.take_ready(p_queue_no integer, p_name_nos integer[], p_limit integer, p_now timestamptz,
  out tasks tid[], out task_ids uuid[])
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_name_nos integer[];
  v_counts   integer[];
  v_ready    tid[];
  v_came     record := absurd.came_to(p_queue_no, p_name_nos, p_now, p_limit >= 16);
  v_last     record;
begin
  loop
    v_name_nos := p_name_nos;
    v_counts := array[p_limit];
    if cardinality(p_name_nos) > 1 then
      select array_agg(c.name_no), array_agg(c.count) into v_name_nos, v_counts
      from (
        select f.name_no, count(*)::integer as count
        from (
          select n.name_no
          from unnest(p_name_nos) u(name_no)
          cross join lateral (
            select r.name_no, r.priority, r.available_at, r.task_id
            from absurd.ready r
            where r.queue_no = p_queue_no and r.name_no = u.name_no and r.available_at <= p_now
              and (r.priority, r.available_at, r.task_id) > (v_came.priority, v_came.available_at, v_came.task_id)
            order by r.priority, r.available_at, r.task_id
            limit p_limit
          ) n
          -- Where there is no work, one look tells it, however many the names. It comes from the end, because what has been taken, and was
          -- not vacuumed yet, is at the beginning.
          where u.name_no <= (
            select r.name_no from absurd.ready r
            where r.queue_no = p_queue_no and r.name_no <= (select max(k.name_no) from unnest(p_name_nos) k(name_no))
            order by r.queue_no desc, r.name_no desc
            limit 1)
          order by n.priority, n.available_at, n.task_id
          limit p_limit
        ) f
        group by f.name_no
      ) c;
    end if;

    select array_agg(l.ready), array_agg(l.task), array_agg(l.task_id order by l.priority, l.available_at, l.task_id)
    into v_ready, tasks, task_ids
    from unnest(v_name_nos, v_counts) u(name_no, count)
    cross join lateral (
      select r.ready, t.row as task, r.priority, r.available_at, r.task_id
      from (
        select r.ctid as ready, r.priority, r.available_at, r.task_id
        from absurd.ready r
        where r.queue_no = p_queue_no and r.name_no = u.name_no and r.available_at <= p_now
          and (r.priority, r.available_at, r.task_id) > (v_came.priority, v_came.available_at, v_came.task_id)
        order by r.priority, r.available_at, r.task_id
        for update skip locked
      ) r
      cross join lateral (
        select t.ctid as row
        from absurd.tasks t
        where t.queue_no = p_queue_no and t.task_id = r.task_id and t.state = 'p'
          and (t.cancellation is null
            or (absurd.policy_deadline(t.cancellation, t.enqueue_at, t.first_started_at, t.revived_at, p_now) <= p_now) is not true)
        for no key update skip locked
      ) t
      limit u.count
    ) l;
    exit when v_came.looked_at is null or cardinality(task_ids) >= p_limit;
    v_came := absurd.came_to(p_queue_no, p_name_nos, p_now, false);
  end loop;

  with taken as (
    delete from absurd.ready r where r.ctid = any (v_ready) returning r.priority, r.available_at, r.task_id
  )
  select * into v_last from taken k where k.task_id = task_ids[p_limit] and p_limit >= 16;
  if found then
    perform set_config('absurd.came_to', jsonb_build_array(p_queue_no, p_name_nos, coalesce(v_came.looked_at, p_now),
      v_last.priority, v_last.available_at, v_last.task_id)::text, false);
  end if;
end
$$;

-- came_to answers the key of the last ready row that a claim of this session has taken, and when one has last looked from the beginning, if
-- p_wanted, and the claim was for the same and that holds still; else the key before that of every row, and no time.
create function absurd.came_to(p_queue_no integer, p_name_nos integer[], p_now timestamptz, p_wanted boolean,
  out looked_at timestamptz, out priority smallint, out available_at timestamptz, out task_id uuid)
language plpgsql
as $$
declare
  v_note jsonb := case when p_wanted then nullif(current_setting('absurd.came_to', true), '') end;
begin
  if (v_note ->> 0)::integer = p_queue_no and v_note -> 1 = to_jsonb(p_name_nos)
    and (v_note ->> 2)::timestamptz between p_now - interval '100 ms' and p_now
    and not exists (
      select from unnest(p_name_nos) u(name_no)
      cross join lateral (
        select from absurd.ready r
        where r.queue_no = p_queue_no and r.name_no = u.name_no and r.priority < (v_note ->> 3)::smallint and r.available_at <= p_now
        limit 1
      ) r)
  then
    looked_at := v_note ->> 2;
    priority := v_note ->> 3;
    available_at := v_note ->> 4;
    task_id := v_note ->> 5;
  else
    priority := -32768;
    available_at := '-infinity';
    task_id := '00000000-0000-0000-0000-000000000000';
  end if;
end
$$;

-- take_ready_of does take_ready for a session that may use certain tenants only. Rows of a tenant are found by an index of their own.
-- Those without a tenant stand among all the others: it looks at the first ten thousand rows of each name, and at ten thousand further on,
-- where the look before came to nothing. So what it examines is bounded, and a backlog of others hides nothing for good.
create function absurd.take_ready_of(p_queue_no integer, p_tenants text[], p_name_nos integer[], p_limit integer, p_now timestamptz,
  out tasks tid[], out task_ids uuid[])
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_row   record;
  v_task  tid;
  v_ready tid[];
  v_walk  jsonb := (select w.ready_from from absurd.tenant_walks w where w.queue_no = p_queue_no and w.tenants = p_tenants);
begin
  for v_row in
    -- Twice as many as may be taken, because some may be locked by others.
    select c.ready, c.task_id
    from unnest(p_name_nos) n(name_no)
    cross join lateral (
      select o.ready, o.priority, o.available_at, o.task_id
      from unnest(p_tenants) k(tenant)
      cross join lateral (
        select r.ctid as ready, r.priority, r.available_at, r.task_id
        from absurd.ready r
        where r.queue_no = p_queue_no and r.tenant = k.tenant and r.name_no = n.name_no and r.available_at <= p_now
        order by r.priority, r.available_at, r.task_id
        limit 2 * p_limit + 100
      ) o
      union all
      select w.ready, w.priority, w.available_at, w.task_id
      from (
        select r.ctid as ready, r.priority, r.available_at, r.task_id, r.tenant
        from absurd.ready r
        where r.queue_no = p_queue_no and r.name_no = n.name_no and r.available_at <= p_now and '' = any (p_tenants)
        order by r.priority, r.available_at, r.task_id
        limit 10000
      ) w
      where w.tenant is null
      union
      select w.ready, w.priority, w.available_at, w.task_id
      from (
        select r.ctid as ready, r.priority, r.available_at, r.task_id, r.tenant
        from absurd.ready r
        where r.queue_no = p_queue_no and r.name_no = n.name_no and r.available_at <= p_now and v_walk ? n.name_no::text
          and (r.priority, r.available_at, r.task_id) > ((v_walk -> n.name_no::text ->> 0)::smallint,
            (v_walk -> n.name_no::text ->> 1)::timestamptz, (v_walk -> n.name_no::text ->> 2)::uuid)
        order by r.priority, r.available_at, r.task_id
        limit 10000
      ) w
      where w.tenant is null
    ) c
    order by c.priority, c.available_at, c.task_id
    limit 2 * p_limit + 100
  loop
    exit when cardinality(tasks) >= p_limit;
    perform from absurd.ready r where r.ctid = v_row.ready and r.task_id = v_row.task_id for update skip locked;
    continue when not found;
    select t.ctid into v_task
    from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = v_row.task_id and t.state = 'p' and t.tenant = any (p_tenants)
      and (t.cancellation is null
        or (absurd.policy_deadline(t.cancellation, t.enqueue_at, t.first_started_at, t.revived_at, p_now) <= p_now) is not true)
    for no key update skip locked;
    continue when not found;
    tasks := tasks || v_task;
    task_ids := task_ids || v_row.task_id;
    v_ready := v_ready || v_row.ready;
  end loop;
  delete from absurd.ready r where r.ctid = any (v_ready);
  if '' = any (p_tenants) and (cardinality(tasks) >= p_limit) is not true then
    perform absurd.walk_on(p_queue_no, p_tenants, p_name_nos, v_walk, p_now);
  end if;
end
$$;

-- walk_on notes where take_ready_of looks next, name by name: behind the ten thousand rows that it has seen last, or nowhere but at the
-- beginning, if there were fewer. Where another claim is just noting that, it is left to it.
create function absurd.walk_on(p_queue_no integer, p_tenants text[], p_name_nos integer[], p_walk jsonb, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_next jsonb;
begin
  select jsonb_object_agg(n.name_no::text, jsonb_build_array(l.priority, l.available_at, l.task_id)) into v_next
  from unnest(p_name_nos) n(name_no)
  cross join lateral (
    select r.priority, r.available_at, r.task_id
    from absurd.ready r
    where r.queue_no = p_queue_no and r.name_no = n.name_no and r.available_at <= p_now
      and (r.priority, r.available_at, r.task_id) > (coalesce((p_walk -> n.name_no::text ->> 0)::smallint, '-32768'),
        coalesce((p_walk -> n.name_no::text ->> 1)::timestamptz, '-infinity'), coalesce((p_walk -> n.name_no::text ->> 2)::uuid, absurd.lowest_id()))
    order by r.priority, r.available_at, r.task_id
    offset 9999
    limit 1
  ) l;
  if v_next is distinct from p_walk then
    perform from absurd.tenant_walks w where w.queue_no = p_queue_no and w.tenants = p_tenants for update skip locked;
    if found then
      update absurd.tenant_walks w set ready_from = v_next where w.queue_no = p_queue_no and w.tenants = p_tenants;
    else
      insert into absurd.tenant_walks (queue_no, tenants, ready_from) values (p_queue_no, p_tenants, v_next) on conflict do nothing;
    end if;
  end if;
end
$$;

-- claim_tasks gives a worker at most p_limit runs of a queue that may start now, for the task names whose
-- numbers it gives (see join_queue), in the order (priority, available_at, task_id); of one priority, what is
-- older may come a tenth of a second late (see take_ready). Each gets the next token, which every write of the
-- run must carry. Before, it removes the worker's claims in p_done_claims (their tasks have all left the worker)
-- and moves due timers, at most p_limit of each kind. One row a run, in claim order; claim_no is the same for all
-- runs of one call. has_records tells whether there is anything to load, cancel_requested whether the task was
-- asked to end. AB008 when the worker's lease has ended, AB004 for an unknown queue. Waits for no lock but that of
-- a sweep or a retirement on its own worker's row.
create function absurd.claim_tasks(p_queue text, p_worker bigint, p_limit integer, p_name_nos integer[], p_done_claims bigint[])
returns table (claim_no bigint, task_id uuid, name_no integer, token integer, attempt integer, generation integer, max_attempts integer,
  lost_leases integer, has_records boolean, enqueue_at timestamptz, first_started_at timestamptz, claimed_at timestamptz,
  params jsonb, headers jsonb, retry_strategy jsonb, cancel_requested boolean, tenant text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_queue_no integer := absurd.queue_number(p_queue);
  v_tenants  text[] := absurd.session_tenants();
  v_taken    record;
  v_claim_no bigint;
begin
  perform absurd.check_worker(p_worker, v_now);
  if cardinality(p_done_claims) > 0 then
    delete from absurd.claims c where c.worker_id = p_worker and c.claim_no = any (p_done_claims);
  end if;
  if p_limit is null or p_limit < 1 then
    return;
  end if;

  if v_tenants is not null then
    perform absurd.keep_house(true);
  end if;
  perform absurd.fire_all_timers(v_queue_no, p_limit, v_now);
  p_limit := absurd.claim_room(v_queue_no, p_limit);
  if v_tenants is not null then
    perform absurd.keep_house(false);
  end if;
  if p_limit < 1 then
    return;
  end if;
  if v_tenants is null then
    select * into v_taken from absurd.take_ready(v_queue_no, p_name_nos, p_limit, v_now);
  else
    select * into v_taken from absurd.take_ready_of(v_queue_no, v_tenants, p_name_nos, p_limit, v_now);
  end if;
  if v_taken.tasks is null then
    return;
  end if;
  -- Until this commits nobody may remove the worker: its claims are found through its row alone. Locked only now, so that a
  -- claim of nothing writes nothing.
  perform from absurd.workers w where w.worker_id = p_worker and w.lease_expires_at > v_now for key share;
  if not found then
    perform absurd.check_worker(p_worker, v_now);
  end if;
  insert into absurd.claims (worker_id, queue_no, task_ids) values (p_worker, v_queue_no, v_taken.task_ids)
  returning claim_no into v_claim_no;

  return query
    with held as (
      update absurd.tasks t
      set state = 'r', token = t.token + 1, worker_id = p_worker, started_at = v_now, first_started_at = coalesce(t.first_started_at, v_now),
          claimed_by = null, claim_expires_at = null, wake_event = null, event_payload = null
      where t.ctid = any (v_taken.tasks)
      returning t.task_id, t.name_no, t.token, t.attempt, t.generation, t.max_attempts, t.lost_leases, t.has_records, t.enqueue_at,
        t.first_started_at, t.params, t.headers, t.retry_strategy, t.cancel_requested_at, t.tenant, t.priority, t.available_at
    )
    select v_claim_no, h.task_id, h.name_no, h.token, h.attempt, h.generation, h.max_attempts, h.lost_leases::integer, h.has_records or h.token > 1,
           h.enqueue_at, h.first_started_at, v_now, h.params, h.headers, h.retry_strategy,
           h.cancel_requested_at is not null, h.tenant
    from held h
    order by h.priority, h.available_at, h.task_id;
end
$$;
