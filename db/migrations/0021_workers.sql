-- Workers: a row with a lease each. Every run that a worker has claimed is held under the worker's lease.

-- register_worker makes a new worker whose lease ends in p_lease_ms milliseconds, and answers its number. No locks.
create function absurd.register_worker(p_name text, p_lease_ms integer) returns bigint
language plpgsql
as $$
declare
  v_now    timestamptz := absurd.current_time();
  v_worker bigint;
begin
  perform absurd.check_lease(p_lease_ms);
  insert into absurd.workers (worker_name, registered_at, lease_expires_at)
  values (coalesce(p_name, ''), v_now, v_now + p_lease_ms * interval '1 millisecond')
  returning worker_id into v_worker;
  return v_worker;
end
$$;

create function absurd.check_lease(p_lease_ms integer) returns void
language plpgsql immutable
as $$
begin
  if p_lease_ms is null or p_lease_ms <= 0 then
    raise exception 'a lease of % ms is not valid: it must be positive', p_lease_ms using errcode = 'AB005';
  end if;
end
$$;

-- renew_worker extends a worker's lease to p_lease_ms milliseconds from now, never shortens it, and answers its
-- end, and the tasks that it should look at, because they have been cancelled or asked to end while it held them: at
-- most a thousand, the latest, each for a minute, whether the worker still holds it or not. No row: the worker is unknown or its lease has ended; it must
-- stop writing and register again. Locks the worker's row.
create function absurd.renew_worker(p_worker bigint, p_lease_ms integer)
returns table (lease_end timestamptz, noticed uuid[])
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := absurd.current_time();
  v_end timestamptz;
begin
  perform absurd.check_lease(p_lease_ms);
  update absurd.workers w
  set lease_expires_at = greatest(w.lease_expires_at, v_now + p_lease_ms * interval '1 millisecond')
  where w.worker_id = p_worker and w.lease_expires_at > v_now and absurd.own_worker(w.login)
  returning w.lease_expires_at into v_end;
  if v_end is null then
    return;
  end if;
  -- Passing over what others have locked: an open transaction that cancels a task must not cost its worker the lease.
  delete from absurd.notices n
  where n.ctid = any (array(
    select o.ctid from absurd.notices o where o.worker_id = p_worker and o.noted_at < v_now - interval '1 minute' for update skip locked));
  return query
    select v_end, array(select n.task_id from absurd.notices n where n.worker_id = p_worker order by n.noted_at desc limit 1000);
end
$$;

-- join_queue lets a worker take tasks of a queue, makes numbers for the task names that have none, and answers
-- the number of each name. p_code names the worker's code: tasks that other code has blocked are tried again at once (null: none is).
-- AB004 for an unknown queue, AB006 for a name that is none, AB008 for a worker that
-- is lost.
create function absurd.join_queue(p_worker bigint, p_queue text, p_names text[], p_code text default null)
returns table (task_name text, name_no integer)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  perform absurd.check_worker(p_worker, absurd.current_time());
  perform absurd.add_task_names(v_queue_no, p_names);
  insert into absurd.worker_queues as k (queue_no, worker_id, name_nos, code)
  select v_queue_no, p_worker, coalesce(array_agg(n.name_no), '{}'), p_code
  from absurd.task_names n
  where n.queue_no = v_queue_no and n.task_name = any (p_names)
  on conflict (queue_no, worker_id) do update set name_nos = excluded.name_nos, code = excluded.code;
  if p_code is not null then
    perform absurd.wake_blocked(v_queue_no, p_code, absurd.current_time());
  end if;
  return query
    select n.task_name, n.name_no
    from absurd.task_names n
    where n.queue_no = v_queue_no and n.task_name = any (p_names)
    order by n.task_name;
end
$$;

-- own_worker tells whether this session may use a worker that the given login has registered: it must be its own, unless the session
-- may use all tenants.
create function absurd.own_worker(p_login name) returns boolean
language plpgsql stable
as $$
begin
  return p_login = session_user or absurd.session_tenants() is null;
end
$$;

-- check_worker refuses with AB008 unless the worker's lease is alive and the session may use it.
create function absurd.check_worker(p_worker bigint, p_now timestamptz) returns void
language plpgsql
as $$
begin
  if not exists (select from absurd.workers w where w.worker_id = p_worker and w.lease_expires_at > p_now and absurd.own_worker(w.login)) then
    raise exception 'worker % is unknown or its lease has ended: register again', p_worker using errcode = 'AB008';
  end if;
