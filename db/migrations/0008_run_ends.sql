-- What a worker says about the run that it holds: completed, failed, asleep, still alive.

-- complete_run completes a running run and its task with a result. The end of the lease is not looked at: who completes late, but
-- before anybody took the run over, has completed.
create function absurd.complete_run(p_queue_name text, p_run_id uuid, p_state jsonb default null) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_run      record;
begin
  select * into v_run from absurd.lock_run(v_queue_no, p_run_id);
  perform absurd.refuse_lost_run(p_run_id, v_run.state);
  if v_run.state <> 'r' then
    raise exception 'run % cannot be completed: it is % and not running', p_run_id, absurd.state_word(v_run.state);
  end if;
  perform absurd.end_task(v_run.task, 'c', p_state, null, absurd.current_time());
end
$$;

-- fail_run fails a running or sleeping run. The next attempt is due at p_retry_at, or by the task's retry strategy.
create function absurd.fail_run(p_queue_name text, p_run_id uuid, p_reason jsonb, p_retry_at timestamptz default null) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_run      record;
begin
  select * into v_run from absurd.lock_run(v_queue_no, p_run_id);
  perform absurd.refuse_lost_run(p_run_id, v_run.state);
  if v_run.state not in ('r', 's', 'b') then
    raise exception 'run % cannot be failed: it is %', p_run_id, absurd.state_word(v_run.state);
  end if;
  perform absurd.fail_current_run(v_queue_no, (v_run.task).task_id, p_reason, p_retry_at, absurd.current_time());
end
$$;

-- schedule_run puts a running run to sleep until p_wake_at. The same run, the same attempt, goes on then.
create function absurd.schedule_run(p_queue_name text, p_run_id uuid, p_wake_at timestamptz) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_run      record;
begin
  select * into v_run from absurd.lock_run(v_queue_no, p_run_id);
  perform absurd.refuse_lost_run(p_run_id, v_run.state);
  if v_run.state <> 'r' then
    raise exception 'run % cannot be put to sleep: it is % and not running', p_run_id, absurd.state_word(v_run.state);
  end if;
  if p_wake_at is null then
    raise exception 'run % needs a time to wake at', p_run_id using errcode = 'not_null_violation';
  end if;
  perform absurd.put_to_sleep(v_run.task, p_wake_at, null);
end
$$;

-- put_to_sleep suspends the running run of a task until a time (infinity: until something wakes it), and notes the event that it
-- waits for, if any.
create function absurd.put_to_sleep(p_task absurd.tasks, p_until timestamptz, p_event_name text) returns void
language plpgsql
as $$
begin
  perform absurd.drop_lease_timer(p_task);
  update absurd.tasks t
  set state = 's', available_at = p_until, claimed_by = null, claim_expires_at = null, wake_event = p_event_name,
      event_payload = null, has_waits = p_event_name is not null
  where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  if p_until < 'infinity' or p_event_name is null then
    insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_task.queue_no, 'w', p_until, p_task.task_id)
    on conflict do nothing;
  end if;
end
$$;

-- extend_claim lets the lease of a running run end p_extend_by seconds from now, which may be sooner than before.
create function absurd.extend_claim(p_queue_name text, p_run_id uuid, p_extend_by integer) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_run      record;
begin
  if p_extend_by is null or p_extend_by <= 0 then
    raise exception 'extend_by must be > 0';
  end if;
  select * into v_run from absurd.lock_run(v_queue_no, p_run_id);
  perform absurd.refuse_lost_run(p_run_id, case when (v_run.task).state = 'x' then 'x' else v_run.state end);
  if v_run.state <> 'r' then
    raise exception 'run % is not currently running: it is %', p_run_id, absurd.state_word(v_run.state);
  end if;
  if (v_run.task).claim_expires_at is null then
    raise exception 'run % has a lease that never ends, so it cannot be extended', p_run_id;
  end if;
  perform absurd.set_lease(v_run.task, absurd.current_time() + make_interval(secs => p_extend_by));
end
$$;

-- set_lease moves the end of a run's lease. The timer that watches the lease may be early, not late.
create function absurd.set_lease(p_task absurd.tasks, p_ends timestamptz) returns void
language plpgsql
as $$
begin
  if p_ends >= p_task.lease_due_at then
    update absurd.tasks t set claim_expires_at = p_ends where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  else
    perform absurd.drop_lease_timer(p_task);
    update absurd.tasks t set claim_expires_at = p_ends, lease_due_at = p_ends where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
    insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_task.queue_no, 'l', p_ends, p_task.task_id)
    on conflict do nothing;
  end if;
end
$$;
