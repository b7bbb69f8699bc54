-- What a call sees of its session: the clock, new ids, and the tenants that it may use.

-- role_name is the name of the role for one kind of user of this database: producer, client, worker, operator, viewer or tester.
-- Roles belong to the whole cluster; with the database in their names, no right in one database is one in another.
create function absurd.role_name(p_kind text) returns name
language sql stable
return ('absurd_' || p_kind || '_' || case when octet_length(current_database()) <= 40 then current_database() else md5(current_database()) end)::name;

-- fake_time is the moment in the setting absurd.fake_now for a session that may move the clock: one whose login is a superuser, or
-- has the rights of the engine's owner or of the role for testers (see absurd.role_name). For all others time goes on as it does.
create function absurd.fake_time() returns timestamptz
language plpgsql stable
as $$
begin
  if exists (select from pg_catalog.pg_namespace n where n.nspname = 'absurd' and pg_has_role(session_user, n.nspowner, 'member'))
     or pg_has_role(session_user, to_regrole(quote_ident(absurd.role_name('tester'))), 'member') then
    return current_setting('absurd.fake_now')::timestamptz;
  end if;
  return clock_timestamp();
end
$$;

-- current_time is the only clock of the engine: clock_timestamp(), or the setting absurd.fake_now where a test has set it.
-- Functions read it once and pass the moment on, so that one call sees one "now".
create function absurd.current_time() returns timestamptz
language sql volatile
return case when coalesce(btrim(current_setting('absurd.fake_now', true), E' \t\r\n'), '') = ''
            then clock_timestamp()
            else absurd.fake_time() end;

alter table absurd.queues alter column created_at set default absurd.current_time();

-- uuidv7_at makes a new UUIDv7 of the given moment: 48 bits of milliseconds, then 12 bits that hold the fraction of the
-- millisecond (so that ids made within one millisecond still sort by time), then 62 random bits.
create function absurd.uuidv7_at(p_ts timestamptz) returns uuid
language sql volatile strict parallel safe
as $$
  select encode(
    overlay(uuid_send(gen_random_uuid())
      placing int8send(((date_part('epoch', p_ts) * 1000000)::bigint / 1000 << 16)
                       | 28672  -- version 7, above the 12 bits of the fraction
                       | ((date_part('epoch', p_ts) * 1000000)::bigint % 1000 * 4))
      from 1 for 8), 'hex')::uuid
$$;

-- portable_uuidv7 makes a new UUIDv7 of the current time. It never uses the server's own generator, which PostgreSQL has
-- from 18 on: that one does not follow the fake clock.
create function absurd.portable_uuidv7() returns uuid
language sql volatile
as $$ select absurd.uuidv7_at(absurd.current_time()) $$;

-- uuidv7_timestamp is the moment in a UUIDv7, in whole milliseconds; null for ids of other versions.
create function absurd.uuidv7_timestamp(p_id uuid) returns timestamptz
language sql immutable strict parallel safe
as $$
  select case when get_byte(uuid_send(p_id), 6) >> 4 = 7
              then timestamptz 'epoch' + m.ms / 1000 * interval '1 s' + m.ms % 1000 * interval '1 ms'  -- exact, unlike a fraction
         end
  from (select ('x' || encode(substring(uuid_send(p_id) from 1 for 6), 'hex'))::bit(48)::bigint as ms) m
$$;

-- uuidv7_floor is the smallest UUIDv7 of a moment's millisecond. It raises for moments that a UUIDv7 cannot hold.
create function absurd.uuidv7_floor(p_ts timestamptz) returns uuid
language plpgsql immutable strict parallel safe
as $$
declare
  v_ms numeric := floor(extract(epoch from p_ts) * 1000);
begin
  if not isfinite(p_ts) or v_ms < 0 or v_ms >= 281474976710656 then
    raise exception 'uuidv7_floor: % is outside the range of a UUIDv7 (from 1970 on, 2^48 milliseconds)', p_ts;
  end if;
  return (lpad(to_hex(v_ms::bigint), 12, '0') || '70008000000000000000')::uuid;
end
$$;

-- week_bucket_utc is the Monday, 00:00 UTC, that begins the moment's week.
create function absurd.week_bucket_utc(p_ts timestamptz) returns timestamptz
language sql immutable strict parallel safe
as $$ select date_trunc('week', p_ts at time zone 'UTC') at time zone 'UTC' $$;

