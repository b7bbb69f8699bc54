-- Spawning one task.

-- task_name_no is the number of a task name on a queue, made at its first use.
create function absurd.task_name_no(p_queue_no integer, p_task_name text) returns integer
language plpgsql
as $$
declare
  v_name_no integer;
begin
  loop
    select n.name_no into v_name_no from absurd.task_names n where n.queue_no = p_queue_no and n.task_name = p_task_name;
    if found then
      return v_name_no;
    end if;
    insert into absurd.task_names (queue_no, task_name) values (p_queue_no, p_task_name) on conflict (queue_no, task_name) do nothing;
  end loop;
end
$$;

-- insert_task writes a pending task under the given id. Its options are checked by the caller.
create function absurd.insert_task(p_queue_no integer, p_task_id uuid, p_task_name text, p_params jsonb, p_headers jsonb,
  p_retry_strategy jsonb, p_max_attempts integer, p_cancellation jsonb, p_idempotency_key text, p_tenant text, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_name_no integer := absurd.task_name_no(p_queue_no, p_task_name);
  v_policy  float8;
begin
  insert into absurd.tasks (task_id, enqueue_at, available_at, queue_no, name_no, max_attempts, params, headers, retry_strategy,
    cancellation, idempotency_key, tenant)
  values (p_task_id, p_now, p_now, p_queue_no, v_name_no, p_max_attempts, p_params, p_headers, p_retry_strategy, p_cancellation,
    p_idempotency_key, p_tenant);
  insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
  values (p_queue_no, v_name_no, 0, p_now, p_task_id, nullif(p_tenant, ''));
  if p_cancellation is not null then
    v_policy := least(absurd.seconds_option(p_cancellation, 'max_delay'), absurd.seconds_option(p_cancellation, 'max_duration'));
    if v_policy is not null then
      insert into absurd.timers (queue_no, kind, due_at, task_id) values (p_queue_no, 'd', p_now + make_interval(secs => v_policy), p_task_id)
      on conflict do nothing;
    end if;
  end if;
  perform absurd.notify_ready(p_queue_no);
end
$$;

-- spawn_task makes a pending task with its first run, whose id is the task's. p_options: headers, retry_strategy, max_attempts
-- (absent: no limit), cancellation, idempotency_key; unknown keys are ignored, values that would make a later call raise are
-- refused. A key that exists answers with the task that has it, whatever the other arguments.
create function absurd.spawn_task(p_queue_name text, p_task_name text, p_params jsonb, p_options jsonb default '{}')
returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no integer;
  v_now      timestamptz := absurd.current_time();
  v_task_id  uuid := absurd.uuidv7_at(v_now);
  v_key      text := p_options ->> 'idempotency_key';
  v_tenant   text := absurd.session_tenant(null);
  v_tries    integer := 0;
begin
  perform absurd.check_name('the task name', p_task_name);
  perform absurd.check_task_options(p_options, p_options -> 'retry_strategy', p_options -> 'cancellation');
  v_queue_no := absurd.require_queue(p_queue_name);
  if v_key is not null then
    if octet_length(v_key) > 2000 then
      raise exception 'the idempotency key has % bytes; at most 2000 are allowed', octet_length(v_key)
        using errcode = 'program_limit_exceeded';
    end if;
    loop
      insert into absurd.idempotency_keys (queue_no, tenant, idempotency_key, task_id) values (v_queue_no, v_tenant, v_key, v_task_id)
      on conflict (queue_no, tenant, scope, idempotency_key) do nothing;
      exit when found;
      return query
        select t.task_id, coalesce(t.run_id, t.task_id), t.attempt, false
        from absurd.idempotency_keys k
        join absurd.tasks t on t.queue_no = k.queue_no and t.task_id = k.task_id
        where k.queue_no = v_queue_no and k.tenant = v_tenant and k.scope = '' and k.idempotency_key = v_key;
      if found then
        return;
      end if;
      -- Cleanup removed the task between the two statements, so the key is free again.
      v_tries := v_tries + 1;
      if v_tries >= 10 then
        raise exception 'queue "%": the idempotency key of task "%" is reserved, but its task cannot be read', p_queue_name, p_task_name
          using errcode = 'serialization_failure', hint = 'Try again.';
      end if;
    end loop;
  end if;
  perform absurd.insert_task(v_queue_no, v_task_id, p_task_name, coalesce(p_params, 'null'), p_options -> 'headers',
    p_options -> 'retry_strategy', absurd.number_option(p_options, 'max_attempts')::integer, p_options -> 'cancellation', v_key, v_tenant, v_now);
  return query select v_task_id, v_task_id, 1, true;
end
$$;
