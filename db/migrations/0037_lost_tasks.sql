-- What is left of tasks whose partition somebody has dropped by hand. The tables that queues share still name them: their ready rows are in every
-- claim's way, their keys are taken, and who waits for one of them would wait for good. cleanup_tasks takes the first away,
-- repair_partitions all of it. (drop_detached_partition leaves nothing behind.)

-- drop_lost_ready deletes those of the first p_limit ready rows of a queue, in the order of claims, whose tasks do not exist.
create function absurd.drop_lost_ready(p_queue_no integer, p_limit integer) returns void
language plpgsql
as $$
begin
  delete from absurd.ready d
  where d.ctid = any (array(
    select r.ctid
    from (
      select r.ctid, r.task_id from absurd.ready r
      where r.queue_no = p_queue_no
      order by r.queue_no, r.name_no, r.priority, r.available_at, r.task_id
      limit p_limit
    ) r
    where not exists (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = r.task_id offset 0)));
end
$$;

-- forget_lost_tasks deletes what the shared tables hold of tasks of a partitioned queue that do not exist, and tells open tasks that wait for one
-- of them that it is gone. It reads all that they hold of the queue.
create function absurd.forget_lost_tasks(p_queue_no integer, p_queue_name text, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_table text;
  v_queue integer;
begin
  foreach v_table in array '{messages,message_keys,unique_keys,idempotency_keys,ended,ready,timers,notices}'::text[] loop
    execute format('delete from %s d where d.queue_no = $1 and not exists (select from absurd.tasks t where t.queue_no = $1 and t.task_id = d.task_id)',
      'absurd.' || v_table) using p_queue_no;
  end loop;
  for v_queue in select q.queue_no from absurd.queues q order by q.queue_no loop
    perform absurd.tell_of_lost_children(v_queue, p_queue_no, p_queue_name, p_now);
  end loop;
end
$$;

-- lost_tasks answers those of the given tasks of a queue that do not exist.
create function absurd.lost_tasks(p_queue_no integer, p_tasks uuid[]) returns uuid[]
language plpgsql
as $$
begin
  return array(
    select u.task_id from unnest(p_tasks) u(task_id)
    where not exists (select from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id offset 0));
end
$$;

-- tell_of_lost_children tells the open tasks of queue p_queue_no which of their children on another queue do not exist any more. Those that others
-- have locked are left for the next call.
create function absurd.tell_of_lost_children(p_queue_no integer, p_children_queue_no integer, p_children_queue text, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_parents  uuid[];
  v_children uuid[];
  v_names    text[];
begin
  select array_agg(c.task_id), array_agg(c.child), array_agg(c.checkpoint_name) into v_parents, v_children, v_names
  from (
    select r.task_id from absurd.ready r where r.queue_no = p_queue_no
    union
    select m.task_id from absurd.timers m where m.queue_no = p_queue_no and m.kind = 'w'
    union
    select i.task_id from absurd.claims l cross join unnest(l.task_ids) i(task_id) where l.queue_no = p_queue_no
  ) o
  cross join lateral (
    select t.task_id from absurd.tasks t
    where t.queue_no = p_queue_no and t.task_id = o.task_id and t.children is not null and t.state not in ('c', 'f', 'x')
    offset 0
  ) t
  cross join lateral (
    select c.task_id, c.checkpoint_name, (c.state ->> 'task')::uuid as child from absurd.checkpoints c
    where c.queue_no = p_queue_no and c.task_id = t.task_id and c.kind = 'c' and c.outcome = 'n' and c.state ->> 'queue' = p_children_queue
    offset 0
  ) c;
  if v_parents is not null then
    perform absurd.tell_parents(p_queue_no, array_agg(u.parent), array_agg(u.child), array_agg(u.name), array_agg('f'::"char"),
      array_agg(jsonb_build_object('task', u.child, 'state', 'unknown', 'message', 'the task is gone')), p_now)
    from unnest(v_parents, v_children, v_names) u(parent, child, name)
    where u.child = any (absurd.lost_tasks(p_children_queue_no, v_children))
    having count(*) > 0;
  end if;
end
$$;
