-- What can happen to one task, for the functions that end, fail or revive runs. Each expects its task's row to be locked by
-- the caller, and leaves a task in one of these shapes:
--
--   pending              one ready row with the same priority and available_at
--   sleeping, blocked    one timer of kind w at available_at, and any waits; at infinity the timer or waits, by which lists find it
--   anything else        neither
--
-- The functions that callers call turn sequential scans, hash joins and merge joins off: a session keeps its plans, and one that
-- was made while a table was small must not read the whole table when it has grown.

-- find_run says which attempt of which task a run id names; nulls if none, or none that this session may use. Both never change.
create function absurd.find_run(p_queue_no integer, p_run_id uuid, out task_id uuid, out attempt integer)
language plpgsql stable
as $$
begin
  select t.task_id, 1 into find_run.task_id, find_run.attempt
  from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_run_id;
  if not found then
    select r.task_id, r.attempt into find_run.task_id, find_run.attempt
    from absurd.runs r where r.queue_no = p_queue_no and r.run_id = p_run_id;
  end if;
  task_id := absurd.shown_task(p_queue_no, task_id);
end
$$;

-- lock_run locks the task of a run and returns its row with the state of that run; a null state means that there is no such
-- run. It refuses a run that a worker with a lease of its own holds: such a run is written under its claim token alone.
create function absurd.lock_run(p_queue_no integer, p_run_id uuid, out task absurd.tasks, out state "char", out attempt integer)
language plpgsql
as $$
declare
  v_task_id uuid;
begin
  select f.task_id, f.attempt into v_task_id, lock_run.attempt from absurd.find_run(p_queue_no, p_run_id) f;
  select t.* into task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = v_task_id for update;
  if not found then
    return;
  end if;
  if coalesce(task.run_id, task.task_id) = p_run_id then
    state := absurd.run_state(task.state, task.failure);
  else
    select r.state into lock_run.state from absurd.runs r where r.queue_no = p_queue_no and r.run_id = p_run_id;
  end if;
  if state = 'r' and task.worker_id is not null then
    raise exception 'run % is held by worker % under a claim token of its own', p_run_id, task.worker_id
      using errcode = 'AB002', hint = 'Another worker took the run over; stop this one.';
  end if;
end
$$;

-- refuse_lost_run raises AB001 or AB002 for a run that its worker has lost, and P0001 for one that does not exist.
create function absurd.refuse_lost_run(p_run_id uuid, p_state "char") returns void
language plpgsql immutable
as $$
begin
  if p_state is null then
    raise exception 'run % not found', p_run_id;
  elsif p_state = 'x' then
    raise exception 'the task of run % was cancelled', p_run_id using errcode = 'AB001';
  elsif p_state = 'f' then
    raise exception 'run % has failed already; its lease may have expired', p_run_id using errcode = 'AB002';
  end if;
end
$$;

-- unschedule takes the rows away by which a task would start, be woken, or lose its lease.
create function absurd.unschedule(p_task absurd.tasks) returns void
language plpgsql
as $$
begin
  if p_task.state = 'p' then
    delete from absurd.ready r
    where r.queue_no = p_task.queue_no and r.name_no = p_task.name_no and r.priority = p_task.priority
      and r.available_at = p_task.available_at and r.task_id = p_task.task_id;
  elsif p_task.state in ('s', 'b') then
    delete from absurd.timers m
    where m.queue_no = p_task.queue_no and m.kind = 'w' and m.due_at = p_task.available_at and m.task_id = p_task.task_id;
  elsif p_task.state = 'r' then
    perform absurd.drop_lease_timer(p_task);
  end if;
  if p_task.has_waits then
    delete from absurd.waits w where w.queue_no = p_task.queue_no and w.task_id = p_task.task_id;
  end if;
end
$$;

-- drop_lease_timer takes the timer of a lease away. Those that stay are of runs that run, so that these can be counted.
create function absurd.drop_lease_timer(p_task absurd.tasks) returns void
language sql
as $$
  delete from absurd.timers m
  where m.queue_no = p_task.queue_no and m.kind <> 'w' and m.kind = 'l' and m.due_at = p_task.lease_due_at and m.task_id = p_task.task_id
$$;

-- end_task puts an open task into a final state, and tells its relatives. A failed run keeps its claim, a cancelled one does not.
-- p_failure is kept also for a task that is cancelled because its failed run may not be retried.
create function absurd.end_task(p_task absurd.tasks, p_state "char", p_result jsonb, p_failure jsonb, p_now timestamptz) returns void
language plpgsql
as $$
begin
  perform absurd.end_alone(p_task, p_state, p_result, p_failure, p_now);
  if p_task.parent_id is not null or p_task.children is not null then
    perform absurd.tell_relatives(p_task.queue_no, array[p_task.task_id], p_now);
  end if;
end
$$;

