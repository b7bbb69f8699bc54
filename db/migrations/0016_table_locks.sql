-- How statements that lock a whole table keep out of everybody's way. Calls of a queue lock its tables in whatever order they come
-- to them, and hold what they have to their end. So who wants a table for itself must never wait for one while it holds another:
-- that is a deadlock, if not with a call then with one that waits for that call, however short the wait.

-- try_table_locks takes locks of tables, each given as "<table> in <mode> mode": it waits a tenth of a second for the first, and not
-- at all for the others; nor for the first if p_wait is false. 55P03 where it does not get them all.
create function absurd.try_table_locks(p_locks text[], p_wait boolean) returns void
language plpgsql
as $$
declare
  v_timeout text := current_setting('lock_timeout');
begin
  perform set_config('lock_timeout', '100ms', true);
  for v_place in 1 .. coalesce(cardinality(p_locks), 0) loop
    execute 'lock table ' || p_locks[v_place] || case when v_place = 1 and p_wait then '' else ' nowait' end;
  end loop;
  perform set_config('lock_timeout', v_timeout, true);
end
$$;

-- take_table_locks takes locks as try_table_locks does, and lets all of them go and tries again where it does not get one, for some seconds.
-- Then it raises 55P03. A transaction that has written something may have locked rows, or tables of another queue: it waits
-- for no table. What touches a queue first should come first, because who has come past it will soon be done.
create function absurd.take_table_locks(p_queue_name text, p_locks text[]) returns void
language plpgsql
as $$
declare
  v_wait boolean := pg_current_xact_id_if_assigned() is null;
begin
  for v_try in 1 .. 40 loop
    begin
      perform absurd.try_table_locks(p_locks, v_wait);
      return;
    exception when lock_not_available then  -- which also takes the setting back
    end;
    perform pg_sleep(0.1 * random());
  end loop;
  perform absurd.report_busy_tables(p_queue_name);
end
$$;

-- report_busy_tables raises 55P03.
create function absurd.report_busy_tables(p_queue_name text) returns void
language plpgsql
as $$
begin
  raise exception 'queue "%": its tables could not be locked, because others use them all the time', p_queue_name
    using errcode = 'lock_not_available', hint = 'Nothing was changed. Try again, in a transaction of its own, or end transactions that are open for long.';
end
$$;

-- close_queue drops the relations that stand under a queue's names, which is the first step of dropping it. A partitioned queue it also takes out
-- of the view of all workflow runs, before it has locked anything else, because whoever reads or makes that view has it in hand when he comes
-- to the queue; then it locks what the queue's calls come to: its views, its tables, its row and its events; and it tells the relatives of its
-- tasks (see leave_relatives). It waits a tenth of a second for the first of all this, and for the rest two milliseconds or not at all; it
-- tries again as take_table_locks does.
create function absurd.close_queue(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_first   text := case when pg_current_xact_id_if_assigned() is null then '100ms' else '2ms' end;
  v_lock    text;
begin
  if p_number < 0 and pg_current_xact_id_if_assigned() is null then
    perform absurd.lock_workflow_runs();
  end if;
  for v_try in 1 .. 40 loop
    begin
      perform set_config('lock_timeout', v_first, true);
      if p_number < 0 then
        perform absurd.join_workflow_runs(p_number);
        perform set_config('lock_timeout', '2ms', true);
      end if;
      for v_lock in
        -- A view cannot be locked without the tables that it shows, but for a change of it: here, one that changes nothing.
        (select format('alter view %s owner to current_user', c.oid::regclass)
         from pg_catalog.pg_class c
         where p_number < 0 and c.relnamespace = to_regnamespace(absurd.storage_schema(p_number)) and c.relkind = 'v'
         order by c.relname <> 'tasks', c.oid)
        union all
        (select format('drop %s absurd.%I cascade', case c.relkind when 'v' then 'view' else 'table' end, c.relname)
         from unnest(array['t', 'r', 'c', 'e', 'w', 'i']) with ordinality p (prefix, ord)
         join pg_catalog.pg_class c on c.relname = left(p.prefix || '_' || p_queue_name, 63)
           and c.relnamespace = 'absurd'::regnamespace and c.relkind in ('r', 'p', 'v')
         order by p.ord)
      loop
        execute v_lock;
        perform set_config('lock_timeout', '2ms', true);
      end loop;
      if p_number < 0 and to_regclass(absurd.partitioned_table(p_number, 'waits')) is not null then
        perform absurd.try_table_locks(array(
          select 'only ' || absurd.partitioned_table(p_number, t.table_name) || ' in access exclusive mode' from absurd.partitioned_tables() t order by t.ord), false);
        perform from absurd.queues q where q.queue_no = p_number for update nowait;
        perform from absurd.events e where e.queue_no = p_number for update nowait;
        perform set_config('lock_timeout', '2ms', true);
        perform absurd.leave_relatives(p_number, p_queue_name, absurd.current_time());
      end if;
      perform set_config('lock_timeout', v_timeout, true);
      return;
    exception when lock_not_available then  -- which also takes the setting back
    end;
    perform pg_sleep(0.1 * random());
  end loop;
  perform absurd.report_busy_tables(p_queue_name);
end
$$;
