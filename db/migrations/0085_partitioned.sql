-- Storage of partitioned queues.
--
-- A partitioned queue has a negative number and a schema of its own, absurd_q<number>. There stand its copies of four tables,
-- tasks, runs, checkpoints and waits, ranged by task id (runs: by run id), and a copy of every function and view that touches
-- one of them. Nothing of this is written by hand: the migrations before this one are the template, and a copy is the
-- installed source with the names replaced. What does not grow with history (ready, timers, events, keys) is shared, under the
-- queue's negative number.
--
-- Functions find the right copy by a door: one line that is put into each of them here. A function that has read the number of a
-- queue, or was given it, calls its namesake in the schema of that queue if the number is negative; in a copy, a function
-- that was given the number of another queue calls its namesake in schema absurd. For unpartitioned queues the door is
-- one comparison of a number.
--
-- A copy's table is a view over the partitioned one. Row addresses are why: the functions change rows that they have locked by
-- ctid, and a ctid does not tell partitions apart. The view has a column of that name instead, a number of type tid which
-- is unique over all partitions. It has a hash index in each, because then, as with a real ctid, the planner's only other choice is to read
-- the whole table, which the functions forbid it; an index with an order could be read from end to end. Many addresses at once are
-- found by a bitmap of such an index, so the copies that look for many allow bitmaps. The others do not: a bitmap of what is ready, or due,
-- takes all of it and sorts it, where only the first are wanted.

-- row_address turns a number into a row address.
create function absurd.row_address(p_number bigint) returns tid
language sql immutable strict parallel safe
as $$ select ('(' || (p_number >> 16) || ',' || (p_number & 65535) || ')')::tid $$;

-- door_place says how a function knows its queue: body, declaration or argument; null if it does not.
create function absurd.door_place(p_function oid) returns text
language sql stable
set search_path = pg_catalog
as $$
  select case
    when p.prosrc ~ '\mv_queue_no := absurd\.(require_queue|queue_number)\(' then 'body'
    when p.prosrc ~ '\mv_queue_no\s+integer\s+:= absurd\.(require_queue|queue_number)\(' then 'declaration'
    when 'p_queue_no' = any (p.proargnames) then 'argument'
  end
  from pg_proc p where p.oid = p_function
$$;

-- storage_views are the views over the tables, without those that show one queue.
create function absurd.storage_views() returns table (id oid, name text)
language sql stable
set search_path = pg_catalog
as $$
  with recursive views (id, name) as (
    select c.oid, c.relname::text from pg_class c
    where c.relnamespace = 'absurd'::regnamespace and c.relkind = 'v' and c.relname !~ '^[trcewi]_' and c.relname <> 'workflow_runs'
  ), uses as (
    select distinct v.id, v.name, d.refobjid as used
    from views v
    join pg_rewrite r on r.ev_class = v.id
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.id
  ), touching (id, name) as (
    select u.id, u.name from uses u
    where u.used in (select ('absurd.' || t.table_name)::regclass from absurd.partitioned_tables() t)
    union
    select u.id, u.name from uses u join touching t on t.id = u.used
  )
  select t.id, t.name from touching t order by t.id
$$;

-- storage_functions are the functions that a partitioned queue has copies of: those that touch one of its tables, or call one that
-- does, for one queue, or take a row of one. Which queue that is they are told by an argument p_queue_no, by a task's row, or by a name whose number they
-- look up for their variable v_queue_no. door says where the door belongs (see door_place); null for those that are called for
-- rows of their own storage only.
create function absurd.storage_functions() returns table (id oid, name text, door text)
language sql stable
set search_path = pg_catalog
as $$
  with recursive functions as materialized (
    select p.oid, p.proname::text as name, absurd.door_place(p.oid) as place, p.prolang,
           pg_get_function_arguments(p.oid) ~ '\mabsurd\.(tasks|runs|checkpoints|waits)\M' as rows
    from pg_proc p
    where p.pronamespace = 'absurd'::regnamespace
  ), uses as materialized (
    select distinct f.oid, f.name, m[1] as used
    from functions f
    join pg_proc p on p.oid = f.oid
    cross join regexp_matches(p.prosrc, '\mabsurd\.(\w+)', 'g') m
    where f.place is not null or f.rows
  ), touching (oid, name) as (
    select f.oid, f.name from functions f where f.rows
    union
    select u.oid, u.name from uses u
    where u.used in (select t.table_name from absurd.partitioned_tables() t union all select v.name from absurd.storage_views() v)
    union
    select u.oid, u.name from uses u join touching t on t.name = u.used
  )
  select f.oid, f.name,
         case when not f.rows and f.prolang = (select l.oid from pg_language l where l.lanname = 'plpgsql') then f.place end
  from functions f
  where f.oid in (select t.oid from touching t)
  order by f.oid
$$;