end
$$;

-- set_idle raises or lowers a worker's idle flag on a queue. A worker raises it before its last empty claim,
-- because a producer notifies only while a flag is up.
create function absurd.set_idle(p_worker bigint, p_queue text, p_idle boolean) returns void
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  update absurd.worker_queues q
  set idle = p_idle
  from absurd.workers w
  where q.queue_no = v_queue_no and q.worker_id = p_worker and q.idle <> p_idle
    and w.worker_id = p_worker and absurd.own_worker(w.login);
end
$$;

-- drop_waits removes all waits of the given tasks.
create function absurd.drop_waits(p_queue_no integer, p_tasks uuid[]) returns void
language plpgsql
as $$
begin
  delete from absurd.waits w
  where w.ctid = any (array(
    select x.row
    from unnest(p_tasks) u(task_id)
    cross join lateral (
      select w.ctid as row from absurd.waits w where w.queue_no = p_queue_no and w.task_id = u.task_id offset 0
    ) x));
end
$$;

-- take_back returns runs from their worker to the queue: pending again, same attempt, and a new token, so that
-- nothing written by the old holder can pass. p_lost counts a lost lease, and fails a task at its tenth in a row: one that has got further
-- meanwhile is not what kills its workers.
-- Answers how many went back and how many failed. p_rows: the addresses of the tasks, locked by the caller.
create function absurd.take_back(p_queue_no integer, p_rows tid[], p_lost boolean, p_now timestamptz,
  out requeued integer, out poisoned integer)
language plpgsql
as $$
declare
  v_told    bigint;
  v_failed  uuid[];
  v_related uuid[];
begin
  with taken as (
    update absurd.tasks t
    set state       = case when p_lost and t.lost_leases >= 9 and not absurd.got_further(t) then 'f' else 'p' end,
        ended_at    = case when p_lost and t.lost_leases >= 9 and not absurd.got_further(t) then p_now end,
        failure     = case when p_lost and t.lost_leases >= 9 and not absurd.got_further(t) then jsonb_build_object(
                        'name', '$LostLease',
                        'message', format('%s workers in a row lost their lease while they ran this task', t.lost_leases + 1)) end,
        lost_leases = case when p_lost and t.lost_leases > 0 and absurd.got_further(t) then 1 else t.lost_leases + p_lost::integer end,
        token       = t.token + 1,
        worker_id   = null
    where t.ctid = any (p_rows)
    returning t.task_id, t.state, t.name_no, t.priority, t.available_at, t.watched, t.tenant, t.parent_id, t.children
  ), back as (
    insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
    select p_queue_no, k.name_no, k.priority, k.available_at, k.task_id, nullif(k.tenant, '') from taken k where k.state = 'p'
  )
  select count(*) filter (where k.state = 'p'), count(*) filter (where k.state = 'f'),
         count(absurd.notify_ended(k.task_id)) filter (where k.state = 'f' and k.watched),
         array_agg(k.task_id) filter (where k.state = 'f'),
         array_agg(k.task_id) filter (where k.state = 'f' and (k.parent_id is not null or k.children is not null))
  into requeued, poisoned, v_told, v_failed, v_related
  from taken k;

  if poisoned > 0 then
    perform absurd.note_ended(p_queue_no, 'f', v_failed, p_now);
    perform absurd.drop_waits(p_queue_no, v_failed);
  end if;
  if v_related is not null then
    perform absurd.tell_relatives(p_queue_no, v_related, p_now);
  end if;
  if requeued > 0 then
    perform absurd.notify_ready(p_queue_no);
  end if;
end
$$;

-- got_further answers whether an outcome has been recorded of a task since its latest claim.
create function absurd.got_further(p_task absurd.tasks) returns boolean
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return exists (
    select from absurd.checkpoints c
    where c.queue_no = p_task.queue_no and c.task_id = p_task.task_id and c.outcome <> 'n' and c.recorded_at >= p_task.started_at
    offset 0);
end
$$;

-- take_back_held takes back those of the given tasks that a worker holds, but for those that others have locked (see take_back), and
-- answers also how many it still holds then.
create function absurd.take_back_held(p_queue_no integer, p_worker bigint, p_tasks uuid[], p_lost boolean, p_now timestamptz,
  out requeued integer, out poisoned integer, out held bigint)
