-- sweep frees what belongs to nobody, in bounded bites; every worker calls it about once a second. Runs of
-- workers whose lease has ended go back to their queues (see take_back), and due timers move also in queues
-- that nobody polls. p_limit bounds the tasks touched. This is the engine's housekeeping, done for all tenants
-- whoever calls. Answers a row for each worker whose lease had ended and that the session may use.
-- Rows locked by others are left for the next call.
create function absurd.sweep(p_limit integer) returns table (worker_id bigint, requeued integer, poisoned integer)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_left     integer := p_limit;
  v_worker   bigint;
  v_login    name;
  v_queue_no integer;
begin
  perform absurd.keep_house(true);
  for v_worker, v_login in
    select w.worker_id, w.login from absurd.workers w where w.lease_expires_at <= v_now order by w.lease_expires_at
    for update skip locked
  loop
    exit when v_left <= 0;
    select v_worker, d.requeued, d.poisoned into worker_id, requeued, poisoned
    from absurd.drain_claims(v_worker, null, null, true, v_left, v_now) d;
    perform absurd.remove_worker(v_worker);
    v_left := v_left - requeued - poisoned;
    if absurd.own_worker(v_login) then
      return next;
    end if;
  end loop;

  for v_queue_no in
    select q.queue_no from absurd.queues q
    where absurd.next_timer(q.queue_no) <= v_now
    order by random()
  loop
    exit when v_left <= 0;
    v_left := v_left - absurd.fire_all_timers(v_queue_no, v_left, v_now);
  end loop;
  perform absurd.keep_house(false);
end
$$;