-- partition_week_tag names the moment's ISO week in UTC with three digits: the last one of the ISO year, two of the week.
create function absurd.partition_week_tag(p_ts timestamptz) returns text
language sql immutable strict parallel safe
as $$ select right(to_char(p_ts at time zone 'UTC', 'IYYY'), 1) || to_char(p_ts at time zone 'UTC', 'IW') $$;

-- get_schema_version names the contract that this schema offers. Upstream's migration tool compares it with its own
-- versions, does not know this one, and so leaves the schema alone.
create function absurd.get_schema_version() returns text
language sql volatile
as $$ select 'absurdgen' $$;

-- Tenants. Every task, event and idempotency key carries the label of a tenant ('' without one). Which of them a login may use is in
-- absurd.tenant_roles, by session_user, which neither "set role" nor a definer's rights change; the setting absurd.tenant chooses one
-- of them. The engine's owner, superusers and roles with bypassrls may use all; a login that is not in the table, ''.
--
-- Every function that users may call (see absurd.rights) asks at its door, before it looks at anything:
--
--   session_tenants                  the tenants whose rows it may show and change
--   shown_task, shown_tasks          whether it may touch the tasks that it was given; a foreign task is an unknown one
--   session_tenant                   whose a new task or event becomes
--   require_all_tenants              for what concerns a whole queue
--
-- They run with the rights of the engine's owner there, so current_user is the owner. Views and row policies ask my_tenants.

-- '*' stands for all tenants.
create table absurd.tenant_roles (
  role_name name not null,
  tenant    text not null check (octet_length(tenant) <= 200),
  primary key (role_name, tenant)
);

-- session_tenants answers which tenants this session may use; null: all. 42501 when absurd.tenant names one that it may not.
create function absurd.session_tenants() returns text[]
language plpgsql stable
as $$
declare
  v_chosen  text := current_setting('absurd.tenant', true);
  v_allowed text[];
begin
  if session_user <> current_user then
    select array_agg(r.tenant) into v_allowed from absurd.tenant_roles r where r.role_name = session_user;
    if '*' = any (v_allowed) then
      v_allowed := null;
    elsif v_allowed is null and not pg_has_role(session_user, current_user, 'member')
          and not exists (select from pg_catalog.pg_roles r where r.rolname = session_user and r.rolbypassrls) then
      v_allowed := '{""}';
    end if;
  end if;
  if v_chosen <> '' then
    if v_chosen <> all (v_allowed) then
      raise exception 'role "%" may not use tenant "%", which the setting absurd.tenant names', session_user, v_chosen
        using errcode = 'insufficient_privilege', hint = 'Its tenants are given by absurd.allow_tenant.';
    end if;
    return array[v_chosen];
  end if;
  return v_allowed;
end
$$;

-- my_tenants is session_tenants for callers without the engine's rights.
create function absurd.my_tenants() returns text[]
language plpgsql stable
as $$
begin
  return absurd.session_tenants();
end
$$;

-- my_task tells whether a task belongs to one of the tenants that this session may use, as my_tenants for callers without the engine's
-- rights.
create function absurd.my_task(p_queue_no integer, p_task_id uuid) returns boolean
language plpgsql stable
as $$
begin
  return absurd.shown_task(p_queue_no, p_task_id) is not null;
end
$$;

-- session_tenant answers whose something new becomes: the given tenant's, or that of the session: '' if it may use that, else its
-- only one. 42501 when it may not use the given one, or has several to choose from.
create function absurd.session_tenant(p_given text) returns text
language plpgsql stable
as $$
declare
  v_tenants text[] := absurd.session_tenants();
begin
  if p_given <> all (v_tenants) then
    raise exception 'role "%" may not use tenant "%" in this session', session_user, p_given
      using errcode = 'insufficient_privilege', hint = 'Its tenants are given by absurd.allow_tenant.';
  elsif p_given is not null then
    return p_given;
  elsif v_tenants is null or '' = any (v_tenants) then
    return '';
  elsif cardinality(v_tenants) = 1 then
    return v_tenants[1];
  end if;
  raise exception 'role "%" may use several tenants (%): say which', session_user, array_to_string(v_tenants, ', ')
    using errcode = 'insufficient_privilege', hint = 'Choose one by "set absurd.tenant", or with the option tenant.';