language plpgsql
as $$
declare
  v_rows tid[];
begin
  requeued := 0;
  poisoned := 0;
  select array_agg(h.row) into v_rows
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select t.ctid as row
    from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state = 'r' and t.worker_id = p_worker
    for no key update skip locked
  ) h;
  if v_rows is not null then
    select b.requeued, b.poisoned into requeued, poisoned from absurd.take_back(p_queue_no, v_rows, p_lost, p_now) b;
  end if;
  select count(*) into held
  from unnest(p_tasks) u(task_id)
  cross join lateral (
    select from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = u.task_id and t.state = 'r' and t.worker_id = p_worker
    offset 0
  ) h;
end
$$;

-- drain_claims takes back at most about p_limit of the runs that a worker holds through its claims, and removes
-- the claims that hold nothing any more. p_queue_no limits it to one queue (null: all), p_spared names claims
-- to leave alone. Runs whose rows others have locked stay, with their claim, for the next call.
create function absurd.drain_claims(p_worker bigint, p_queue_no integer, p_spared bigint[], p_lost boolean, p_limit integer, p_now timestamptz,
  out requeued integer, out poisoned integer)
language plpgsql
as $$
declare
  v_claim record;
  v_back  record;
begin
  requeued := 0;
  poisoned := 0;
  for v_claim in
    select c.claim_no, c.queue_no, c.task_ids
    from absurd.claims c
    where c.worker_id = p_worker and (p_queue_no is null or c.queue_no = p_queue_no) and (c.claim_no = any (p_spared)) is not true
    order by c.claim_no
  loop
    exit when requeued + poisoned >= p_limit;
    select * into v_back from absurd.take_back_held(v_claim.queue_no, p_worker, v_claim.task_ids, p_lost, p_now);
    requeued := requeued + v_back.requeued;
    poisoned := poisoned + v_back.poisoned;
    if v_back.held = 0 then
      delete from absurd.claims c where c.worker_id = p_worker and c.claim_no = v_claim.claim_no;
    end if;
  end loop;
end
$$;

-- remove_worker removes a worker that holds no claims any more.
create function absurd.remove_worker(p_worker bigint) returns void
language plpgsql
as $$
begin
  if not exists (select from absurd.claims c where c.worker_id = p_worker) then
    delete from absurd.worker_queues w where w.worker_id = p_worker;
    delete from absurd.notices n where n.worker_id = p_worker;
    delete from absurd.workers w where w.worker_id = p_worker;
  end if;
end
$$;

-- retire_worker ends a worker in good order: what it still holds goes back to the queue at once, without
-- counting a lost lease, and the worker is removed. Answers the number of runs handed back. A run whose row
-- another transaction has locked is left to the sweep. Locks the worker's row, then rows of its tasks (never
-- waiting for these).
create function absurd.retire_worker(p_worker bigint) returns integer
language plpgsql
as $$
declare
  v_now  timestamptz := absurd.current_time();
  v_back integer;
begin
  -- Waits for a claim of the worker that is not committed yet, so that its runs are seen below.
  perform from absurd.workers w where w.worker_id = p_worker and absurd.own_worker(w.login) for update;
  if not found then
    return 0;
  end if;
  update absurd.workers w set lease_expires_at = least(w.lease_expires_at, v_now) where w.worker_id = p_worker;
  select d.requeued into v_back from absurd.drain_claims(p_worker, null, null, false, 2147483647, v_now) d;
  perform absurd.remove_worker(p_worker);
  return v_back;
end
$$;

-- release_claims hands back, without counting a lost lease, what a worker holds on a queue through claims that
-- it does not know, and answers how many runs these were. For a worker that lost the answer of a claim together
-- with its connection: the runs are its own in the database, and no pass of it knows of them. Locks rows of
-- these tasks, never waiting for them. AB004 for an unknown queue.
create function absurd.release_claims(p_worker bigint, p_queue text, p_known bigint[]) returns integer
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  if not exists (select from absurd.workers w where w.worker_id = p_worker and absurd.own_worker(w.login)) then
    return 0;
  end if;
  return (select d.requeued from absurd.drain_claims(p_worker, v_queue_no, p_known, false, 2147483647, absurd.current_time()) d);
end
$$;
