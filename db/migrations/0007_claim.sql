-- Claiming runs for a worker whose lease is on the run.

-- claim_task claims up to p_qty runs that may start, oldest first within a priority, and leases them to p_worker_id for
-- p_claim_timeout seconds (0: a lease that never ends). Before that it moves what is due on the queue, in bounded bites:
-- cancellation policies, expired leases, ended sleeps. It waits for nobody.
create function absurd.claim_task(p_queue_name text, p_worker_id text, p_claim_timeout integer default 30, p_qty integer default 1)
returns table (run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb, retry_strategy jsonb, max_attempts integer,
  headers jsonb, wake_event text, event_payload jsonb)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_now      timestamptz := absurd.current_time();
  v_worker   text := coalesce(nullif(p_worker_id, ''), 'worker');
  v_timeout  integer := greatest(coalesce(p_claim_timeout, 30), 0);
  v_limit    integer := greatest(coalesce(p_qty, 1), 1);
  v_tenants  text[] := absurd.session_tenants();
  v_ends     timestamptz := case when v_timeout > 0 then v_now + make_interval(secs => v_timeout) end;
  v_names    integer[] := array(select n.name_no from absurd.task_names n where n.queue_no = v_queue_no);
  v_rows     tid[];
  v_taken    uuid[];
  v_waiting  uuid[];
  v_task_id  uuid;
begin
  if v_tenants is not null then
    perform absurd.keep_house(true);
  end if;
  perform absurd.fire_timers(v_queue_no, 'd', 100, v_now);
  perform absurd.fire_timers(v_queue_no, 'l', v_limit, v_now);
  perform absurd.fire_timers(v_queue_no, 'w', v_limit, v_now);
  v_limit := absurd.claim_room(v_queue_no, v_limit);
  if v_tenants is not null then
    perform absurd.keep_house(false);
  end if;
  if v_limit < 1 then
    return;
  end if;
  if v_tenants is null then
    select r.tasks, r.task_ids into v_rows, v_taken from absurd.take_ready(v_queue_no, v_names, v_limit, v_now) r;
  else
    select r.tasks, r.task_ids into v_rows, v_taken from absurd.take_ready_of(v_queue_no, v_tenants, v_names, v_limit, v_now) r;
  end if;
  if v_taken is null then
    return;
  end if;
  v_waiting := array(select t.task_id from absurd.tasks t where t.ctid = any (v_rows) and t.has_waits);
  return query
    with claimed as (
      update absurd.tasks t
      set state = 'r', token = t.token + 1, worker_id = null, claimed_by = v_worker, claim_expires_at = v_ends,
          lease_due_at = coalesce(v_ends, 'infinity'),
          started_at = v_now, available_at = v_now, first_started_at = coalesce(t.first_started_at, v_now), has_waits = false,
          failure = null
      where t.ctid = any (v_rows)
      returning t.*
    )
    select coalesce(c.run_id, c.task_id), c.task_id, c.attempt, n.task_name, c.params, c.retry_strategy, c.max_attempts, c.headers,
           c.wake_event, c.event_payload
    from claimed c
    join absurd.task_names n on n.name_no = c.name_no
    order by array_position(v_taken, c.task_id);

  -- A lease without an end has a timer too: running runs are found by their leases.
  insert into absurd.timers (queue_no, kind, due_at, task_id)
  select v_queue_no, 'l', coalesce(v_ends, 'infinity'), taken.task_id from unnest(v_taken) taken (task_id)
  on conflict do nothing;
  foreach v_task_id in array v_waiting loop
    perform absurd.end_waits(v_queue_no, v_task_id, v_now);
  end loop;
end
$$;

-- end_waits ends the waits of a task that starts again. A wait that await_event made and that timed out leaves a record, so that
-- await_event knows the answer for that step even after another wait has replaced the run's wake_event.
create function absurd.end_waits(p_queue_no integer, p_task_id uuid, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_task absurd.tasks;
begin
  select t.* into v_task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id;
  with gone as (
    delete from absurd.waits w
    where w.queue_no = p_queue_no and w.task_id = p_task_id
    returning w.step_name, w.event_name, w.timeout_at
  )
  insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, outcome, checkpoint_name)
  select p_now, p_task_id, p_queue_no, v_task.attempt, 'e', 't', g.step_name
  from gone g
  where g.timeout_at <= p_now and g.event_name = v_task.wake_event
  on conflict (queue_no, task_id, checkpoint_name) do update
  set seq = excluded.seq, recorded_at = excluded.recorded_at, attempt = excluded.attempt, kind = 'e', outcome = 't'
  where c.state is null;
  if found and not v_task.has_records then
    update absurd.tasks t set has_records = true where t.queue_no = p_queue_no and t.task_id = p_task_id;
  end if;
end
$$;
