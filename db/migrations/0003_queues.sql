-- Queues, and the five relations under which readers see one queue.

-- validate_queue_name returns its argument, or raises: a name has 1 to 57 bytes, so that a prefix and a partition's tag fit
-- into an identifier beside it.
create function absurd.validate_queue_name(p_queue_name text) returns text
language plpgsql
as $$
begin
  if p_queue_name is null or p_queue_name = '' then
    raise exception 'a queue name must not be empty';
  end if;
  if octet_length(p_queue_name) > 57 then
    raise exception 'queue name "%" has % bytes; at most 57 are allowed', p_queue_name, octet_length(p_queue_name);
  end if;
  return p_queue_name;
end
$$;

-- require_queue is the number under which a queue's rows are kept. An unknown queue raises 42P01, because to callers a queue is
-- a set of tables.
create function absurd.require_queue(p_queue_name text) returns integer
language plpgsql stable
as $$
declare
  v_queue_no integer;
begin
  select q.queue_no into v_queue_no from absurd.queues q where q.queue_name = p_queue_name;
  if v_queue_no is null then
    raise exception 'queue "%" does not exist', p_queue_name
      using errcode = 'undefined_table', hint = 'Make it first: select absurd.create_queue(...)';
  end if;
  return v_queue_no;
end
$$;

-- state_word is the long form of a task's state.
create function absurd.state_word(p_state "char") returns text
language sql immutable strict parallel safe
return case p_state when 'p' then 'pending' when 'r' then 'running' when 's' then 'sleeping' when 'b' then 'blocked'
                      when 'c' then 'completed' when 'f' then 'failed' when 'x' then 'cancelled' end;

-- The readers' relations, over all queues, each with the rows of the tenants that the session may use; of events, who may use all
-- tenants sees those of tenant '', because a reader expects one row an event name. As barriers, so that no function of a reader
-- sees a row before the tenant was looked at.

create view absurd.reader_tasks with (security_barrier) as
select t.queue_no, t.task_id, n.task_name, t.params, t.headers, t.retry_strategy, t.max_attempts, t.cancellation, t.enqueue_at,
       t.first_started_at, case t.state when 'b' then 'sleeping' else absurd.state_word(t.state) end as state,
       t.attempt as attempts, coalesce(t.run_id, t.task_id) as last_attempt_run,
       case when t.state = 'c' then t.result end as completed_payload,
       case when t.state = 'x' then t.ended_at end as cancelled_at,
       t.idempotency_key, t.failure
from absurd.tasks t
join absurd.task_names n on n.name_no = t.name_no
where (select absurd.my_tenants()) is null or t.tenant = any ((select absurd.my_tenants())::text[]);

-- run_state is the state of a task's current run. It differs from the task's where a policy cancelled the task because its
-- failed run could not be retried in time: then the failure is kept, and the run is failed.
create function absurd.run_state(p_task_state "char", p_failure jsonb) returns "char"
language sql immutable parallel safe
return case when p_task_state = 'x' and p_failure is not null then 'f'::"char" else p_task_state end;

-- The current run of each task, as its task's row has it.
create view absurd.reader_current_runs with (security_barrier) as
select t.queue_no, t.task_id, t.run_id, t.attempt, t.enqueue_at,
       case t.state when 'b' then 'sleeping' else absurd.state_word(absurd.run_state(t.state, t.failure)) end as state,
       case when t.worker_id is null then t.claimed_by else coalesce(w.worker_name, 'worker ' || t.worker_id) end as claimed_by,
       case when t.worker_id is null then t.claim_expires_at else w.lease_expires_at end as claim_expires_at,
       coalesce(t.available_at, t.enqueue_at) as available_at, t.wake_event, t.event_payload, t.started_at,
       case when t.state = 'c' then t.ended_at end as completed_at,
       case when absurd.run_state(t.state, t.failure) = 'f' then t.ended_at end as failed_at,
       case when t.state = 'c' then t.result end as result,
       case when absurd.run_state(t.state, t.failure) = 'f' then t.failure end as failure_reason
from absurd.tasks t
left join absurd.workers w on w.worker_id = t.worker_id
where (select absurd.my_tenants()) is null or t.tenant = any ((select absurd.my_tenants())::text[]);

