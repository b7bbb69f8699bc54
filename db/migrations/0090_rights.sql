-- Who may do what. This is the last migration: it looks at all that the others have made. One that comes after it, and makes or replaces
-- functions or tables, replaces rights() and ends with "select absurd.apply_rights()".
--
-- Nobody but the engine's owner may touch its tables or execute its inner functions. For users there are the functions listed here,
-- which run with the owner's rights and a search_path of their own, so that neither a user's schemas nor its temporary objects are
-- looked at; and the readers' views. Each applies the session's tenants by itself (see 0002). Row-level security on the tables is a
-- second wall behind that: it holds where the owner is not a superuser, and against rights on tables that somebody gave by mistake.

-- rights lists the functions that users may execute, and for which roles: p producer, c client (an application that spawns, emits,
-- sends and waits for results), w worker, o operator, v viewer. Without a letter it is for the owner.
create or replace function absurd.rights() returns table (function_name text, kinds text)
language sql immutable
as $$
  values
    -- pure
    ('current_time', 'pcwov'), ('portable_uuidv7', 'pcwov'), ('uuidv7_timestamp', 'pcwov'), ('uuidv7_floor', 'pcwov'),
    ('week_bucket_utc', 'pcwov'), ('partition_week_tag', 'pcwov'), ('get_schema_version', 'pcwov'), ('validate_queue_name', 'pcwov'),
    ('my_tenants', 'pcwov'), ('my_task', 'pcwov'), ('count_workflow_tasks', 'ov'), ('is_housekeeping', 'pcwov'),
    -- queues
    ('list_queues', 'wov'), ('get_queue_policy', 'ov'), ('create_queue', 'o'), ('ensure_queue_tables', 'o'), ('drop_queue', 'o'),
    ('set_queue_policy', 'o'), ('pause_queue', 'o'), ('resume_queue', 'o'), ('set_queue_limit', 'o'),
    -- tasks, from outside
    ('spawn_task', 'pcwo'), ('spawn_tasks', 'pcwo'), ('emit_event', 'cwo'), ('emit_events', 'cwo'), ('send_messages', 'cwo'),
    ('get_task_result', 'cwov'), ('get_outcome', 'cwov'), ('get_notes', 'cwov'), ('watch_task', 'cwo'),
    ('cancel_task', 'co'), ('request_cancel', 'co'), ('terminate_task', 'co'), ('retry_task', 'o'), ('retry_task_now', 'o'),
    ('get_task_checkpoint_state', 'wov'), ('get_task_checkpoint_states', 'wov'),
    -- workers
    ('claim_task', 'w'), ('complete_run', 'w'), ('fail_run', 'w'), ('schedule_run', 'w'), ('extend_claim', 'w'),
    ('set_task_checkpoint_state', 'w'), ('await_event', 'w'),
    ('register_worker', 'w'), ('renew_worker', 'w'), ('retire_worker', 'w'), ('join_queue', 'w'), ('set_idle', 'w'), ('claim_tasks', 'w'),
    ('release_claims', 'w'), ('load_records', 'wov'), ('load_named_records', 'wov'), ('commit_passes', 'w'), ('record_step', 'w'), ('find_step', 'w'), ('next_due', 'w'), ('sweep', 'wo'),
    ('list_blocked', 'wov'),
    -- lists
    ('list_tasks', 'ov'), ('list_runs', 'ov'), ('list_checkpoints', 'ov'), ('list_waits', 'ov'), ('list_events', 'ov'), ('queue_statistics', 'ov'),
    -- workflow runs
    ('create_workflow_run', 'cwo'), ('update_workflow_run_status', 'cwo'), ('get_workflow_run', 'cwov'), ('list_workflow_runs', 'ov'),
    ('cleanup_workflow_runs', 'o'),
    -- upkeep
    ('cleanup_tasks', 'o'), ('cleanup_events', 'o'), ('cleanup_all_queues', 'o'), ('cleanup_old_events', 'o'), ('cleanup_queues', 'o'), ('ensure_partitions', 'o'), ('repair_partitions', 'o'),
    ('list_detach_candidates', 'o'), ('drop_detached_partition', 'o'), ('schedule_detach_jobs', 'o'), ('enable_cron', 'o'), ('disable_cron', 'o'),
    -- the owner's
    ('allow_tenant', ''), ('disallow_tenant', ''), ('list_tenant_roles', ''), ('create_roles', ''), ('list_roles', ''), ('apply_rights', '')
$$;

-- roles lists the kinds of users that rights names, with the roles made for them.
create or replace function absurd.roles() returns table (letter text, kind text, role_name name)
language sql stable
as $$
  select k.letter, k.kind, absurd.role_name(k.kind)
  from (values ('p', 'producer'), ('c', 'client'), ('w', 'worker'), ('o', 'operator'), ('v', 'viewer'), (null, 'tester')) k (letter, kind)
$$;

