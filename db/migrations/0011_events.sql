-- Waiting for events, and emitting them, as the clients of claim_task do.

-- await_event answers (false, payload) if the event has been emitted or the step has its answer already, (false, null) if the step's
-- wait has timed out, and otherwise puts the run to sleep until the event or for p_timeout seconds: (true, null).
create function absurd.await_event(p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text,
  p_timeout integer default null)
returns table (should_suspend boolean, payload jsonb)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_queue_no   integer := absurd.require_queue(p_queue_name);
  v_now        timestamptz := absurd.current_time();
  v_timeout_at timestamptz := v_now + make_interval(secs => p_timeout);
  v_task_id    uuid := absurd.shown_task(v_queue_no, p_task_id);
  v_tenant     text := '';
  v_payload    jsonb;
  v_run        record;
  v_task       absurd.tasks;
begin
  perform absurd.check_name('the event name', p_event_name);
  perform absurd.check_name('the step name', p_step_name);
  if p_timeout < 0 then
    raise exception 'the timeout of event "%" must not be negative', p_event_name;
  end if;

  select c.state into v_payload from absurd.checkpoints c
  where c.queue_no = v_queue_no and c.task_id = v_task_id and c.checkpoint_name = p_step_name and c.outcome in ('v', 'n');
  if v_payload is not null then
    return query select false, v_payload;
    return;
  end if;

  -- The event's row is locked before the task's, so that no emit can fall between the look and the wait.
  select t.tenant into v_tenant from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id;
  if found then
    v_payload := absurd.share_event(v_queue_no, v_tenant, p_event_name);
  end if;
  v_run := absurd.lock_own_run(v_queue_no, p_task_id, p_run_id);
  v_task := v_run.task;
  if v_run.state <> 'r' then
    raise exception 'run % cannot await an event: it is % and not running', p_run_id, absurd.state_word(v_run.state);
  end if;

  if (v_payload is null or v_task.wake_event is distinct from p_event_name) and exists (
    select from absurd.checkpoints c
    where c.queue_no = v_queue_no and c.task_id = p_task_id and c.checkpoint_name = p_step_name and c.outcome = 't'
      and c.attempt = v_task.attempt)
  then
    -- The timeout of this step was recorded by the claim. It stands, whatever is emitted later, from the first answer on.
    if v_task.wake_event = p_event_name then
      update absurd.tasks t set wake_event = null where t.queue_no = v_queue_no and t.task_id = p_task_id;
    end if;
    return query select false, null::jsonb;
  elsif v_payload is not null then
    update absurd.tasks t set event_payload = null
    where t.queue_no = v_queue_no and t.task_id = p_task_id and t.event_payload is not null;
    perform absurd.write_checkpoint(v_task, p_step_name, 'e', v_payload, v_now);
    return query select false, v_payload;
  else
    insert into absurd.waits (queue_no, task_id, step_name, tenant, event_name, timeout_at, created_at)
    values (v_queue_no, p_task_id, p_step_name, v_task.tenant, p_event_name, v_timeout_at, v_now)
    on conflict (queue_no, task_id, step_name) do update
    set tenant = excluded.tenant, event_name = excluded.event_name, timeout_at = excluded.timeout_at, created_at = excluded.created_at;
    perform absurd.put_to_sleep(v_task, coalesce(v_timeout_at, 'infinity'), p_event_name);
    return query select true, null::jsonb;
  end if;
end
$$;

-- share_event makes sure that an event has a row, locks it against emitters, and returns the payload (null: not emitted yet).
create function absurd.share_event(p_queue_no integer, p_tenant text, p_event_name text) returns jsonb
language plpgsql
as $$
declare
  v_payload jsonb;
begin
  loop
    select e.payload into v_payload from absurd.events e
    where e.queue_no = p_queue_no and e.tenant = p_tenant and e.event_name = p_event_name for share;
    if found then
      return v_payload;
    end if;
    insert into absurd.events (queue_no, tenant, event_name, emitted_at) values (p_queue_no, p_tenant, p_event_name, 'epoch')
    on conflict (queue_no, tenant, event_name) do nothing;
  end loop;
end
$$;

-- emit_event gives an event its payload (SQL null: json null) and wakes whoever waits for it. The first emit counts; later ones do
-- nothing.
create function absurd.emit_event(p_queue_name text, p_event_name text, p_payload jsonb default null) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  perform absurd.check_name('the event name', p_event_name);
  perform absurd.emit_to_waiters(absurd.require_queue(p_queue_name), absurd.session_tenant(null), array[p_event_name], array[coalesce(p_payload, 'null')],
    absurd.current_time());
end
$$;
