-- Reading the records of tasks.

-- load_records answers all records of the given tasks, by task and then in the order in which they were written. No locks.
create function absurd.load_records(p_queue text, p_tasks uuid[])
returns table (task_id uuid, seq bigint, checkpoint_name text, kind text, outcome text, fingerprint bigint, attempt integer,
  recorded_at timestamptz, state jsonb)
language sql stable
as $$
  select c.task_id, c.seq, c.checkpoint_name, c.kind::text, c.outcome::text, c.fingerprint, c.attempt, c.recorded_at, c.state
  from absurd.checkpoints c
  where c.queue_no = (select q.queue_no from absurd.queues q where q.queue_name = p_queue) and c.task_id = any (p_tasks)
  order by c.task_id, c.seq
$$;

-- load_named_records answers the records of the given pairs of task and name (parallel arrays), as load_records does.
create function absurd.load_named_records(p_queue text, p_tasks uuid[], p_names text[])
returns table (task_id uuid, seq bigint, checkpoint_name text, kind text, outcome text, fingerprint bigint, attempt integer,
  recorded_at timestamptz, state jsonb)
language sql stable
as $$
  select c.task_id, c.seq, c.checkpoint_name, c.kind::text, c.outcome::text, c.fingerprint, c.attempt, c.recorded_at, c.state
  from unnest(p_tasks, p_names) u(task_id, name)
  join absurd.checkpoints c
    on c.queue_no = (select q.queue_no from absurd.queues q where q.queue_name = p_queue) and c.task_id = u.task_id and c.checkpoint_name = u.name
  order by c.task_id, c.seq
$$;