-- list_roles lists the roles for this database's users: the kind of user, the role's name, and whether it has been made.
create or replace function absurd.list_roles() returns table (kind text, role_name text, made boolean)
language plpgsql stable
as $$
begin
  return query
    select k.kind, k.role_name::text, exists (select from pg_catalog.pg_roles r where r.rolname = k.role_name) from absurd.roles() k;
end
$$;

-- create_roles makes those roles for this database's users that are missing, gives them their rights, and answers how many it made.
-- Where it may not make roles it says so in a warning, and what an administrator has to do.
create or replace function absurd.create_roles() returns integer
language plpgsql
as $$
declare
  v_role   record;
  v_made   integer := 0;
  v_missed text;
begin
  for v_role in select k.role_name from absurd.list_roles() k where not k.made loop
    begin
      execute format('create role %I nologin', v_role.role_name);
      v_made := v_made + 1;
    exception
      when insufficient_privilege then
        v_missed := concat_ws(' ', v_missed, format('create role %I nologin;', v_role.role_name));
      when duplicate_object or unique_violation then  -- another session has just made it
    end;
  end loop;
  if v_missed is not null then
    raise warning 'roles for users of schema absurd were not made, because "%" may not create roles', current_user
      using hint = format('The owner can use everything without them. To make them, have an administrator run: %s Then run: select absurd.create_roles();', v_missed);
  end if;
  perform absurd.apply_rights();
  return v_made;
end
$$;

-- grant_reading lets viewers and operators read a relation, named as in a statement.
create or replace function absurd.grant_reading(p_relation text) returns void
language plpgsql
as $$
declare
  v_role name;
begin
  for v_role in
    select k.role_name from absurd.list_roles() k where k.made and k.kind in ('viewer', 'operator')
  loop
    execute format('grant select on %s to %I', p_relation, v_role);
  end loop;
end
$$;

-- apply_rights gives and takes rights as rights says: calling it again changes nothing. Rights that were given by hand to roles of others
-- stay.
create or replace function absurd.apply_rights() returns void
language plpgsql
as $$
declare
  v_item record;
  v_role record;
begin
  -- Functions. The pure ones, which read no table, stay as they are, so that they can be inlined.
  for v_item in
    select p.oid::regprocedure as signature, coalesce(r.kinds, '') as kinds, p.prosecdef,
           r.kinds <> '' and not absurd.is_pure(p.proname) as door
    from pg_catalog.pg_proc p
    left join absurd.rights() r on r.function_name = p.proname
    where p.pronamespace = 'absurd'::regnamespace and p.prokind = 'f'
  loop
    execute format('revoke execute on function %s from public', v_item.signature);
    if v_item.door and not v_item.prosecdef then
      execute format('alter function %s security definer set search_path = pg_catalog, pg_temp', v_item.signature);
    end if;
  end loop;

  for v_role in
    select k.letter, k.role_name from absurd.roles() k join pg_catalog.pg_roles r on r.rolname = k.role_name where k.letter is not null
  loop
    execute format('grant usage on schema absurd to %I', v_role.role_name);
    for v_item in
      select p.oid::regprocedure as signature
      from pg_catalog.pg_proc p
      left join absurd.rights() r on r.function_name = p.proname
      where p.pronamespace = 'absurd'::regnamespace
        and (strpos(r.kinds, v_role.letter) > 0
          or absurd.is_pure(p.proname))
    loop
      execute format('grant execute on function %s to %I', v_item.signature, v_role.role_name);
    end loop;
    execute format('grant select on absurd.migrations to %I', v_role.role_name);
  end loop;
  perform absurd.grant_reading(v.name) from (
    select 'absurd.queues' as name
    union all
    select c.oid::regclass::text from pg_catalog.pg_class c
    where c.relnamespace = 'absurd'::regnamespace and c.relkind = 'v'
  ) v;

  -- Row-level security, on every table that has a tenant or a task.
  for v_item in
    select c.oid::regclass as relation,
           case when exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped)
                then 'coalesce(tenant, '''') = any ((select absurd.my_tenants())::text[])'
                else 'absurd.my_task(queue_no, task_id)' end as condition
    from pg_catalog.pg_class c
    where c.relnamespace = 'absurd'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'tenant_roles'
      and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'queue_no')
      and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname in ('tenant', 'task_id'))
      and not exists (select from pg_catalog.pg_policy y where y.polrelid = c.oid)
  loop
    execute format('create policy tenants on %s using ((select absurd.my_tenants()) is null or %s or (select absurd.is_housekeeping()))',
                   v_item.relation, v_item.condition);
    execute format('alter table %s enable row level security, force row level security', v_item.relation);
  end loop;
end
$$;

-- is_pure tells which functions read no table of ours, and so run as whoever calls them: those that users may call, and those that
-- these, and the views, use.
create or replace function absurd.is_pure(p_name text) returns boolean
language sql immutable
return p_name = any ('{current_time,fake_time,role_name,portable_uuidv7,uuidv7_at,uuidv7_timestamp,uuidv7_floor,week_bucket_utc,
  partition_week_tag,get_schema_version,validate_queue_name,state_word,run_state}'::text[]);

select absurd.create_roles();
