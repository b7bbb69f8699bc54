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

-- watch_task answers as get_outcome does, and marks an open task as watched: when it ends, 't:' and notice_of its id are
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

-- retry_task_now gives a task that has failed, or was cancelled, another attempt at once, in place. The records named in its failure (the
-- member "records") are removed, so that what failed is done again (see revive_task). It raises max_attempts
-- where needed, forgets lost leases and cancel requests, and policies count anew. Children that ended with it stay ended: it is told so.
-- No row for an unknown task; an error for one that is open or completed. Locks the task's row.
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
  if v_task.state not in ('f', 'x') then
    raise exception 'task % of queue "%" is %: only a task that has failed or was cancelled can be tried again',
      p_task, p_queue, absurd.state_word(v_task.state);
  end if;
  if v_task.state = 'x' then
    perform absurd.await_flush(p_task);
  end if;

  perform absurd.revive_task(v_task,
    case when v_task.max_attempts is not null then greatest(v_task.max_attempts, v_task.attempt + 1) end, v_now);
  return query select p_task, v_task.attempt + 1;
end
$$;

-- await_flush waits for what a worker is just writing for a task that was cancelled while it ran: what only records does not lock the
-- task, and would otherwise come between the records of the next attempt. The worker's row is let go again, so that whoever calls does not
-- keep it from renewing its lease. Whoever has its row waits for no task's.
create function absurd.await_flush(p_task uuid) returns void
language plpgsql
as $$
begin
  perform from absurd.workers w
  where w.worker_id in (select n.worker_id from absurd.notices n where n.task_id = p_task)
  order by w.worker_id
  for update;
  if found then
    raise exception 'let go' using errcode = 'AB000';
  end if;
exception when sqlstate 'AB000' then
end
$$;
