-- Reading the records of tasks.

-- load_records answers all records of the given tasks, by task and then in the order in which they were
-- written. AB004 for an unknown queue. No locks.
create function absurd.load_records(p_queue text, p_tasks uuid[])
returns table (task_id uuid, seq bigint, checkpoint_name text, kind text, outcome text, fingerprint bigint, attempt integer,
  recorded_at timestamptz, state jsonb)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  p_tasks := absurd.shown_tasks(v_queue_no, p_tasks);
  return query
    select c.*
    from unnest(p_tasks) u(task_id)
    cross join lateral (
      select c.task_id, c.seq, c.checkpoint_name, c.kind::text, c.outcome::text, c.fingerprint, c.attempt, c.recorded_at, c.state
      from absurd.checkpoints c
      where c.queue_no = v_queue_no and c.task_id = u.task_id
      offset 0
    ) c
    order by c.task_id, c.seq;
end
$$;

-- load_named_records answers the records of the given pairs of task and name (parallel arrays), as load_records does.
create function absurd.load_named_records(p_queue text, p_tasks uuid[], p_names text[])
returns table (task_id uuid, seq bigint, checkpoint_name text, kind text, outcome text, fingerprint bigint, attempt integer,
  recorded_at timestamptz, state jsonb)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
begin
  p_tasks := absurd.shown_tasks(v_queue_no, p_tasks);
  return query
    select c.*
    from unnest(p_tasks, p_names) u(task_id, name)
    cross join lateral (
      select c.task_id, c.seq, c.checkpoint_name, c.kind::text, c.outcome::text, c.fingerprint, c.attempt, c.recorded_at, c.state
      from absurd.checkpoints c
      where c.queue_no = v_queue_no and c.task_id = u.task_id and c.checkpoint_name = u.name
      offset 0
    ) c
    order by c.task_id, c.seq;
end
$$;

-- remove_failures removes the failures (and pending steps) with these names of these tasks, parallel arrays,
-- because they are tried again. What the same branch, and the branches below it, recorded after such a failure
-- is superseded: the code came there because of the failure and may not come there again. It stays, with its
-- outcome in upper case: served if it is asked for, and missed by nobody if it is not. Successes, children,
-- messages and events are never removed.
create function absurd.remove_failures(p_queue_no integer, p_tasks uuid[], p_names text[]) returns void
language sql
as $$
  with removed as (
    delete from absurd.checkpoints c
    where c.ctid = any (array(
      select x.row
      from unnest(p_tasks, p_names) u(task_id, name)
      cross join lateral (
        select c.ctid as row from absurd.checkpoints c
        where c.queue_no = p_queue_no and c.task_id = u.task_id and c.checkpoint_name = u.name and c.outcome in ('f', 'F', 'n')
        offset 0
      ) x))
    returning c.task_id, c.seq, coalesce(substring(c.checkpoint_name from '^([0-9][0-9.]*)/'), '') as path
  )
  update absurd.checkpoints c
  set outcome = upper(c.outcome::text)::"char"
  from removed r
  cross join lateral (
    select x.ctid as row from absurd.checkpoints x
    where x.queue_no = p_queue_no and x.task_id = r.task_id and x.seq > r.seq and (x.outcome in ('v', 'f', 't') or x.kind = 'c' and x.outcome = 'n')
      and (r.path = '' or starts_with(x.checkpoint_name, r.path || '/') or starts_with(x.checkpoint_name, r.path || '.'))
      and not exists (select from unnest(p_tasks, p_names) u(task_id, name) where u.task_id = x.task_id and u.name = x.checkpoint_name)
    offset 0
  ) x
  where c.ctid = x.row
$$;