-- Three branches, so that a look-up by run id finds an index in each: first attempts, later current ones, and those that are over.
create view absurd.reader_runs with (security_barrier) as
select c.queue_no, c.task_id as run_id, c.task_id, c.attempt, c.state, c.claimed_by, c.claim_expires_at, c.available_at,
       c.wake_event, c.event_payload, c.started_at, c.completed_at, c.failed_at, c.result, c.failure_reason, c.enqueue_at as created_at
from absurd.reader_current_runs c
where c.run_id is null
union all
select r.queue_no, r.run_id, r.task_id, r.attempt, c.state, c.claimed_by, c.claim_expires_at, c.available_at,
       c.wake_event, c.event_payload, c.started_at, c.completed_at, c.failed_at, c.result, c.failure_reason, r.created_at
from absurd.runs r
join absurd.reader_current_runs c on c.queue_no = r.queue_no and c.task_id = r.task_id and (c.run_id = r.run_id) is true -- no reason to read runs in the order of their ids
where r.state = 'p' and r.attempt <> 0
union all
select r.queue_no, r.run_id, r.task_id, r.attempt, absurd.state_word(r.state), r.claimed_by, r.claim_expires_at,
       coalesce(r.available_at, r.created_at), null::text, null::jsonb, r.started_at, null::timestamptz, r.failed_at, null::jsonb,
       r.failure_reason, r.created_at
from absurd.runs r
where r.state <> 'p' and r.attempt <> 0 and ((select absurd.my_tenants()) is null or absurd.my_task(r.queue_no, r.task_id));

create view absurd.reader_checkpoints with (security_barrier) as
select c.queue_no, c.seq, c.attempt, c.outcome, c.task_id, c.checkpoint_name, c.state, case c.outcome when 'n' then 'pending' else 'committed' end as status,
       case c.attempt when 1 then c.task_id
         else (select r.run_id from absurd.runs r
               where r.queue_no = c.queue_no and r.task_id = c.task_id and r.attempt = c.attempt and r.attempt <> 0) end as owner_run_id,
       c.recorded_at as updated_at
from absurd.checkpoints c
where (select absurd.my_tenants()) is null or absurd.my_task(c.queue_no, c.task_id);

create view absurd.reader_events with (security_barrier) as
select e.queue_no, e.event_name, e.payload, e.emitted_at
from absurd.events e
where e.tenant = any (coalesce((select absurd.my_tenants()), '{""}'));

create view absurd.reader_waits with (security_barrier) as
select w.queue_no, w.task_id, coalesce(t.run_id, t.task_id) as run_id, w.step_name, w.event_name, w.timeout_at, w.created_at
from absurd.waits w
join absurd.tasks t on t.queue_no = w.queue_no and t.task_id = w.task_id
where t.state in ('s', 'b') and w.kind = 'e'
  and ((select absurd.my_tenants()) is null or t.tenant = any ((select absurd.my_tenants())::text[]));

create view absurd.reader_keys with (security_barrier) as
select k.queue_no, k.idempotency_key, k.task_id
from absurd.idempotency_keys k
where k.scope = '' and k.tenant = any (coalesce((select absurd.my_tenants()), '{""}'));

-- ensure_queue_tables makes those of a queue's relations that are missing. A queue that has them all takes no lock.
create function absurd.ensure_queue_tables(p_queue_name text) returns void
language plpgsql
as $$
declare
  v_queue_no integer;
  v_relation record;
