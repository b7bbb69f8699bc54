-- Numbers about queues, from what is alive: no finished task is looked at.

-- count_sleepers counts the sleeping tasks of a queue for queue_statistics, and its open waits; p_tenants null: of all tenants.
create function absurd.count_sleepers(p_queue_no integer, p_tenants text[],
  out sleeping bigint, out scheduled bigint, out blocked bigint, out waits bigint)
language plpgsql
as $$
begin
  select count(*) filter (where t.state = 's' and t.first_started_at is not null),
         count(*) filter (where t.state = 's' and t.first_started_at is null),
         count(*) filter (where t.state = 'b')
  into sleeping, scheduled, blocked
  from (
    select m.task_id from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'w'
    union
    select w.task_id from absurd.waits w where w.queue_no = p_queue_no
  ) o
  cross join lateral (
    select t.state, t.first_started_at from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = o.task_id and (p_tenants is null or t.tenant = any (p_tenants))
    offset 0
  ) t;
  select count(*) into waits from absurd.waits w where w.queue_no = p_queue_no and (p_tenants is null or w.tenant = any (p_tenants));
end
$$;

-- queue_statistics counts, for one queue or for all, in the order of their names: pending tasks, by their name also those that may start
-- only later (scheduled); running, sleeping and blocked ones; open waits; workers, and how many of them are idle; when the longest
-- waiting pending task became available; when the next timer is due; whether the queue is paused, and its limit of
-- running runs. AB004 for an unknown queue. A session that may not use all tenants sees its own tasks counted, and the workers of its login.
-- The cost grows with the number of open tasks, not with the history.
create function absurd.queue_statistics(p_queue text default null)
returns table (queue_name text, pending bigint, running bigint, sleeping bigint, scheduled bigint, blocked bigint, waits bigint, workers bigint,
  idle_workers bigint, oldest_pending_at timestamptz, next_due_at timestamptz, paused boolean, max_running integer)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_tenants text[] := absurd.session_tenants();
begin
  if p_queue is not null then
    perform absurd.queue_number(p_queue);
  end if;
  return query
    select q.queue_name, r.pending, h.running, s.sleeping, s.scheduled, s.blocked, s.waits, k.workers, k.idle, r.oldest, m.next, q.paused, q.max_running
    from absurd.queues q
    cross join lateral (
      select count(*) as pending, min(r.available_at) as oldest from absurd.ready r
      where r.queue_no = q.queue_no and (v_tenants is null or coalesce(r.tenant, '') = any (v_tenants))
    ) r
    cross join lateral (select absurd.running_runs(q.queue_no, v_tenants)::bigint as running offset 0) h
    cross join lateral absurd.count_sleepers(q.queue_no, v_tenants) s
    cross join lateral (
      select count(*) as workers, count(*) filter (where k.idle) as idle from absurd.worker_queues k
      join absurd.workers l on l.worker_id = k.worker_id
      where k.queue_no = q.queue_no and absurd.own_worker(l.login)
    ) k
    cross join lateral (
      select least(
        (select min(m.due_at) from absurd.timers m
         where m.queue_no = q.queue_no and m.kind = 'w' and m.due_at < 'infinity'
           and (v_tenants is null or absurd.shown_task(m.queue_no, m.task_id) is not null)),
        (select min(m.due_at) from absurd.timers m
         where m.queue_no = q.queue_no and m.kind <> 'w' and m.due_at < 'infinity'
           and (v_tenants is null or absurd.shown_task(m.queue_no, m.task_id) is not null))) as next
    ) m
    where p_queue is null or q.queue_name = p_queue
    order by q.queue_name;
end
$$;