-- storage_function is the definition of one of storage_functions with its door: as it stands in schema absurd if p_own is null, else
-- as the copy that belongs to queue p_own, where p_names matches what is to be taken from the queue's own schema.
create function absurd.storage_function(p_function oid, p_door text, p_own integer default null, p_names text default null) returns text
language plpgsql stable
set search_path = pg_catalog
as $$
declare
  v_function pg_proc;
  v_source   text := regexp_replace(pg_get_functiondef(p_function), '\n */\* door \*/[^\n]*/\* door \*/', '', 'g');
  v_queue    text := case p_door when 'argument' then 'p_queue_no' else 'v_queue_no' end;
  v_given    text;
  v_outs     text;
  v_call     text;
begin
  if p_own is not null then
    v_source := regexp_replace(v_source, p_names, absurd.storage_schema(p_own) || '.\1', 'g');
    if v_source ~ '\m[twcx]\.ctid = any' then -- so the four tables are called where many rows are found by address
      v_source := regexp_replace(v_source, '\n SET enable_bitmapscan TO [^\n]*', '');
      v_source := regexp_replace(v_source, '\nAS ', E'\n SET enable_bitmapscan TO on\nAS ');
    end if;
  end if;
  if p_door is null or p_own is not null and p_door <> 'argument' then
    return v_source;
  end if;

  select p.* into v_function from pg_proc p where p.oid = p_function;
  v_given := (select string_agg('$' || n, ', ' order by n) from generate_series(1, v_function.pronargs) n);
  v_outs := (select string_agg(quote_ident(v_function.proargnames[i]), ', ' order by i)
             from generate_subscripts(v_function.proargmodes, 1) i where v_function.proargmodes[i] = 'o');
  v_call := format('execute format(%L, absurd.storage_schema(%s))',
    format('select %s%%s.%I(%s)', case when v_function.proretset or v_outs is not null then '* from ' end, v_function.proname, v_given),
    case when p_own is null then v_queue else '1' end);
  v_call := case
    when v_function.proretset then format('return query %s using %s; return;', v_call, v_given)
    when v_outs is not null then format('%s into %s using %s; return;', v_call, v_outs, v_given)
    when v_function.prorettype = 'void'::regtype then format('%s using %s; return;', v_call, v_given)
    else format('declare v_answer %s; begin %s into v_answer using %s; return v_answer; end;',
                format_type(v_function.prorettype, null), v_call, v_given)
  end;
  v_call := format(E'\n  /* door */ if %s then %s end if; /* door */',
    case when p_own is null then v_queue || ' < 0' else format('%s <> %s', v_queue, p_own) end, v_call);
  return regexp_replace(v_source,
    case p_door when 'body' then '\n *v_queue_no := absurd\.(?:require_queue|queue_number)\([^;]*;' else '\nbegin' end || '(?=\n)', '\&' || v_call);
end
$$;

-- renew_storage puts the doors in, and makes the copies of all partitioned queues anew. The installation of a migration ends with it.
create function absurd.renew_storage() returns void
language plpgsql
set check_function_bodies = off
as $$
declare
  v_function record;
  v_queue    record;
begin
  for v_function in
    select absurd.storage_function(f.id, f.door) as definition from absurd.storage_functions() f where f.door is not null
  loop
    execute v_function.definition;
  end loop;
  for v_queue in select q.queue_name, q.queue_no from absurd.queues q where q.storage_mode = 'partitioned' order by q.queue_no desc loop
    perform absurd.copy_storage(v_queue.queue_no);
    perform absurd.ensure_queue_tables(v_queue.queue_name);
  end loop;
end
$$;

-- copy_storage makes the tables of a partitioned queue where they are missing, and its views and functions anew.
create function absurd.copy_storage(p_queue_no integer) returns void
language plpgsql
set search_path = pg_catalog
set check_function_bodies = off -- they call each other
as $$
declare
  v_schema   text := absurd.storage_schema(p_queue_no);
  v_tables   text[] := array(select t.table_name from absurd.partitioned_tables() t union all select v.name from absurd.storage_views() v);
  v_table    record;
  v_view     record;
  v_function record;
begin
  if to_regnamespace(v_schema) is null then
    execute format('create schema %s', v_schema);
    execute format('create sequence %s.addresses', v_schema);
  end if;
  for v_table in select t.table_name, t.key from absurd.partitioned_tables() t order by t.ord loop
    perform absurd.copy_table(v_schema, v_table.table_name, v_table.key);
  end loop;

  -- Views are read by users, who may execute functions of schema absurd alone; doors lead on from there.
  for v_view in
    select v.name, regexp_replace(pg_get_viewdef(v.id), absurd.names_of(v_tables), v_schema || '.\1', 'g') as definition, c.reloptions as options
    from absurd.storage_views() v join pg_class c on c.oid = v.id order by v.id
  loop
    perform absurd.put_view(v_schema, v_view.name, v_view.options, v_view.definition);
  end loop;
  for v_function in
    select absurd.storage_function(f.id, f.door, p_queue_no, n.names) as definition
    from absurd.storage_functions() f,
         (select absurd.names_of(v_tables || array_agg(distinct f.name)) as names from absurd.storage_functions() f) n
  loop
    execute v_function.definition;
  end loop;
  execute format('revoke execute on all functions in schema %s from public', v_schema);
  perform absurd.join_workflow_runs();
