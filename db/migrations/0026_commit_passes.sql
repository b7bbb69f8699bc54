-- commit_passes writes what passes of one worker have come to: any number of them, in one statement and one commit.
--
-- A unit is one pass's share of the call: an index (from 1) into the parallel arrays p_tasks, p_tokens,
-- p_actions, p_payloads and p_due. A task may be in a call once. Records, waits and removed names are parallel
-- arrays of their own that name their unit. Actions:
--
--   record    the records, nothing else: the pass goes on
--   note      as record, and the unit has notes (p_note_units and the two after it, parallel arrays; see 0035), which any action
--             but record may have
--   watch     the pass goes on, and its waits are stored as for suspend; news tells of their outcomes
--   complete  the task is completed with the payload as its result
--   fail      the task has failed, with the payload as its failure
--   retry     this attempt has failed with the payload; another follows at p_due
--   suspend   the task sleeps until p_due (null: no time) or until one of its waits has an outcome, whichever is first
--   block     the code and the records disagree, payload says how; tried again at p_due
--   release   the run goes back to the queue as it is
--   cancel    the task was asked to end, and has ended: cancelled, with the payload as its reason (null: none)
--   continue  the task begins anew with the payload as its input (see continue_passes)
--
-- For every unit, and before its action, its records are stored. Their names must be new, else the whole call fails
-- (23505), unless p_renews or p_resend is set: then the first record of a name stays, but a pending one (outcome n)
-- is replaced. A unit may give a name once. Then the failures under its removed names go (see
-- remove_failures), which may have come with the same unit. Kinds and outcomes are those of absurd.checkpoints;
-- a null time is now, a null fingerprint 0. Kinds of waits are those of absurd.waits. Children are made with the unit that holds their
-- records (see spawn_children), and unwanted ones are asked to end.
--
-- Answers, one row a unit:
--
--   ok         written
--   requested  written, and somebody has asked the task to end (watch: there may be news, too)
--   news       written (watch), and one of the unit's waits has an outcome
--   busy       another transaction has locked the task's row: nothing of this unit was written; try again
--   lost       the run is not (or no longer) this worker's under this token, or the worker's lease has ended: nothing was
--              written, and never will be
--   cancelled  the task has been cancelled: nothing was written
--
-- With p_resend the call may be a repetition of one whose outcome is not known. A unit that was written then answers
-- ok: every claim and every taking away of a run raises the token, so a task which has this token and is no longer
-- running was left that way by its holder.
--
-- Locks: the worker's row, shared; the rows of its tasks and their relatives; then rows of events, ready, timers, waits and checkpoints that belong to them.
-- It never waits for another transaction (for two milliseconds at most where a placeholder of an event is
-- added), unless that one ends the very worker. A unit that only records does not lock its task: while the worker's
-- row is locked nobody can take its runs, and what else may happen to the task (it is cancelled, one of its waits
-- ends) is the same whether the records were there before or not. A unit whose action touches more than its own
-- records must lock the task. An error, such as one for JSON that cannot be stored, fails the whole call. AB004 for an unknown
-- queue.
create function absurd.commit_passes(
  p_queue text, p_worker bigint,
  p_tasks uuid[], p_tokens integer[], p_actions text[], p_payloads jsonb[], p_due timestamptz[],
  p_record_units integer[], p_record_names text[], p_record_kinds text[], p_record_outcomes text[], p_record_fingerprints bigint[],
  p_record_times timestamptz[], p_record_states jsonb[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[],
  p_removed_units integer[], p_removed_names text[], p_resend boolean default false, p_renews boolean default false,
  p_note_units integer[] default null, p_attributes jsonb[] default null, p_published jsonb[] default null,
  p_child_units integer[] default null, p_child_names text[] default null, p_child_ids uuid[] default null, p_child_queues text[] default null,
  p_child_workflows text[] default null, p_child_params jsonb[] default null, p_child_options jsonb[] default null,
  p_unwanted_units integer[] default null, p_unwanted_names text[] default null)
returns table (unit integer, answer text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now      timestamptz := absurd.current_time();
  v_queue_no integer := absurd.queue_number(p_queue);
  v_alive    boolean;    -- the worker's lease is
  v_rows     tid[];      -- of the tasks that are held and locked; null elsewhere
  v_held     boolean[];  -- by unit, as the arrays above and below
  v_attempts integer[];
  v_waiting  boolean[];
  v_answers  text[];
  v_seqs     bigint[];   -- of the records; null: as they come
  v_stored   bigint;
  v_more     integer[] := p_child_units || p_unwanted_units; -- units that touch more than their own records
  v_related  uuid[];     -- tasks that have ended and have relatives
begin
  p_tasks := absurd.shown_tasks(v_queue_no, p_tasks);
  -- Until this commits nobody may take a run from the worker: a sweep and a retirement need this row for themselves.
  perform from absurd.workers w
  where w.worker_id = p_worker and w.lease_expires_at > absurd.current_time() and absurd.own_worker(w.login) for key share;
  v_alive := found;

  select array_agg(h.row), array_agg(h.held), array_agg(h.attempt), array_agg(h.has_waits), array_agg(case when h.asked then 'requested' when h.held then 'ok' end)
  into v_rows, v_held, v_attempts, v_waiting, v_answers
  from (
    select l.row, l.row is not null or o.held is not null as held, coalesce(l.attempt, o.attempt) as attempt, l.has_waits,
           coalesce(l.asked, o.asked) as asked
    from unnest(p_tasks, p_tokens, p_actions) with ordinality u(task_id, token, action, unit)
    left join lateral (
      select t.ctid as row, t.attempt, t.has_waits, t.cancel_requested_at is not null as asked
      from absurd.tasks t
      where (u.action <> 'record' or u.unit = any (v_more))
        and t.queue_no = v_queue_no and t.task_id = u.task_id and t.state = 'r' and t.worker_id = p_worker and t.token = u.token
      for no key update skip locked
    ) l on true
    left join lateral (
      select true as held, t.attempt, t.cancel_requested_at is not null as asked
      from absurd.tasks t
      where (u.action <> 'record' or u.unit = any (v_more)) is not true
        and t.queue_no = v_queue_no and t.task_id = u.task_id and t.state = 'r' and t.worker_id = p_worker and t.token = u.token
      offset 0
    ) o on true
    order by u.unit
  ) h;

  if not v_alive then
    v_held := array_fill(false, array[cardinality(p_tasks)]);
    v_answers := absurd.explain_refusals(v_queue_no, null, p_tasks, p_tokens, p_actions, v_held, v_answers, p_resend);
  elsif array_position(v_held, false) is not null then
    v_answers := absurd.explain_refusals(v_queue_no, p_worker, p_tasks, p_tokens, p_actions, v_held, v_answers, p_resend);
  end if;

  if array_position(v_held, true) is not null then
    if cardinality(p_child_units) > 0 then
      perform absurd.spawn_children(v_queue_no, p_tasks, v_held, p_child_units, p_child_names, p_child_ids, p_child_queues,
        p_child_workflows, p_child_params, p_child_options, v_now);
      -- It has written the rows of the parents.
      select array_agg(case when u.row is not null then
               (select t.ctid from absurd.tasks t where t.queue_no = v_queue_no and t.task_id = u.task_id) end order by u.unit)
      into v_rows
      from unnest(p_tasks, v_rows) with ordinality u(task_id, row, unit);
    end if;
    if cardinality(p_record_units) > 0 then
      if p_resend or p_renews then
        -- What is new and what replaces a pending record is written by two statements, in the one order in which it was handed in: that
        -- order says which branch wins a race.
        v_seqs := array(select nextval('absurd.checkpoint_seq') from unnest(p_record_units));
      end if;
      -- Not "on conflict", which costs a second WAL record a row.
      insert into absurd.checkpoints (seq, recorded_at, fingerprint, task_id, queue_no, attempt, kind, outcome, checkpoint_name, state)
      select coalesce(u.seq, nextval('absurd.checkpoint_seq')), coalesce(u.recorded_at, v_now), coalesce(u.fingerprint, 0), p_tasks[u.unit],
             v_queue_no, v_attempts[u.unit], u.kind::"char", u.outcome::"char", u.name, u.state
      from unnest(p_record_units, p_record_names, p_record_kinds, p_record_outcomes, p_record_fingerprints, p_record_times, p_record_states, v_seqs)
        u(unit, name, kind, outcome, fingerprint, recorded_at, state, seq)
      where v_held[u.unit]
        and not ((p_resend or p_renews) and exists (
          select from absurd.checkpoints c
          where c.queue_no = v_queue_no and c.task_id = p_tasks[u.unit] and c.checkpoint_name = u.name
          offset 0));
      get diagnostics v_stored = row_count;
      if (p_resend or p_renews) and v_stored < (select count(*) from unnest(p_record_units) u(unit) where v_held[u.unit]) then
        update absurd.checkpoints c
        set seq = u.seq, recorded_at = coalesce(u.recorded_at, v_now), fingerprint = coalesce(u.fingerprint, 0),
            attempt = v_attempts[u.unit], kind = u.kind::"char", outcome = u.outcome::"char", state = u.state
        from unnest(p_record_units, p_record_names, p_record_kinds, p_record_outcomes, p_record_fingerprints, p_record_times, p_record_states, v_seqs)
          u(unit, name, kind, outcome, fingerprint, recorded_at, state, seq)
        cross join lateral (
          select x.ctid as row from absurd.checkpoints x
          where x.queue_no = v_queue_no and x.task_id = p_tasks[u.unit] and x.checkpoint_name = u.name and x.outcome = 'n'
          offset 0
        ) x
        where v_held[u.unit] and c.ctid = x.row;
      end if;
    end if;
    if cardinality(p_removed_units) > 0 then
      perform absurd.remove_failures(v_queue_no, array_agg(p_tasks[u.unit]), array_agg(u.name))
      from unnest(p_removed_units, p_removed_names) u(unit, name)
      where v_held[u.unit];
    end if;
    if p_actions && array['complete', 'fail', 'cancel', 'retry'] then
      v_related := absurd.end_passes(v_queue_no, v_rows, p_tasks, p_actions, p_payloads, v_waiting, v_now);
    end if;
    if p_actions && array['watch'] then
      select array_agg(case when u.news and u.answer = 'ok' then 'news' else u.answer end order by u.unit) into v_answers
      from unnest(v_answers, absurd.watch_waits(v_queue_no, v_rows, p_tasks, p_actions, p_due, v_waiting,
        p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts, v_now)) with ordinality u(answer, news, unit);
    end if;
    if p_actions && array['suspend', 'retry', 'block', 'release'] then
      perform absurd.park_passes(v_queue_no, v_rows, v_held, v_waiting, p_tasks, p_actions, p_payloads, p_due,
        p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts, v_now);
    end if;
    if 'continue' = any (p_actions) then
      perform absurd.continue_passes(v_queue_no, v_rows, p_tasks, p_actions, p_payloads, v_now);
    end if;
    if cardinality(p_note_units) > 0 then
      perform absurd.note_passes(v_queue_no, p_tasks, v_held, p_note_units, p_attributes, p_published);
    end if;
    -- Last, because it writes rows of other tasks, which may be of this call too.
    if cardinality(p_unwanted_units) > 0 then
      perform absurd.end_unwanted(v_queue_no, p_tasks, v_held, p_unwanted_units, p_unwanted_names, v_now);
    end if;
    if v_related is not null then
      perform absurd.tell_relatives(v_queue_no, v_related, v_now);
    end if;
  end if;

  return query select u.unit::integer, u.answer from unnest(v_answers) with ordinality u(answer, unit);
end
$$;

-- explain_refusals says for each unit whose row commit_passes could not lock as held why not; see the answers
-- there. A null worker has lost its lease.
create function absurd.explain_refusals(p_queue_no integer, p_worker bigint, p_tasks uuid[], p_tokens integer[], p_actions text[],
  p_held boolean[], p_answers text[], p_resend boolean) returns text[]
language sql
as $$
  select array_agg(
    case
      when u.held then u.answer
      when t.state = 'r' and t.worker_id = p_worker and t.token = u.token then 'busy'
      when t.token is distinct from u.token or t.state = 'r' then 'lost'
      when t.state = 'x' then 'cancelled'
      when p_resend and u.action not in ('record', 'note', 'watch') then 'ok'
      else 'lost'
    end order by u.unit)
  from unnest(p_tasks, p_tokens, p_actions, p_held, p_answers) with ordinality u(task_id, token, action, held, answer, unit)
  left join lateral (
    select t.state, t.worker_id, t.token from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = u.task_id offset 0
  ) t on true
$$;

-- end_passes does the actions complete, fail and cancel, and drops the waits of attempts that are over. p_rows:
-- addresses of the locked rows, null for units to leave alone. It answers the tasks that have ended and have relatives.
create function absurd.end_passes(p_queue_no integer, p_rows tid[], p_tasks uuid[], p_actions text[], p_payloads jsonb[],
  p_waiting boolean[], p_now timestamptz) returns uuid[]
language plpgsql
as $$
declare
  v_told    bigint;
  v_related uuid[];
begin
  with ended as (
    update absurd.tasks t
    set state    = case u.action when 'complete' then 'c' when 'fail' then 'f' else 'x' end,
        result   = case u.action when 'complete' then u.payload end,
        failure  = case when u.action <> 'complete' then u.payload end,
        ended_at = p_now
    from unnest(p_rows, p_actions, p_payloads) u(row, action, payload)
    where t.ctid = u.row and u.action in ('complete', 'fail', 'cancel')
    returning t.task_id, t.watched, t.parent_id is not null or t.children is not null as related
  )
  select count(absurd.notify_ended(e.task_id)) filter (where e.watched), array_agg(e.task_id) filter (where e.related)
  into v_told, v_related
  from ended e;

  if p_actions && array['fail', 'cancel'] then
    perform absurd.note_ended(p_queue_no, case u.action when 'fail' then 'f' else 'x' end::"char", array_agg(u.task_id), p_now)
    from unnest(p_rows, p_tasks, p_actions) u(row, task_id, action)
    where u.row is not null and u.action in ('fail', 'cancel')
    group by u.action;
  end if;
  if array_position(p_waiting, true) is not null then
    perform absurd.drop_waits(p_queue_no, array_agg(u.task_id))
    from unnest(p_rows, p_tasks, p_actions, p_waiting) u(row, task_id, action, waiting)
    where u.row is not null and u.waiting and u.action in ('complete', 'fail', 'cancel', 'retry');
  end if;
  return v_related;
end
$$;

-- park_passes does the actions suspend, retry, block and release.
create function absurd.park_passes(p_queue_no integer, p_rows tid[], p_held boolean[], p_waiting boolean[], p_tasks uuid[], p_actions text[],
  p_payloads jsonb[], p_due timestamptz[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_due    timestamptz[];
  v_waits  boolean[] := p_waiting;
  v_picked boolean[];
  v_ready  bigint;
begin
  select array_agg(u.held and u.action = 'suspend' order by u.unit),
         array_agg(case u.action when 'suspend' then coalesce(u.due, 'infinity') when 'release' then '-infinity'
                   else coalesce(u.due, p_now) end order by u.unit)
  into v_picked, v_due
  from unnest(p_held, p_actions, p_due) with ordinality u(held, action, due, unit);
  if 'block' = any (p_actions) then
    v_due := absurd.hurry_blocked(p_queue_no, p_tasks, p_actions, p_payloads, v_due, p_now);
  end if;

  if array_position(v_picked, true) is not null and (cardinality(p_wait_units) > 0 or array_position(p_waiting, true) is not null) then
    v_due := absurd.store_waits(p_queue_no, v_picked, p_tasks, p_waiting, v_due, p_wait_units, p_wait_names, p_wait_kinds, p_wait_events, p_wait_timeouts, p_now);
  end if;

  -- The attempt that is over, for units with action retry.
  insert into absurd.runs as r (queue_no, run_id, task_id, attempt, state, created_at, available_at, started_at, failed_at, failure_reason)
  select p_queue_no, coalesce(t.run_id, t.task_id), t.task_id, t.attempt, 'f', t.enqueue_at, t.available_at, t.started_at, p_now, u.payload
  from unnest(p_rows, p_actions, p_payloads) u(row, action, payload)
  join absurd.tasks t on t.ctid = u.row
  where u.action = 'retry'
  on conflict (queue_no, run_id) do update
    set state = excluded.state, available_at = excluded.available_at, started_at = excluded.started_at,
        failed_at = excluded.failed_at, failure_reason = excluded.failure_reason;

  with parked as (
    update absurd.tasks t
    set state        = case when u.due <= p_now or (t.children is not null or t.cancel_requested_at is not null) and absurd.has_news(t, u.action) then 'p' when u.action = 'block' then 'b' else 's' end,
        available_at = case when (t.children is not null or t.cancel_requested_at is not null) and absurd.has_news(t, u.action) then p_now
                            when u.due > p_now then u.due when u.action = 'release' then t.available_at else p_now end,
        worker_id    = null,
        lost_leases  = case when u.action in ('suspend', 'retry') then 0 else t.lost_leases end, -- it has not killed its worker
        has_records  = true,
        children     = case when u.action = 'suspend' and t.children <> 'n' then 'w' when t.children is not null then 'o' end::"char",
        has_waits    = u.action <> 'retry' and (t.has_waits or u.waits),
        attempt      = t.attempt + (u.action = 'retry')::integer,
        run_id       = case when u.action = 'retry' then absurd.portable_uuidv7() else t.run_id end,
        failure      = case when u.action = 'block' then u.payload end
    from unnest(p_rows, p_actions, p_payloads, v_due) with ordinality x(row, action, payload, due, unit)
    cross join lateral (select x.row, x.action, x.payload, x.due, coalesce(x.unit = any (p_wait_units), false) as waits) u
    where t.ctid = u.row and u.action in ('suspend', 'retry', 'block', 'release')
    returning t.task_id, t.state, t.name_no, t.priority, t.available_at, t.run_id, t.attempt, t.tenant, u.action, u.waits
  ), ready as (
    insert into absurd.ready (queue_no, name_no, priority, available_at, task_id, tenant)
    select p_queue_no, k.name_no, k.priority, k.available_at, k.task_id, nullif(k.tenant, '') from parked k where k.state = 'p'
  ), timed as (
    insert into absurd.timers (queue_no, kind, due_at, task_id)
    select p_queue_no, 'w', k.available_at, k.task_id from parked k where k.state <> 'p' and (k.available_at < 'infinity' or not k.waits)
  ), next_run as (
    insert into absurd.runs (queue_no, run_id, task_id, attempt, state, created_at)
    select p_queue_no, k.run_id, k.task_id, k.attempt, 'p', p_now from parked k where k.action = 'retry'
  )
  select count(*) into v_ready from parked k where k.state = 'p';

  if v_ready > 0 then
    perform absurd.notify_ready(p_queue_no);
  end if;
end
$$;

-- has_news answers whether a run that wants to sleep has to go on at once: a child has ended while it ran, or the task has been
-- asked to end and has not seen that yet.
create function absurd.has_news(p_task absurd.tasks, p_action text) returns boolean
language plpgsql stable
as $$
begin
  return p_action = 'suspend' and (p_task.children is not distinct from 'n'
    or p_task.cancel_requested_at is not null and not exists (
      select from absurd.checkpoints c
      where c.queue_no = p_task.queue_no and c.task_id = p_task.task_id and c.checkpoint_name = '$cancel'
      offset 0));
end
$$;