begin
  perform absurd.validate_queue_name(p_queue_name);
  v_queue_no := absurd.require_queue(p_queue_name);
  if v_queue_no < 0 then
    perform absurd.ensure_storage(p_queue_name, v_queue_no);
  end if;
  for v_relation in
    select format('absurd.%I', d.prefix || '_' || p_queue_name) as name, d.prefix || '_' || p_queue_name as relname, d.columns,
           case when d.prefix in ('e', 'i') then 'absurd' else absurd.storage_schema(v_queue_no) end || '.' || d.source as source
    from (values
      ('t', 'reader_tasks', 'task_id, task_name, params, headers, retry_strategy, max_attempts, cancellation, enqueue_at,'
        ' first_started_at, state, attempts, last_attempt_run, completed_payload, cancelled_at, idempotency_key'),
      ('r', 'reader_runs', 'run_id, task_id, attempt, state, claimed_by, claim_expires_at, available_at, wake_event,'
        ' event_payload, started_at, completed_at, failed_at, result, failure_reason, created_at'),
      ('c', 'reader_checkpoints', 'task_id, checkpoint_name, state, status, owner_run_id, updated_at'),
      ('e', 'reader_events', 'event_name, payload, emitted_at'),
      ('w', 'reader_waits', 'task_id, run_id, step_name, event_name, timeout_at, created_at'),
      ('i', 'reader_keys', 'idempotency_key, task_id')
    ) d (prefix, source, columns)
    where d.prefix <> 'i' or v_queue_no < 0
  loop
    continue when to_regclass(v_relation.name) is not null;
    -- Two sessions that repair one queue at once: the second waits here, and then finds the relation. It looks into the catalog itself, because
    -- what a session has cached of it may be older.
    perform pg_advisory_xact_lock(hashtext('absurd.ensure_queue_tables'), v_queue_no);
    continue when exists (select from pg_catalog.pg_class c where c.relnamespace = 'absurd'::regnamespace and c.relname = v_relation.relname);
    perform absurd.require_all_tenants('make a queue');
    execute format('create view %s as select %s from %s where queue_no = %s',
                   v_relation.name, v_relation.columns, v_relation.source, v_queue_no);
    perform absurd.grant_reading(v_relation.name);
  end loop;
end
$$;

-- check_name_is_free raises for the name of a new queue that would stand for relations of another one: the partitions of queue x
-- are called t_x_423 and t_x_d, so x_423 and x_d cannot be queues beside a partitioned queue x. It makes those who create queues of
-- one such family wait for each other.
create function absurd.check_name_is_free(p_queue_name text, p_mode text) returns void
language plpgsql
as $$
declare
  v_family text := regexp_replace(p_queue_name, '_([0-9]{3}|d)$', '');
  v_other  text;
begin
  perform pg_advisory_xact_lock(hashtext('absurd.create_queue'), f.key)
  from (select distinct hashtext(n) as key from unnest(array[p_queue_name, v_family]) n order by 1) f;
  if exists (select from absurd.queues q where q.queue_name = p_queue_name) then
    return;
  end if;
  select q.queue_name into v_other from absurd.queues q
  where q.queue_name = v_family and v_family <> p_queue_name and q.storage_mode = 'partitioned'
     or p_mode = 'partitioned' and left(q.queue_name, -4) = p_queue_name and q.queue_name ~ '_[0-9]{3}$'
     or p_mode = 'partitioned' and q.queue_name = p_queue_name || '_d'
  limit 1;
  if found then
    raise exception 'queue "%" cannot be made beside queue "%": the partitions of one are called like the relations of the other',
      p_queue_name, v_other using hint = 'Choose a name that does not end in an underscore with d or three digits.';
  end if;
  select c.relname into v_other from unnest(array['t', 'r', 'c', 'e', 'w', 'i']) p (prefix)
  join pg_catalog.pg_class c on c.relname = p.prefix || '_' || p_queue_name and c.relnamespace = 'absurd'::regnamespace;
  if found then
    raise exception 'queue "%" cannot be made: schema absurd holds another relation "%"', p_queue_name, v_other;
  end if;
end
$$;

-- create_queue makes a queue, or does nothing if it exists with the same storage mode.
create function absurd.create_queue(p_queue_name text, p_storage_mode text) returns void
language plpgsql
as $$
declare
  v_mode  text := lower(btrim(p_storage_mode));
  v_found text;
begin
  perform absurd.validate_queue_name(p_queue_name);
  if v_mode is null or v_mode not in ('unpartitioned', 'partitioned') then
    raise exception 'queue "%": storage mode % is unknown; use unpartitioned or partitioned', p_queue_name, coalesce(quote_literal(p_storage_mode), 'null');
  end if;
  select q.storage_mode into v_found from absurd.queues q where q.queue_name = p_queue_name;
  if not found then
    perform absurd.require_all_tenants('make a queue');
    perform absurd.check_name_is_free(p_queue_name, v_mode);
    insert into absurd.queues (queue_name, storage_mode, queue_no) overriding system value
    select p_queue_name, v_mode, case v_mode when 'partitioned' then -n.no else n.no end
    from (
      -- Storage of another number may be left of an installation of which schema absurd alone was dropped.
      select s.no
      from (select nextval(pg_get_serial_sequence('absurd.queues', 'queue_no'))::integer as no from generate_series(1, 100000)) s
      where v_mode <> 'partitioned' or to_regnamespace(absurd.storage_schema(-s.no)) is null
      limit 1
    ) n
    on conflict (queue_name) do nothing;
    select q.storage_mode into v_found from absurd.queues q where q.queue_name = p_queue_name;
  end if;
  if v_found <> v_mode then
    raise exception 'queue "%" exists with storage mode %, not %', p_queue_name, v_found, v_mode;
  end if;
  perform absurd.ensure_queue_tables(p_queue_name);
