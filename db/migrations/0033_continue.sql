-- Continue-as-new: a task that begins anew with another input, and without its history.

-- continue_passes does the action continue for the locked rows of passes: the task keeps its id, relatives, key, tenant, headers,
-- policies and unread messages. Its generation rises, its records and the accounts of earlier attempts go, and attempts count from
-- one again. max_duration counts on.
create function absurd.continue_passes(p_queue_no integer, p_rows tid[], p_tasks uuid[], p_actions text[], p_payloads jsonb[], p_now timestamptz)
returns void
language plpgsql
as $$
declare
  v_tasks uuid[];
begin
  select array_agg(u.task_id) into v_tasks
  from unnest(p_rows, p_tasks, p_actions) u(row, task_id, action)
  where u.row is not null and u.action = 'continue';
  if v_tasks is null then
    return;
  end if;
  delete from absurd.checkpoints c
  where c.ctid = any (array(
    select x.row
    from unnest(v_tasks) u(task_id)
    cross join lateral (
      select c.ctid as row from absurd.checkpoints c where c.queue_no = p_queue_no and c.task_id = u.task_id offset 0
    ) x));
  delete from absurd.runs r
  where r.ctid = any (array(
    select x.row
    from unnest(v_tasks) u(task_id)
    cross join lateral (
      select r.ctid as row from absurd.runs r where r.queue_no = p_queue_no and r.task_id = u.task_id and r.attempt <> 0 offset 0
    ) x));
  perform absurd.drop_waits(p_queue_no, v_tasks);

  with renewed as (
    update absurd.tasks t
    set state = 'p', params = coalesce(u.payload, 'null'), generation = t.generation + 1, attempt = 1, run_id = null, available_at = p_now,
        worker_id = null, has_records = false, has_waits = false, children = null, lost_leases = 0, failure = null
    from unnest(p_rows, p_actions, p_payloads) u(row, action, payload)
    where t.ctid = u.row and u.action = 'continue'
    returning t.name_no, t.priority, t.available_at, t.task_id, t.tenant
  )
  insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
  select p_queue_no, k.name_no, k.priority, k.available_at, k.task_id, nullif(k.tenant, '') from renewed k;
  perform absurd.notify_ready(p_queue_no);
end
$$;
