-- Checkpoints, as the clients of claim_task write and read them. Records that only our own workers understand (failures,
-- timeouts, superseded ones) are not shown to these clients.

-- set_task_checkpoint_state records the value of a step. The same attempt, or a later one, overwrites what is there. With
-- p_extend_claim_by the lease of a running run ends that many seconds from now.
create function absurd.set_task_checkpoint_state(p_queue_name text, p_task_id uuid, p_step_name text, p_state jsonb, p_owner_run uuid,
  p_extend_claim_by integer default null) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_now      timestamptz := absurd.current_time();
  v_run      record;
begin
  perform absurd.check_name('the step name', p_step_name);
  v_run := absurd.lock_own_run(v_queue_no, p_task_id, p_owner_run);
  if p_extend_claim_by > 0 and v_run.state = 'r' and (v_run.task).claim_expires_at is not null then
    perform absurd.set_lease(v_run.task, v_now + make_interval(secs => p_extend_claim_by));
  end if;
  perform absurd.write_checkpoint(v_run.task, p_step_name, 's', p_state, v_now);
end
$$;

-- lock_own_run locks a run and its task for a call in which a worker names both. The two must belong together; a cancelled task
-- raises AB001, a failed run AB002.
create function absurd.lock_own_run(p_queue_no integer, p_task_id uuid, p_run_id uuid, out task absurd.tasks, out state "char")
language plpgsql
as $$
declare
  v_run record;
begin
  select * into v_run from absurd.lock_run(p_queue_no, p_run_id);
  task := v_run.task;
  state := v_run.state;
  if state is not null and p_task_id is distinct from task.task_id then
    raise exception 'run % is no run of task %', p_run_id, p_task_id;
  end if;
  perform absurd.refuse_lost_run(p_run_id, case when task.state = 'x' then 'x' else state end);
end
$$;

-- write_checkpoint stores a value for the current attempt of a locked task, unless a later attempt has stored one.
create function absurd.write_checkpoint(p_task absurd.tasks, p_name text, p_kind "char", p_state jsonb, p_now timestamptz) returns void
language plpgsql
as $$
begin
  insert into absurd.checkpoints as c (recorded_at, task_id, queue_no, attempt, kind, outcome, checkpoint_name, state)
  values (p_now, p_task.task_id, p_task.queue_no, p_task.attempt, p_kind, 'v', p_name, p_state)
  on conflict (queue_no, task_id, checkpoint_name) do update
  set seq = excluded.seq, recorded_at = excluded.recorded_at, fingerprint = 0, attempt = excluded.attempt, kind = excluded.kind,
      outcome = 'v', state = excluded.state
  where c.attempt <= excluded.attempt;
  if not p_task.has_records then
    update absurd.tasks t set has_records = true where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  end if;
end
$$;

-- get_task_checkpoint_state reads one checkpoint: no row if there is none, or only a pending one that was not asked for.
create function absurd.get_task_checkpoint_state(p_queue_name text, p_task_id uuid, p_step_name text,
  p_include_pending boolean default false)
returns table (checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamptz)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task_id);
begin
  return query
    select c.checkpoint_name, c.state, c.status, c.owner_run_id, c.updated_at
    from absurd.reader_checkpoints c
    where c.queue_no = v_queue_no and c.task_id = v_task_id and c.checkpoint_name = p_step_name
      and (c.outcome = 'v' or c.outcome = 'n' and p_include_pending);
end
$$;

-- get_task_checkpoint_states reads what a run may see: the committed checkpoints of its own attempt and of earlier ones, oldest
-- first.
create function absurd.get_task_checkpoint_states(p_queue_name text, p_task_id uuid, p_run_id uuid)
returns table (checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamptz)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_run      record;
begin
  select f.task_id, f.attempt into v_run from absurd.find_run(v_queue_no, p_run_id) f;
  if v_run.task_id is null then
    raise exception 'run % not found', p_run_id;
  elsif v_run.task_id is distinct from p_task_id then
    raise exception 'run % is no run of task %', p_run_id, p_task_id;
  end if;
  return query
    select c.checkpoint_name, c.state, c.status, c.owner_run_id, c.updated_at
    from absurd.reader_checkpoints c
    where c.queue_no = v_queue_no and c.task_id = p_task_id and c.outcome = 'v' and c.attempt <= v_run.attempt
    order by c.updated_at, c.seq;
end
$$;
