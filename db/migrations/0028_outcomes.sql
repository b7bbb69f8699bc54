-- What became of a task, and trying again what has failed.

-- get_outcome answers a task's state in words (those of the contract, and blocked), its attempt, and its result
-- or failure. The failure of a blocked task says how code and records disagree. No row for an unknown task;
-- AB004 for an unknown queue.
create function absurd.get_outcome(p_queue text, p_task uuid)
returns table (task_id uuid, task_name text, state text, attempt integer, result jsonb, failure jsonb)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
begin
  return query
    select t.task_id, n.task_name,
           absurd.state_word(t.state), t.attempt, t.result, t.failure
    from absurd.tasks t
    join absurd.task_names n on n.name_no = t.name_no
    where t.queue_no = v_queue_no and t.task_id = v_task_id;
end
$$;

-- watch_task answers as get_outcome does, and marks an open task as watched: when it ends, 't:' and its id are
-- notified on channel absurd. Waits for a transaction that has locked the task's row, and holds that row itself
-- when it marks it.
create function absurd.watch_task(p_queue text, p_task uuid)
returns table (task_id uuid, task_name text, state text, attempt integer, result jsonb, failure jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
begin
  update absurd.tasks t
  set watched = true
  where t.queue_no = v_queue_no and t.task_id = v_task_id and not t.watched and t.state not in ('c', 'f', 'x');
  return query select * from absurd.get_outcome(p_queue, v_task_id);
end
$$;

-- retry_task_now gives a failed task another attempt at once, in place. The records named in its failure (the
-- member "records") are removed, so that what failed is done again (see revive_task). It raises max_attempts
-- where needed, forgets lost leases, and max_duration counts anew. No row for an unknown task; an error for one
-- that has not failed. Locks the task's row.
create function absurd.retry_task_now(p_queue text, p_task uuid) returns table (task_id uuid, attempt integer)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
  v_task     absurd.tasks;
begin
  select * into v_task from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id for no key update;
  if not found then
    return;
  end if;
  if v_task.state <> 'f' then
    raise exception 'task % of queue "%" has not failed: only a failed task can be tried again', p_task, p_queue;
  end if;

  perform absurd.revive_task(v_task,
    case when v_task.max_attempts is not null then greatest(v_task.max_attempts, v_task.attempt + 1) end, v_now);
  return query select p_task, v_task.attempt + 1;
end
$$;
