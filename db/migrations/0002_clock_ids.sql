-- The clock and the ids.

-- current_time is the only clock of the engine: clock_timestamp(), or the setting absurd.fake_now where a test has set it.
-- Functions read it once and pass the moment on, so that one call sees one "now".
create function absurd.current_time() returns timestamptz
language sql volatile
as $$
  select case when coalesce(btrim(current_setting('absurd.fake_now', true), E' \t\r\n'), '') = ''
              then clock_timestamp()
              else current_setting('absurd.fake_now')::timestamptz end
$$;

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
