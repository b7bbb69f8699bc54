-- Notes: what a workflow tells about itself. Attributes are texts to search tasks by; published is the state that it shows to others,
-- by name. They are no records: a replay comes to them again.

-- note_passes stores the notes of units that are held (see commit_passes, which calls it): members of attributes and of published
-- replace those of the same name, and an attribute that is null goes.
create function absurd.note_passes(p_queue_no integer, p_tasks uuid[], p_held boolean[], p_units integer[], p_attributes jsonb[],
  p_published jsonb[]) returns void
language plpgsql
as $$
begin
  update absurd.tasks t
  set attributes = case when u.attributes is null then t.attributes else jsonb_strip_nulls(coalesce(t.attributes, '{}') || u.attributes) end,
      published  = case when u.published is null then t.published else coalesce(t.published, '{}') || u.published end
  from unnest(p_units, p_attributes, p_published) u(unit, attributes, published)
  cross join lateral (
    select x.ctid as row from absurd.tasks x where x.queue_no = p_queue_no and x.task_id = p_tasks[u.unit] offset 0
  ) x
  where p_held[u.unit] and t.ctid = x.row;
end
$$;

-- get_notes answers a task's tags, attributes and published state; null where there are none. No row for an unknown task; AB004 for
-- an unknown queue.
create function absurd.get_notes(p_queue text, p_task uuid) returns table (tags jsonb, attributes jsonb, published jsonb)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_queue_no integer := absurd.queue_number(p_queue);
  v_task_id  uuid := absurd.shown_task(v_queue_no, p_task);
begin
  return query
    select t.tags, t.attributes, t.published from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = v_task_id;
end
$$;
