-- The tables of the engine. Every queue shares them: the queue's number comes first in every key, so plans are cached
-- and history of one queue is never in the way of another.
--
-- One row a task. The row is born at spawn, claimed and finished in place. No index names a column that a claim or a
-- completion changes, so both are heap-only updates; everything that must be *found* lives in a narrow table of its own:
--
--   ready    runs that may start now, in claim order
--   timers   moments at which something must happen to a task: a sleep ends, a retry is due, a wait times out
--   waits    open waits of sleeping tasks, by event
--   claims   which tasks a worker holds, one row a claim call
--
-- Finished tasks are in none of them, which is why claiming does not slow down as history grows.
--
-- Where a table has a second index, it is partial, and its condition stands in the queries that it is for, even where every row meets it. The
-- queue's number comes first in both, so to a planner that takes the table for empty they look the same: the statistics say so of a table that was
-- analyzed while all its rows were dead, or not committed yet. A plan with the wrong one reads the whole queue, until somebody analyzes again.
-- A condition that every row meets says "<>", of which a planner without statistics expects nearly all rows, and not ">", of which it expects a third.
--
-- Lock order, for every function: worker row; event rows by (queue, tenant, name); task rows by task id; then ready, timer,
-- wait, checkpoint and claim rows. Claims, flushes and sweeps never wait for a row: they SKIP LOCKED. Nor does anybody wait for
-- the rows of a task's relatives.
--
-- Two take a worker's row after tasks': claim_tasks, which keeps a sweep from removing the worker, and retry_task_now, which waits for a flush (see
-- await_flush). Neither can be part of a deadlock, because whoever holds a worker's row (a flush, a renewal, a sweep, a retirement) waits
-- for nobody's row while it does. A caller who has locked tables takes none of these rows and waits for none (see take_table_locks).

create schema if not exists absurd;

-- The migrations that made this schema. checksum is the SHA-256 of the file as applied.
create table absurd.migrations (
  version    integer primary key,
  name       text not null,
  checksum   text not null,
  applied_at timestamptz not null default clock_timestamp()
);

create table absurd.queues (
  queue_name          text primary key,
  queue_no            integer not null generated always as identity unique,
  created_at          timestamptz not null default clock_timestamp(),
  storage_mode        text not null default 'unpartitioned' check (storage_mode in ('unpartitioned', 'partitioned')),
  default_partition   text not null default 'enabled' check (default_partition in ('enabled', 'disabled')),
  partition_lookahead interval not null default interval '28 days' check (partition_lookahead >= interval '0'),
  partition_lookback  interval not null default interval '1 day' check (partition_lookback >= interval '0'),
  cleanup_ttl         interval not null default interval '30 days' check (cleanup_ttl >= interval '0'),
  cleanup_limit       integer not null default 1000 check (cleanup_limit >= 1),
  detach_mode         text not null default 'none' check (detach_mode in ('none', 'empty')),
  detach_min_age      interval not null default interval '30 days' check (detach_min_age >= interval '0'),
  paused              boolean not null default false,  -- no run starts
  max_running         integer check (max_running >= 1) -- of the runs that may run at once; null: no limit
);

-- Task names as numbers: four bytes in the ready index instead of a text.
create table absurd.task_names (
  name_no   integer generated always as identity primary key,
  queue_no  integer not null,
  task_name text not null,
  unique (queue_no, task_name)
);

-- A worker process. Its lease covers every run it has claimed; renewing it is one heap-only update, however many runs it holds.
create table absurd.workers (
  worker_id        bigint generated always as identity primary key,
  worker_name      text not null,
  login            name not null default session_user, -- a session that may not use all tenants uses its own login's workers alone
  registered_at    timestamptz not null,
  lease_expires_at timestamptz not null
) with (fillfactor = 50);

-- A worker on a queue. idle is raised before the last empty claim, so that a producer notifies only when somebody is listening.
create table absurd.worker_queues (
  queue_no  integer not null,
  worker_id bigint not null,
  idle      boolean not null default false,
  name_nos  integer[] not null default '{}', -- the task names that it knows
  code      text,                            -- what names its code, if it has said so
  primary key (queue_no, worker_id)
) with (fillfactor = 50);