end
$$;

-- lock_workflow_runs lets one transaction at a time make the view workflow_runs. The queues must not change between the look at them and the
-- end, and whoever makes the view locks the storage of all of them, which somebody who drops one must not wait for with the view in hand.
create function absurd.lock_workflow_runs() returns void
language sql
as $$ select pg_advisory_xact_lock(hashtext('absurd.join_workflow_runs'), 0) $$;

-- join_workflow_runs makes the view workflow_runs: all workflow runs of all storage, but for that of a queue that is about to be dropped. It
-- is made of as many parts as there are partitioned queues, so that a look-up by queue and id finds an index in each.
create function absurd.join_workflow_runs(p_without integer default null) returns void
language plpgsql
as $$
declare
  v_parts text;
begin
  perform absurd.lock_workflow_runs();
  select string_agg(format('select * from %s.stored_workflow_runs', s.schema) || case when s.queue_no < 0 then format(' where queue_no = %s', s.queue_no) else ' where queue_no > 0' end,
                    ' union all ' order by s.queue_no desc)
  into v_parts
  from (
    select 0 as queue_no, 'absurd' as schema
    union all
    select q.queue_no, absurd.storage_schema(q.queue_no) from absurd.queues q
    where q.storage_mode = 'partitioned' and q.queue_no is distinct from p_without
  ) s
  where to_regclass(s.schema || '.stored_workflow_runs') is not null;
  execute 'create or replace view absurd.workflow_runs with (security_barrier) as ' || v_parts;
  if to_regprocedure('absurd.grant_reading(text)') is not null then -- which comes with a later migration
    perform absurd.grant_reading('absurd.workflow_runs');
  end if;
end
$$;

select absurd.join_workflow_runs();

-- names_of is the regular expression for these names in schema absurd.
create function absurd.names_of(p_names text[]) returns text
language sql immutable
as $$ select '\mabsurd\.(' || array_to_string(p_names, '|') || ')\M' $$;

-- copy_table makes the partitioned copy of a table, or adds the columns and row policies that it lacks, and the view under the table's name.
create function absurd.copy_table(p_schema text, p_table text, p_key text) returns void
language plpgsql
set search_path = pg_catalog
as $$
declare
  v_template regclass := 'absurd.' || p_table;
  v_copy     text := format('%s.partitioned_%s', p_schema, p_table);
  v_column   record;
begin
  if to_regclass(v_copy) is null then
    execute format('create table %s (like %s including all, address tid not null default absurd.row_address(nextval(%L))) partition by range (%s)',
      v_copy, v_template, p_schema || '.addresses', p_key);
    execute format('create index on %s using hash (address)', v_copy);
  end if;
  for v_column in
    select format('add column %I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
           || case when a.attnotnull then ' not null' else '' end as command
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = v_template and a.attnum > 0 and not a.attisdropped
      and not exists (select from pg_attribute o where o.attrelid = v_copy::regclass and o.attname = a.attname and not o.attisdropped)
    order by a.attnum
  loop
    execute format('alter table %s %s', v_copy, v_column.command);
  end loop;
  for v_column in
    select format('create policy %I on %s using (%s)', y.polname, v_copy, pg_get_expr(y.polqual, y.polrelid)) as command
    from pg_policy y
    where y.polrelid = v_template and not exists (select from pg_policy o where o.polrelid = v_copy::regclass and o.polname = y.polname)
  loop
    execute v_column.command;
    execute format('alter table %s enable row level security, force row level security', v_copy);
  end loop;
  perform absurd.put_view(p_schema, p_table, null, (
    select format('select address as ctid, %s from %s', string_agg(quote_ident(a.attname), ', ' order by a.attnum), v_copy)
    from pg_attribute a where a.attrelid = v_template and a.attnum > 0 and not a.attisdropped));
end
$$;

-- put_view makes a view anew, in place where its columns allow that.
create function absurd.put_view(p_schema text, p_name text, p_options text[], p_definition text) returns void
language plpgsql
set client_min_messages = warning
as $$
declare
  v_view text := format('view %s.%I %s as %s', p_schema, p_name, 'with (' || array_to_string(p_options, ', ') || ')', p_definition);
begin
  execute 'create or replace ' || v_view;
exception when invalid_table_definition then
  execute format('drop view %s.%I cascade', p_schema, p_name);
  execute 'create ' || v_view;
end
$$;
