-- What keeps the runs of a queue from starting: a pause, and a limit of how many run at once over all workers. Spawns, events, sleeps and
-- running runs go on in either case.

-- pause_queue lets no further run of a queue start until resume_queue, whichever worker asks. AB004 for an unknown queue.
create function absurd.pause_queue(p_queue text) returns void
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  perform absurd.require_all_tenants('pause a queue');
  update absurd.queues q set paused = true where q.queue_no = v_queue_no and not q.paused;
end
$$;

-- resume_queue ends a pause and tells idle workers. Nothing happens on a queue that is not paused. AB004 for an unknown queue.
create function absurd.resume_queue(p_queue text) returns void
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  perform absurd.require_all_tenants('resume a queue');
  update absurd.queues q set paused = false where q.queue_no = v_queue_no and q.paused;
  if found then
    perform absurd.notify_ready(v_queue_no);
  end if;
end
$$;

-- set_queue_limit lets at most p_max_running runs of a queue run at once, over all workers and all clients; null takes the limit away. Runs
-- that already run beyond a lowered limit go on. AB004 for an unknown queue, AB005 for a limit below 1: to let nothing run, pause the queue.
create function absurd.set_queue_limit(p_queue text, p_max_running integer) returns void
language plpgsql
as $$
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  perform absurd.require_all_tenants('limit a queue');
  if p_max_running < 1 then
    raise exception 'queue "%": a limit of % running runs is not valid: it must be at least 1, or null for none; to let nothing run, pause the queue',
      p_queue, p_max_running using errcode = 'AB005';
  end if;
  update absurd.queues q set max_running = p_max_running where q.queue_no = v_queue_no and q.max_running is distinct from p_max_running;
  if found then
    perform absurd.notify_ready(v_queue_no);
  end if;
end
$$;

-- claim_room answers how many of p_limit runs may start on a queue now. Where there is a limit, it keeps other claims of the queue away
-- until the caller's transaction ends, so that no two of them fill the same room; it waits a tenth of a second for another claim that is
-- under way, and then answers 0. Runs whose worker has lost its lease count until they are swept: they may still be at work.
create function absurd.claim_room(p_queue_no integer, p_limit integer) returns integer
language plpgsql
as $$
declare
  v_patience text;
  v_limit    integer;
begin
  select case when q.paused then 0 else q.max_running end into v_limit from absurd.queues q where q.queue_no = p_queue_no;
  if v_limit is null or p_limit < 1 then
    return p_limit;
  elsif v_limit = 0 then
    return 0;
  end if;

  v_patience := current_setting('lock_timeout');
  begin
    perform set_config('lock_timeout', '100ms', true);
    select q.max_running into v_limit from absurd.queues q where q.queue_no = p_queue_no and not q.paused for no key update;
    if not found then
      v_limit := 0;
    end if;
    perform set_config('lock_timeout', v_patience, true);
  exception when lock_not_available then
    return 0;
  end;
  if v_limit is null then
    return p_limit;
  end if;
  return greatest(least(p_limit, v_limit - absurd.running_runs(p_queue_no, null)), 0);
end
$$;

-- running_runs counts the running runs of a queue, by their claims and leases: those of the given tenants, or of all (null).
create function absurd.running_runs(p_queue_no integer, p_tenants text[]) returns integer
language plpgsql
as $$
begin
  return (
    select count(*)
    from (
      select i.task_id from absurd.claims c cross join unnest(c.task_ids) i(task_id) where c.queue_no = p_queue_no
      union
      select m.task_id from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'l'
    ) h
    cross join lateral (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = h.task_id and t.state = 'r'
                          and (p_tenants is null or t.tenant = any (p_tenants)) offset 0) t
  );
end
$$;
