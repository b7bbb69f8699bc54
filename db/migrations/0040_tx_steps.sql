-- Steps that run in a transaction of their own: what such a step writes is there exactly when its checkpoint is.
--
-- The transaction does the step's work first, and as its last statement calls record_step, which locks the task's
-- row until the end of the transaction. So nobody can take the run away between the check and the commit, and a
-- worker whose connection broke while it committed learns from find_step, which waits for that lock, what came of
-- it.

-- lock_held_run locks the row of a task, waiting for it, and answers whether the worker holds the run under this
-- token and its lease is alive: ok, lost or cancelled, as commit_passes does.
create function absurd.lock_held_run(p_queue_no integer, p_worker bigint, p_task uuid, p_token integer, out answer text, out attempt integer)
language plpgsql
as $$
declare
  v_state  "char";
  v_worker bigint;
  v_token  integer;
  v_lease  timestamptz;
begin
  select t.state, t.worker_id, t.token, t.attempt into v_state, v_worker, v_token, attempt
  from absurd.tasks t
  where t.queue_no = p_queue_no and t.task_id = absurd.shown_task(p_queue_no, p_task)
  for no key update;
  if v_state = 'x' and v_token = p_token then
    answer := 'cancelled';
  elsif v_state = 'r' and v_worker = p_worker and v_token = p_token then
    -- The lease is looked at after the row is locked: whoever would take the run from an expired worker needs it too.
    select w.lease_expires_at into v_lease from absurd.workers w where w.worker_id = p_worker and absurd.own_worker(w.login);
    if v_lease > absurd.current_time() then
      answer := 'ok';
    elsif v_lease is null or v_lease <= transaction_timestamp() or current_setting('transaction_isolation') = 'read committed' then
      answer := 'lost';
    else
      -- The lease may have been renewed since this transaction's snapshot was taken.
      raise exception 'the lease of worker % cannot be seen in this snapshot: run the transaction again', p_worker
        using errcode = 'serialization_failure';
    end if;
  else
    answer := 'lost';
  end if;
end
$$;

-- record_step records the value of a step, as the last statement of a transaction that did the step's work.
-- Answers, one row:
--
--   ok         recorded; it is there when the transaction commits
--   recorded   the step has an outcome already, which the row holds: roll back
--   lost       the run is not (or no longer) this worker's under this token, or its lease has ended: roll back
--   cancelled  the task has been cancelled: roll back
--
-- A pending record is replaced. Locks the task's row, waiting for whoever holds it. AB004 for an unknown queue.
create function absurd.record_step(p_queue text, p_worker bigint, p_task uuid, p_token integer, p_name text, p_fingerprint bigint,
  p_recorded_at timestamptz, p_state jsonb)
returns table (answer text, outcome text, recorded_at timestamptz, state jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_held     record;
begin
  select * into v_held from absurd.lock_held_run(v_queue_no, p_worker, p_task, p_token);
  if v_held.answer = 'ok' then
    insert into absurd.checkpoints as c (recorded_at, fingerprint, task_id, queue_no, attempt, checkpoint_name, state)
    values (p_recorded_at, p_fingerprint, p_task, v_queue_no, v_held.attempt, p_name, p_state)
    on conflict (queue_no, task_id, checkpoint_name) do update
      set seq = excluded.seq, recorded_at = excluded.recorded_at, fingerprint = excluded.fingerprint, attempt = excluded.attempt,
          kind = excluded.kind, outcome = excluded.outcome, state = excluded.state
      where c.outcome = 'n';
    if not found then
      return query
        select 'recorded', c.outcome::text, c.recorded_at, c.state
        from absurd.checkpoints c
        where c.queue_no = v_queue_no and c.task_id = p_task and c.checkpoint_name = p_name;
      return;
    end if;
  end if;
  return query select v_held.answer, null::text, null::timestamptz, null::jsonb;
end
$$;

-- find_step answers what became of a record_step whose transaction was committed without an answer: recorded, with
-- the outcome; ok when there is none, and the worker still holds the run; else lost or cancelled. It waits for that
-- transaction to end. Locks the task's row. AB004 for an unknown queue.
create function absurd.find_step(p_queue text, p_worker bigint, p_task uuid, p_token integer, p_name text)
returns table (answer text, outcome text, recorded_at timestamptz, state jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_held     record;
begin
  select * into v_held from absurd.lock_held_run(v_queue_no, p_worker, p_task, p_token);
  return query
    select 'recorded', c.outcome::text, c.recorded_at, c.state
    from absurd.checkpoints c
    where v_held.answer = 'ok' and c.queue_no = v_queue_no and c.task_id = p_task and c.checkpoint_name = p_name and c.outcome <> 'n';
  if not found then
    return query select v_held.answer, null::text, null::timestamptz, null::jsonb;
  end if;
end
$$;
