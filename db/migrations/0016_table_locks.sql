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

-- close_storage locks the tables of a partitioned queue that is about to be dropped, its row, and its events, which calls lock before they come
-- to the tables; and it tells the relatives of its tasks (see leave_relatives), for whose rows it waits two milliseconds at most.
create function absurd.close_storage(p_queue_name text, p_number integer) returns void
language plpgsql
as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_wait    boolean := pg_current_xact_id_if_assigned() is null;
begin
  for v_try in 1 .. 40 loop
    begin
      perform absurd.try_table_locks(array(
        select 'only ' || absurd.partitioned_table(p_number, t.table_name) || ' in access exclusive mode' from absurd.partitioned_tables() t order by t.ord), v_wait);
      perform from absurd.queues q where q.queue_no = p_number for update nowait;
      perform from absurd.events e where e.queue_no = p_number for update nowait;
      perform set_config('lock_timeout', '2ms', true);
      perform absurd.leave_relatives(p_number, p_queue_name, absurd.current_time());
      perform set_config('lock_timeout', v_timeout, true);
      return;
    exception when lock_not_available then  -- which also takes the setting back
    end;
    perform pg_sleep(0.1 * random());
  end loop;
  perform absurd.report_busy_tables(p_queue_name);
end
$$;
