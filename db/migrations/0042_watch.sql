-- Waits of a run that goes on: a pass that waits for an event beside a long step need not learn of it only when the step ends.

-- watch_waits does the action watch of commit_passes: it stores what the runs wait for, as for a run that goes to sleep, and leaves
-- them running. It answers for each unit whether one of its waits has an outcome, which was recorded then or before. An emit
-- records its outcome for a running task as well, and so does the end of a child; the next watch tells of it. p_due: when a sleep of the run ends. p_rows: addresses of the locked rows.
create function absurd.watch_waits(p_queue_no integer, p_rows tid[], p_tasks uuid[], p_actions text[], p_due timestamptz[], p_waiting boolean[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[], p_now timestamptz)
returns boolean[]
language plpgsql
as $$
declare
  v_picked boolean[];
  v_due    timestamptz[];
  v_told   tid[];  -- tasks a child of which has ended
begin
  select array_agg(u.row is not null and u.action = 'watch' order by u.unit),
         array_agg(coalesce(u.due, 'infinity') order by u.unit)
  into v_picked, v_due
  from unnest(p_rows, p_actions, p_due) with ordinality u(row, action, due, unit);

  v_due := absurd.store_waits(p_queue_no, v_picked, p_tasks, p_waiting, v_due, p_wait_units, p_wait_names, p_wait_kinds, p_wait_events,
    p_wait_timeouts, p_now);

  select array_agg(t.ctid) into v_told
  from absurd.tasks t
  where t.ctid = any (array(select u.row from unnest(p_rows, v_picked) u(row, picked) where u.picked)) and t.children = 'n';

  update absurd.tasks t
  set has_waits = true, children = case when t.children is not null then 'o'::"char" end
  where t.ctid = any (v_told || array(select u.row from unnest(p_rows, v_picked, p_waiting) u(row, picked, waiting) where u.picked and not u.waiting));

  return array(
    select coalesce(u.picked and (u.due <= p_now or u.row = any (v_told)), false)
    from unnest(p_rows, v_picked, v_due) with ordinality u(row, picked, due, unit)
    order by u.unit);
end
$$;