-- Task states: p pending, r running, s sleeping, b blocked (the code and the records disagree), c completed, f failed,
-- x cancelled. A blocked task is shown as sleeping wherever the six states of the Absurd surface are expected.
-- The columns that never change and may be long come last: the WAL of an update leaves out the part of the row before the
-- first and after the last changed byte.
create table absurd.tasks (
  task_id          uuid not null,
  enqueue_at       timestamptz not null,
  first_started_at timestamptz,          -- set by the first claim, never again
  started_at       timestamptz,          -- the latest claim
  available_at     timestamptz,          -- when the current run is or was due; also the key of its ready or timer row; infinity: only a wait ends it
  ended_at         timestamptz,          -- when the task reached a final state
  revived_at       timestamptz,          -- when it was last retried in place; policies count from here
  worker_id        bigint,               -- the holder, when claimed by a worker with a lease of its own
  queue_no         integer not null,
  name_no          integer not null,
  token            integer not null default 0,  -- raised by every claim, and when a run is taken from its worker; proves a claim
  attempt          integer not null default 1,
  max_attempts     integer,                     -- null: no limit
  generation       integer not null default 0,  -- raised by continue-as-new
  lost_leases      smallint not null default 0,
  priority         smallint not null default 0, -- lower numbers run first
  state            "char" not null default 'p',
  has_records      boolean not null default false, -- with token = 0: there are no checkpoints to load
  has_waits        boolean not null default false, -- false: there are no rows in waits
  watched          boolean not null default false, -- somebody waits for the outcome: completion notifies
  children         "char",               -- null: it has made none; o: it has; n: one ended while this task ran; w: asleep until one ends
  parent_policy    "char",               -- what the end of the parent does to it: null: it is cancelled too; a: it is left alone
  run_id           uuid,                 -- the current run; null for the first attempt, whose run id is the task id
  claim_expires_at timestamptz,          -- the lease of a run claimed through claim_task; null: never ends
  lease_due_at     timestamptz,          -- when the timer of that lease is due, which an extension leaves where it is
  claimed_by       text,                 -- the holder, when claimed through claim_task
  wake_event       text,                 -- claim_task's account of what ended the last wait
  event_payload    jsonb,
  result           jsonb,
  failure          jsonb,                -- why the task failed, or why it is blocked
  cancel_requested_at timestamptz,       -- somebody has asked the workflow to end
  cancel_due_at    timestamptz,          -- it is cancelled at once if it has not ended by then
  attributes       jsonb,                -- to search by, set by the workflow
  published        jsonb,                -- the state that the workflow shows to others
  tenant           text not null default '',
  idempotency_key  text,
  version          text,                 -- of the workflow's code that spawned it
  shape_hash       text,
  created_by       text,
  tags             jsonb,
  parent_id        uuid,                 -- the task that made it as its child; null: none
  parent_queue_no  integer,
  root_id          uuid,                 -- the first of its ancestors; null: the task itself
  root_queue_no    integer,
  child_name       text,                 -- the checkpoint of the parent that it answers
  retry_strategy   jsonb,
  cancellation     jsonb,
  headers          jsonb,
  params           jsonb not null,
  primary key (queue_no, task_id)
) with (fillfactor = 35); -- room for the versions that a claim and a completion of a whole page's tasks make

-- Attempts that are over, and the ids of attempts after the first. The current attempt lives in its task's row: the row
-- here only says which task a run id belongs to until the attempt ends.
create table absurd.runs (
  queue_no         integer not null,
  run_id           uuid not null,
  task_id          uuid not null,
  attempt          integer not null,
  state            "char" not null,
  created_at       timestamptz not null,
  available_at     timestamptz,
  started_at       timestamptz,
  failed_at        timestamptz,
  claim_expires_at timestamptz,
  claimed_by       text,
  failure_reason   jsonb,
  primary key (queue_no, run_id)
);
create index runs_by_task on absurd.runs (queue_no, task_id) where attempt <> 0;

