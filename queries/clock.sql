-- name: CurrentTime :one
-- CurrentTime returns the engine's clock: the server's, or the one that a test has set.
select absurd.current_time()::timestamptz;

-- name: PortableUUIDv7 :one
-- PortableUUIDv7 makes a UUIDv7 of the current time.
select absurd.portable_uuidv7()::uuid;

-- name: UUIDv7Timestamp :one
-- UUIDv7Timestamp returns the moment in a UUIDv7, in whole milliseconds; nil for ids of other versions.
select uuidv7_timestamp from absurd.uuidv7_timestamp(p_id => @id);

-- name: UUIDv7Floor :one
-- UUIDv7Floor returns the smallest UUIDv7 of a moment's millisecond.
select absurd.uuidv7_floor(p_ts => @ts::timestamptz)::uuid;

-- name: WeekBucketUTC :one
-- WeekBucketUTC returns the Monday, 00:00 UTC, that begins a moment's week.
select absurd.week_bucket_utc(p_ts => @ts::timestamptz)::timestamptz;

-- name: PartitionWeekTag :one
-- PartitionWeekTag names a moment's ISO week in UTC with three digits: the last of the year, two of the week.
select absurd.partition_week_tag(p_ts => @ts::timestamptz)::text;

-- name: GetSchemaVersion :one
-- GetSchemaVersion names the contract that the schema offers.
select absurd.get_schema_version()::text;