end
$$;

-- create_queue with a name alone makes an unpartitioned queue.
create function absurd.create_queue(p_queue_name text) returns void
language plpgsql
as $$
begin
  perform absurd.create_queue(p_queue_name, 'unpartitioned');
end
$$;

-- drop_queue removes a queue with everything in it; an unknown name is no error. It drops whatever relations stand under the
-- queue's names, and checks no name: what exists must be removable. Open tasks with relatives on other queues are cancelled first: their
-- parents hear of it, and their children end. For that it waits for whoever has locked such a parent, or one of the queue's open tasks or events. A
-- queue whose relations, or tables of its own, others use without a gap for some seconds is not dropped: 55P03 (see close_queue).
create function absurd.drop_queue(p_queue_name text) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_queue_no integer;
begin
  perform absurd.require_all_tenants('drop a queue');
  perform absurd.lock_partitioning(p_queue_name, q.queue_no) from absurd.queues q where q.queue_name = p_queue_name;
  select q.queue_no into v_queue_no from absurd.queues q where q.queue_name = p_queue_name;
  if not found then
    return;
  end if;
  perform absurd.close_queue(p_queue_name, v_queue_no);
  if v_queue_no > 0 then
    -- In the order in which calls of the queue take them.
    perform from absurd.queues q where q.queue_no = v_queue_no for update;
    perform from absurd.events e where e.queue_no = v_queue_no order by e.tenant, e.event_name for update;
    perform from absurd.tasks t where t.queue_no = v_queue_no and t.state not in ('c', 'f', 'x') order by t.task_id for update;
    perform absurd.leave_relatives(v_queue_no, p_queue_name, absurd.current_time());
  end if;
  perform absurd.unschedule_jobs(absurd.cron_jobs_of(p_queue_name));
  if v_queue_no < 0 then
    perform absurd.drop_storage(p_queue_name, v_queue_no);
  end if;
  -- An event that has come since, and that an emit holds which waits for another one, stays: nobody sees it any more.
  delete from absurd.events d where d.ctid = any (array(select e.ctid from absurd.events e where e.queue_no = v_queue_no for update skip locked));
  delete from absurd.tasks where queue_no = v_queue_no;
  delete from absurd.runs where queue_no = v_queue_no;
  delete from absurd.ended where queue_no = v_queue_no;
  delete from absurd.ready where queue_no = v_queue_no;
  delete from absurd.timers where queue_no = v_queue_no and kind = 'w';
  delete from absurd.timers where queue_no = v_queue_no and kind <> 'w';
  delete from absurd.waits where queue_no = v_queue_no;
  delete from absurd.messages where queue_no = v_queue_no;
  delete from absurd.unique_keys where queue_no = v_queue_no;
  delete from absurd.message_keys where queue_no = v_queue_no;
  delete from absurd.checkpoints where queue_no = v_queue_no;
  delete from absurd.claims where queue_no = v_queue_no;
  delete from absurd.idempotency_keys where queue_no = v_queue_no;
  delete from absurd.worker_queues where queue_no = v_queue_no;
  delete from absurd.tenant_walks where queue_no = v_queue_no;
  delete from absurd.runs_by_hand where queue_no = v_queue_no;
  delete from absurd.task_names where queue_no = v_queue_no;
  delete from absurd.queues where queue_no = v_queue_no;
end
$$;

-- list_queues names all queues, in order.
create function absurd.list_queues() returns table (queue_name text)
language plpgsql
as $$
begin
  return query select q.queue_name from absurd.queues q order by q.queue_name;
end
$$;
