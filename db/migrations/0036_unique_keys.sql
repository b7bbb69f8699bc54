-- Tasks of which at most one is open, and what is sent with a spawn.

-- tags_problem answers what is wrong with the option tags of spawn_tasks; null when nothing is.
create function absurd.tags_problem(p_value jsonb) returns text
language plpgsql immutable
as $$
declare
  v_key   text;
  v_value jsonb;
  v_count integer := 0;
begin
  if jsonb_typeof(p_value) <> 'object' then
    return 'must be a JSON object of texts';
  end if;
  for v_key, v_value in select * from jsonb_each(p_value) loop
    v_count := v_count + 1;
    if jsonb_typeof(v_value) <> 'string' or octet_length(v_key) > 200 or octet_length(v_value #>> '{}') > 1000 then
      return 'must be a JSON object of texts: names of at most 200 bytes, texts of at most 1000';
    end if;
  end loop;
  return case when v_count > 64 then 'must have at most 64 members' end;
end
$$;

-- messages_problem answers what is wrong with the option messages of spawn_tasks; null when nothing is.
create function absurd.messages_problem(p_value jsonb) returns text
language plpgsql immutable
as $$
begin
  if jsonb_typeof(p_value) <> 'array' then
    return 'must be a JSON array';
  end if;
  if exists (
    select from jsonb_array_elements(p_value) m(item)
    where jsonb_typeof(m.item) <> 'object' or jsonb_typeof(m.item -> 'inbox') is distinct from 'string'
       or coalesce(jsonb_typeof(m.item -> 'key'), 'null') not in ('null', 'string')) then
    return 'must be a JSON array of objects with the texts inbox and key, and a payload';
  end if;
  return null;
end
$$;

-- reserve_unique_keys claims the unique keys of new tasks. It answers p_owners, the task that each row stands for, with the open
-- owner of its key for a row that has one: the given id where no task with the key is open. AB009 for an open owner and the option
-- unique: refuse. It locks the keys, so that of several spawns with one key each waits for the one before; and then, in the order of their
-- ids, the tasks that messages go to, so that they stay open until these are stored.
create function absurd.reserve_unique_keys(p_queue_no integer, p_names text[], p_options jsonb[], p_ids uuid[], p_owners uuid[]) returns uuid[]
language plpgsql
as $$
declare
  v_owners    uuid[] := p_owners;
  v_receivers uuid[];
  v_row       record;
  v_owner     uuid;
  v_state     "char";
begin
  for v_row in
    select u.ord, u.task_name, coalesce(u.options ->> 'tenant', '') as tenant, u.options ->> 'unique_key' as unique_key,
           u.options ->> 'unique' = 'refuse' as refuses, u.task_id,
           u.options ->> 'idempotency_key' is not null as both
    from unnest(p_names, p_options, p_ids) with ordinality u(task_name, options, task_id, ord)
    where u.options ->> 'unique_key' is not null
    order by 3, 2, 4, u.ord
  loop
    if v_row.both then
      raise exception 'task "%" (row %): options idempotency_key and unique_key exclude each other', v_row.task_name, v_row.ord using errcode = 'AB005';
    end if;
    loop
      insert into absurd.unique_keys (queue_no, tenant, task_name, unique_key, task_id)
      values (p_queue_no, v_row.tenant, v_row.task_name, v_row.unique_key, v_row.task_id)
      on conflict do nothing;
      exit when found;

      select k.task_id into v_owner from absurd.unique_keys k
      where k.queue_no = p_queue_no and k.tenant = v_row.tenant and k.task_name = v_row.task_name and k.unique_key = v_row.unique_key
      for no key update;
      continue when not found;  -- cleanup has just removed it

      if v_owner <> all (p_ids) then
        v_state := null;
        select t.state into v_state from absurd.tasks t where t.queue_no = p_queue_no and t.task_id = v_owner;
        if v_state is null or v_state in ('c', 'f', 'x') then
          update absurd.unique_keys k
          set task_id = v_row.task_id
          where k.queue_no = p_queue_no and k.tenant = v_row.tenant and k.task_name = v_row.task_name and k.unique_key = v_row.unique_key;
          exit;
        end if;
      end if;
      if v_row.refuses then
        raise exception 'task "%" (row %): task % with unique key "%" is open: wait for its end, or join it',
          v_row.task_name, v_row.ord, v_owner, v_row.unique_key using errcode = 'AB009';
      end if;
      v_owners[v_row.ord] := v_owner;
      exit;
    end loop;
  end loop;

  select array_agg(v_owners[u.ord]) into v_receivers
  from unnest(p_options) with ordinality u(options, ord)
  where jsonb_array_length(nullif(u.options -> 'messages', 'null')) > 0 and v_owners[u.ord] <> all (p_ids);
  if v_receivers is not null then
    perform absurd.lock_tasks(p_queue_no, v_receivers);
    v_owners := absurd.replace_ended_owners(p_queue_no, p_names, p_options, p_ids, v_owners, v_receivers);
  end if;
  return v_owners;
end
$$;

-- replace_ended_owners gives the unique keys of those owners that have ended before they were locked to the first new task with the key,
-- which is the owner for all rows with it. The keys are locked by the caller.
create function absurd.replace_ended_owners(p_queue_no integer, p_names text[], p_options jsonb[], p_ids uuid[], p_owners uuid[],
  p_receivers uuid[]) returns uuid[]
language plpgsql
as $$
declare
  v_owners uuid[] := p_owners;
  v_row    record;
  v_owner  uuid;
begin
  for v_row in
    select u.ord, u.task_id, u.task_name, coalesce(u.options ->> 'tenant', '') as tenant, u.options ->> 'unique_key' as unique_key
    from unnest(p_names, p_options, p_ids, p_owners) with ordinality u(task_name, options, task_id, owner, ord)
    where u.options ->> 'unique_key' is not null and u.owner = any (p_receivers)
      and not exists (select from absurd.tasks t
                      where t.queue_no = p_queue_no and t.task_id = u.owner and t.state not in ('c', 'f', 'x') offset 0)
    order by u.ord
  loop
    update absurd.unique_keys k
    set task_id = case when k.task_id = p_owners[v_row.ord] then v_row.task_id else k.task_id end
    where k.queue_no = p_queue_no and k.tenant = v_row.tenant and k.task_name = v_row.task_name and k.unique_key = v_row.unique_key
    returning k.task_id into v_owner;
    v_owners[v_row.ord] := v_owner;
  end loop;
  return v_owners;
end
$$;

-- send_with_spawn sends the messages that come with new tasks to the tasks that were made or found.
create function absurd.send_with_spawn(p_queue_no integer, p_owners uuid[], p_options jsonb[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_tasks    uuid[];
  v_inboxes  text[];
  v_keys     text[];
  v_payloads jsonb[];
  v_answers  text[];
  v_ended    integer;
begin
  select array_agg(u.owner order by u.ord, m.nth), array_agg(m.item ->> 'inbox' order by u.ord, m.nth),
         array_agg(m.item ->> 'key' order by u.ord, m.nth), array_agg(m.item -> 'payload' order by u.ord, m.nth)
  into v_tasks, v_inboxes, v_keys, v_payloads
  from unnest(p_owners, p_options) with ordinality u(owner, options, ord)
  cross join lateral jsonb_array_elements(nullif(u.options -> 'messages', 'null')) with ordinality m(item, nth);
  v_answers := absurd.store_messages(p_queue_no, v_tasks, v_inboxes, v_keys, v_payloads, p_now);
  v_ended := array_position(v_answers, 'ended');
  if v_ended is not null then
    raise exception 'task % was found under its idempotency key and has ended: no message was sent to it', v_tasks[v_ended] using errcode = 'AB010';
  end if;
end
$$;