-- Runs that may start now. Claim deletes from it in index order and stops at its limit. tenant is null for tasks without one, so
-- that they do not pay for the second index, by which workers find their tasks that may not take those of all tenants.
create table absurd.ready (
  queue_no     integer not null,
  name_no      integer not null,
  priority     smallint not null,
  available_at timestamptz not null,
  task_id      uuid not null,
  tenant       text
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index ready_in_claim_order on absurd.ready (queue_no, name_no, priority, available_at, task_id);
create index ready_by_tenant on absurd.ready (queue_no, tenant, name_no, priority, available_at, task_id) where tenant is not null;

-- Kinds: w wake the task (sleep, retry, wait timeout); its due_at is the task's available_at, and it goes when the task wakes.
-- The others say only "look again", may be early or too late to matter, and are removed or re-armed when they fire:
-- d at the cancellation policy or the deadline of a cancel request, l at the lease of a run claimed through claim_task, e at what others had locked:
-- events of waits that could not be registered, relatives that could not be told.
-- Each kind is looked for by every claim, and sleepers may be many: they have an index of their own, so that the others' stays small.
-- A query that takes the kind from a variable says "kind <> 'w'" as well.
create table absurd.timers (
  queue_no integer not null,
  kind     "char" not null,
  due_at   timestamptz not null,
  task_id  uuid not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create unique index timers_of_sleepers on absurd.timers (queue_no, due_at, task_id) where kind = 'w';
create unique index timers_of_others on absurd.timers (queue_no, kind, due_at, task_id) where kind <> 'w';

-- Where a publication for logical replication includes them, their rows can be deleted only if they are known by all columns.
alter table absurd.ready replica identity full;
alter table absurd.timers replica identity full;

-- One row a claim call: the tasks that this worker took with it. Written once, deleted when all of them have ended.
create table absurd.claims (
  worker_id bigint not null,
  claim_no  bigint generated always as identity,
  queue_no  integer not null,
  task_ids  uuid[] not null,
  primary key (worker_id, claim_no)
) with (toast_tuple_target = 8160);
alter table absurd.claims alter column task_ids set storage external; -- ids do not compress

create sequence absurd.checkpoint_seq;

-- The recorded outcomes of a task's durable operations; first write wins.
-- Kinds: s step, z sleep, e event, c child, m message, r race, p patch decision, k cancel request.
-- Outcomes: v value, f failure, t timeout, n pending (a step between two attempts: the only mutable row). In upper case an
-- outcome is superseded: recorded because of a failure that has been removed since (see remove_failures).
-- seq rises in the order of commits within a task.
create table absurd.checkpoints (
  seq             bigint not null default nextval('absurd.checkpoint_seq'),
  recorded_at     timestamptz not null,
  fingerprint     bigint not null default 0,  -- of the input, taken from the encoder's bytes; 0: none
  task_id         uuid not null,
  queue_no        integer not null,
  attempt         integer not null,           -- the attempt that wrote it
  kind            "char" not null default 's',
  outcome         "char" not null default 'v',
  checkpoint_name text not null,
  state           jsonb,
  primary key (queue_no, task_id, checkpoint_name)
);

-- Events. A null payload is a placeholder, emitted at the epoch: somebody waits, nothing was emitted yet.
create table absurd.events (
  queue_no   integer not null,
  tenant     text not null default '',
  event_name text not null,
  emitted_at timestamptz not null,
  payload    jsonb,
  primary key (queue_no, tenant, event_name)
);
create index events_by_age on absurd.events (queue_no, emitted_at) where emitted_at > 'epoch';
create index events_awaited on absurd.events (queue_no, event_name) where emitted_at = 'epoch';

-- Open waits. Kinds: e for the event of that name, m for a message to the inbox of that name. Who waits for a child has no row
-- here (see tasks.children). A wait for an event is registered once it was stored under a share lock of the event's row, so that
-- no emit can miss it; where the row could not be locked at once, a timer of kind e looks again.
create table absurd.waits (
  queue_no   integer not null,
  task_id    uuid not null,
  step_name  text not null,
  tenant     text not null default '',
  event_name text not null,
  timeout_at timestamptz,       -- null: no timeout
  created_at timestamptz not null,
  registered boolean not null default true,
  kind       "char" not null default 'e',
  place      integer not null default 0,  -- of a wait for a message: its place among those stored at the same moment
  primary key (queue_no, task_id, step_name)
);
create index waits_by_event on absurd.waits (queue_no, tenant, event_name) where kind = 'e';

-- Messages that no receive has got yet. message_no rises in the order in which they were sent to their task.
create table absurd.messages (
  queue_no   integer not null,
  task_id    uuid not null,
  inbox_name text not null,
  message_no bigint not null generated always as identity,
  sent_at    timestamptz not null,
  payload    jsonb not null,
  primary key (queue_no, task_id, inbox_name, message_no)
);

-- The keys of the messages that were ever sent to an inbox of a task, received or not: a repeat is dropped.
create table absurd.message_keys (
  queue_no    integer not null,
  task_id     uuid not null,
  inbox_name  text not null,
  message_key text not null,
  primary key (queue_no, task_id, inbox_name, message_key)
);

-- Failed and cancelled tasks, by when they ended: what somebody looks for first is found without reading history.
create table absurd.ended (
  queue_no integer not null,
  state    "char" not null,
  ended_at timestamptz not null,
  task_id  uuid not null,
  primary key (queue_no, state, ended_at, task_id)
);

-- Idempotency keys. scope is the task name for keys given through spawn_tasks, and '' for those given through spawn_task,
-- whose keys are queue-wide by contract. fingerprint tells two different inputs under one key apart; 0: unknown.
create table absurd.idempotency_keys (
  queue_no        integer not null,
  tenant          text not null default '',
  scope           text not null default '',
  idempotency_key text not null,
  task_id         uuid not null,
  fingerprint     bigint not null default 0,
  primary key (queue_no, tenant, scope, idempotency_key)
);
create index idempotency_keys_by_task on absurd.idempotency_keys (queue_no, task_id) where task_id <> '00000000-0000-0000-0000-000000000000';

-- Keys that are free again when their task has ended: of the tasks of a name with one key, at most one is open.
create table absurd.unique_keys (
  queue_no   integer not null,
  tenant     text not null default '',
  task_name  text not null,
  unique_key text not null,
  task_id    uuid not null,
  primary key (queue_no, tenant, task_name, unique_key)
);
create index unique_keys_by_task on absurd.unique_keys (queue_no, task_id) where task_id <> '00000000-0000-0000-0000-000000000000';