-- end_alone does so without telling the relatives.
create function absurd.end_alone(p_task absurd.tasks, p_state "char", p_result jsonb, p_failure jsonb, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_forget boolean := p_state = 'x' and p_failure is null;
begin
  perform absurd.unschedule(p_task);
  if p_state = 'x' then
    perform absurd.notice_holder(p_task, p_now);
  end if;
  update absurd.tasks t
  set state = p_state, ended_at = p_now, result = p_result, failure = p_failure, has_waits = false, wake_event = null,
      worker_id = case when v_forget then null else t.worker_id end,
      claimed_by = case when v_forget then null else t.claimed_by end,
      claim_expires_at = case when v_forget then null else t.claim_expires_at end,
      cancel_due_at = case when p_state = 'x' then least(t.cancel_due_at, p_now) else t.cancel_due_at end -- it gets no time to clean up
  where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  if p_state <> 'c' then
    perform absurd.note_ended(p_task.queue_no, p_state, array[p_task.task_id], p_now);
  end if;
  if p_task.watched then
    perform absurd.notify_ended(p_task.task_id);
  end if;
end
$$;

-- note_ended keeps failed or cancelled tasks where list_tasks finds them by state. Whatever gives a task one of these states calls
-- it, and whatever takes the state away, or the task, calls forget_ended.
create function absurd.note_ended(p_queue_no integer, p_state "char", p_tasks uuid[], p_now timestamptz) returns void
language sql
as $$
  insert into absurd.ended (queue_no, state, ended_at, task_id) select p_queue_no, p_state, p_now, u.task_id from unnest(p_tasks) u(task_id)
  on conflict do nothing
$$;

-- forget_ended takes a task from where note_ended put it.
create function absurd.forget_ended(p_task absurd.tasks) returns void
language sql
as $$
  delete from absurd.ended e
  where e.queue_no = p_task.queue_no and e.state = p_task.state and e.ended_at = p_task.ended_at and e.task_id = p_task.task_id
$$;

-- cancel_open_task cancels an open task at once, whoever holds it.
create function absurd.cancel_open_task(p_queue_no integer, p_task_id uuid, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_task absurd.tasks;
begin
  select t.* into v_task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id;
  perform absurd.end_task(v_task, 'x', null, null, p_now);
end
$$;

-- begin_attempt archives a task's attempt as failed, or as cancelled if that is how the task has ended, and starts the next one, to run at
-- p_due or at once.
create function absurd.begin_attempt(p_queue_no integer, p_task_id uuid, p_due timestamptz, p_failed_at timestamptz, p_reason jsonb,
  p_now timestamptz) returns uuid
language plpgsql
as $$
declare
  v_task   absurd.tasks;
  v_run_id uuid := absurd.uuidv7_at(p_now);
  v_due    timestamptz := greatest(p_due, p_now);
  v_ended  "char";
begin
  select t.* into v_task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id;
  perform absurd.unschedule(v_task);
  if v_task.state in ('f', 'x') then
    perform absurd.forget_ended(v_task);
  end if;
  v_ended := case when v_task.state = 'x' then absurd.run_state(v_task.state, v_task.failure) else 'f' end;

  insert into absurd.runs as r (queue_no, run_id, task_id, attempt, state, created_at, available_at, started_at, failed_at,
    claim_expires_at, claimed_by, failure_reason)
  values (p_queue_no, coalesce(v_task.run_id, v_task.task_id), p_task_id, v_task.attempt, v_ended, v_task.enqueue_at,
    v_task.available_at, v_task.started_at, case when v_ended = 'f' then p_failed_at end, v_task.claim_expires_at,
    coalesce(v_task.claimed_by, (select w.worker_name from absurd.workers w where w.worker_id = v_task.worker_id)), p_reason)
  on conflict (queue_no, run_id) do update
  set state = excluded.state, available_at = excluded.available_at, started_at = excluded.started_at, failed_at = excluded.failed_at,
      claim_expires_at = excluded.claim_expires_at, claimed_by = excluded.claimed_by, failure_reason = excluded.failure_reason;

  insert into absurd.runs (queue_no, run_id, task_id, attempt, state, created_at)
  values (p_queue_no, v_run_id, p_task_id, v_task.attempt + 1, 'p', p_now);

  update absurd.tasks t
  set state = case when v_due > p_now then 's'::"char" else 'p'::"char" end, attempt = t.attempt + 1, run_id = v_run_id,
      token = t.token + (t.state = 'x')::integer, -- a worker that held it when it was cancelled may still write
      available_at = v_due, started_at = null, ended_at = null, worker_id = null, claimed_by = null, claim_expires_at = null,
      wake_event = null, event_payload = null, has_waits = false, lost_leases = 0, result = null, failure = null
  where t.queue_no = p_queue_no and t.task_id = p_task_id;

  if v_due <= p_now then
    insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
    values (p_queue_no, v_task.name_no, v_task.priority, v_due, p_task_id, nullif(v_task.tenant, ''));
    perform absurd.notify_ready(p_queue_no);
  else
    insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_queue_no, 'w', v_due, p_task_id) on conflict do nothing;
  end if;
  return v_run_id;
end
$$;

-- fail_current_run fails the running or sleeping run of a task. Another attempt follows, at p_retry_at or by the task's retry
-- strategy, if there is one left and max_duration leaves time for it.
create function absurd.fail_current_run(p_queue_no integer, p_task_id uuid, p_reason jsonb, p_retry_at timestamptz, p_now timestamptz)
returns void
language plpgsql
as $$
declare
  v_task absurd.tasks;
  v_due  timestamptz;
begin
  select t.* into v_task from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = p_task_id;
  if v_task.attempt >= v_task.max_attempts then
    perform absurd.end_task(v_task, 'f', null, p_reason, p_now);
    return;
  end if;
  v_due := greatest(coalesce(p_retry_at, p_now + absurd.retry_delay(v_task.retry_strategy, v_task.attempt)), p_now);
  if v_task.first_started_at is not null
     and v_due >= absurd.policy_deadline(v_task.cancellation, v_task.enqueue_at, v_task.first_started_at, v_task.revived_at, p_now) then
    perform absurd.end_task(v_task, 'x', null, coalesce(p_reason, 'null'), p_now);
    return;
  end if;
  perform absurd.begin_attempt(p_queue_no, p_task_id, v_due, p_now, p_reason, p_now);
end
$$;