end
$$;

-- shown_task answers the id that it is given if this session may use that task, else null.
create function absurd.shown_task(p_queue_no integer, p_task_id uuid) returns uuid
language plpgsql stable
as $$
declare
  v_tenants text[] := absurd.session_tenants();
begin
  if v_tenants is null then
    return p_task_id;
  end if;
  return (select t.task_id from absurd.tasks t
          where t.queue_no = p_queue_no and t.task_id = p_task_id and t.tenant = any (v_tenants));
end
$$;

-- shown_tasks does shown_task for each element.
create function absurd.shown_tasks(p_queue_no integer, p_tasks uuid[]) returns uuid[]
language plpgsql stable
as $$
declare
  v_tenants text[] := absurd.session_tenants();
begin
  if v_tenants is null then
    return p_tasks;
  end if;
  return (
    select array_agg(t.task_id order by u.ord)
    from unnest(p_tasks) with ordinality u(task_id, ord)
    left join lateral (
      select t.task_id from absurd.tasks t
      where t.queue_no = p_queue_no and t.task_id = u.task_id and t.tenant = any (v_tenants)
      offset 0
    ) t on true);
end
$$;

-- require_all_tenants refuses a session that may not use all tenants. p_deed ends the sentence "... may not".
create function absurd.require_all_tenants(p_deed text) returns void
language plpgsql stable
as $$
begin
  if absurd.session_tenants() is not null then
    raise exception 'role "%" may not % in this session, because that concerns all tenants', session_user, p_deed
      using errcode = 'insufficient_privilege', hint = 'Use a role that may use all tenants, and leave absurd.tenant unset.';
  end if;
end
$$;

-- The engine's housekeeping, moving what time has made due (timers, lost leases), is done for all tenants, whoever happens to call. Row
-- policies let it pass by a key that nobody can read, and so nobody can set.
create table absurd.house_keys (house_key text primary key);
insert into absurd.house_keys values (gen_random_uuid()::text);

-- keep_house begins (true) or ends (false) housekeeping in a session that may not use all tenants.
create function absurd.keep_house(p_begin boolean) returns void
language plpgsql
as $$
begin
  if absurd.session_tenants() is not null then
    perform set_config('absurd.housekeeping', case when p_begin then (select k.house_key from absurd.house_keys k) else '' end, true);
  end if;
end
$$;

-- is_housekeeping tells whether housekeeping has begun. For row policies: users may execute it, because whoever reads a view needs what
-- the policies of its tables need.
create function absurd.is_housekeeping() returns boolean
language plpgsql stable
as $$
declare
  v_key text := current_setting('absurd.housekeeping', true);
begin
  return v_key <> '' and exists (select from absurd.house_keys k where k.house_key = v_key);
end
$$;

-- allow_tenant lets a login role use a tenant: a label of at most 200 bytes, '' for what has none, '*' for all tenants.
create function absurd.allow_tenant(p_role text, p_tenant text) returns void
language plpgsql
as $$
begin
  if not exists (select from pg_catalog.pg_roles r where r.rolname = p_role) then
    raise exception 'role "%" does not exist', p_role using errcode = 'undefined_object';
  end if;
  if p_tenant is null or octet_length(p_tenant) > 200 then
    raise exception 'a tenant must be a text of at most 200 bytes' using errcode = 'AB005';
  end if;
  insert into absurd.tenant_roles (role_name, tenant) values (p_role, p_tenant) on conflict do nothing;
end
$$;

-- disallow_tenant takes back what allow_tenant gave. A role that has nothing left may use tenant '', as one that was never named.
create function absurd.disallow_tenant(p_role text, p_tenant text) returns void
language plpgsql
as $$
begin
  delete from absurd.tenant_roles r where r.role_name = p_role and r.tenant = p_tenant;
end
$$;

-- list_tenant_roles lists which role may use which tenant.
create function absurd.list_tenant_roles() returns table (role_name text, tenant text)
language plpgsql stable
as $$
begin
  return query select r.role_name::text, r.tenant from absurd.tenant_roles r order by 1, 2;
end
$$;
