-- What is done to a task from outside, and what it came to.

-- cancel_task cancels an open task at once; running code finds out at its next call. A task that has ended is left as it is.
create function absurd.cancel_task(p_queue_name text, p_task_id uuid) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task_id);
  v_state    "char";
begin
  select t.state into v_state from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id for update;
  if not found then
    raise exception 'task % not found in queue "%"', p_task_id, p_queue_name;
  end if;
  if v_state in ('p', 'r', 's', 'b') then
    perform absurd.cancel_open_task(v_queue_no, p_task_id, absurd.current_time());
  end if;
end
$$;

-- retry_task gives a failed task another attempt: in place, with its checkpoints, or with spawn_new as a fresh task with the
-- same name, params and options. p_options: spawn_new; max_attempts (in place it must exceed the attempts made; absent: one more
-- than before).
create function absurd.retry_task(p_queue_name text, p_task_id uuid, p_options jsonb default '{}')
returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.require_queue(p_queue_name);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task_id);
  v_now      timestamptz := absurd.current_time();
  v_task     absurd.tasks;
  v_max      integer;
  v_id       uuid;
begin
  perform absurd.check_number_option(p_options, 'max_attempts', 1, true);
  v_max := absurd.number_option(p_options, 'max_attempts')::integer;
  select t.* into v_task from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id for update;
  if not found then
    raise exception 'task % not found in queue "%"', p_task_id, p_queue_name;
  end if;
  if v_task.state <> 'f' then
    raise exception 'task % cannot be retried: it is % and not failed', p_task_id, absurd.state_word(v_task.state);
  end if;

  if coalesce((p_options ->> 'spawn_new')::boolean, false) then
    v_id := absurd.uuidv7_at(v_now);
    perform absurd.insert_task(v_queue_no, v_id,
      (select n.task_name from absurd.task_names n where n.name_no = v_task.name_no),
      v_task.params, v_task.headers, v_task.retry_strategy, coalesce(v_max, v_task.max_attempts), v_task.cancellation, null, v_task.tenant,
      v_now);
    return query select v_id, v_id, 1, true;
    return;
  end if;

  v_max := coalesce(v_max, coalesce(v_task.max_attempts, v_task.attempt) + 1);
  if v_max <= v_task.attempt then
    raise exception 'max_attempts (%) must be greater than current attempts (%)', v_max, v_task.attempt;
  end if;
  v_id := absurd.revive_task(v_task, v_max, v_now);
  return query select p_task_id, v_id, v_task.attempt + 1, false;
end
$$;

-- revive_task begins another attempt of a failed or cancelled task, in place, and returns its run. The failures that the task's own names
-- as its records are removed, so that what failed is done again (see remove_failures), and so are cancels that the workflow has seen
-- (see forget_cancels); every other checkpoint stays.
create function absurd.revive_task(p_task absurd.tasks, p_max_attempts integer, p_now timestamptz) returns uuid
language plpgsql
as $$
declare
  v_run_id uuid;
  v_due    timestamptz := absurd.policy_deadline(p_task.cancellation, p_task.enqueue_at, p_task.first_started_at, p_now, p_now);
begin
  if jsonb_typeof(p_task.failure -> 'records') = 'array' then
    perform absurd.remove_failures(p_task.queue_no, array_agg(p_task.task_id), array_agg(r.name))
    from jsonb_array_elements_text(p_task.failure -> 'records') r (name);
  end if;
  if p_task.state = 'x' or p_task.cancel_requested_at is not null then
    perform absurd.forget_cancels(p_task.queue_no, p_task.task_id);
  end if;
  v_run_id := absurd.begin_attempt(p_task.queue_no, p_task.task_id, p_now, p_task.ended_at, p_task.failure, p_now);
  -- Policies count from here, or they would end the new attempt at once. Its timer may have gone with the old one. What was
  -- recorded together with the end of the task is not in has_records yet.
  update absurd.tasks t
  set max_attempts = p_max_attempts, revived_at = p_now, has_records = true, cancel_requested_at = null, cancel_due_at = null
  where t.queue_no = p_task.queue_no and t.task_id = p_task.task_id;
  if v_due is not null then
    insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_task.queue_no, 'd', v_due, p_task.task_id)
    on conflict do nothing;
  end if;
  if p_task.children is not null then
    perform absurd.recall_children(p_task.queue_no, p_task.task_id, p_now);
  end if;
  return v_run_id;
end
$$;

-- get_task_result is a task's state with its result, if it completed, or the reason, if it failed; no row for an unknown task.
create function absurd.get_task_result(p_queue_name text, p_task_id uuid)
returns table (task_id uuid, state text, result jsonb, failure_reason jsonb)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.require_queue(absurd.validate_queue_name(p_queue_name));
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task_id);
begin
  return query
    select t.task_id, t.state, t.completed_payload, case when t.state = 'failed' then t.failure end
    from absurd.reader_tasks t
    where t.queue_no = v_queue_no and t.task_id = v_task_id;
end
$$;
