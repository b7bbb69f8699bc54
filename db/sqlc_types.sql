-- Types for sqlc alone; nothing here is ever installed. sqlc does not see the columns of "returns table", so each
-- function that has some is declared again as returning a table made for it, which also says what cannot be null. A test
-- compares these declarations with the installed functions. A function that returns one value which can be null is
-- declared as returning a table with one column of the function's name.

create table name_number (task_name text not null, name_no integer not null);
create or replace function absurd.join_queue(p_worker bigint, p_queue text, p_names text[], p_code text default null) returns setof name_number language sql as '';

create table renewed_lease (lease_end timestamptz not null, noticed uuid[] not null);
create or replace function absurd.renew_worker(p_worker bigint, p_lease_ms integer) returns setof renewed_lease language sql as '';

create table due_time (next_due timestamptz);
create or replace function absurd.next_due(p_queue text) returns setof due_time language sql as '';

create table spawned_task (ord integer not null, task_id uuid not null, attempt integer not null, created boolean not null);
create or replace function absurd.spawn_tasks(p_queue text, p_names text[], p_params jsonb[], p_options jsonb[], p_versions text[] default null, p_shapes text[] default null) returns setof spawned_task language sql as '';

create table claimed_task (
  claim_no bigint not null, task_id uuid not null, name_no integer not null, token integer not null, attempt integer not null,
  generation integer not null, max_attempts integer, lost_leases integer not null, has_records boolean not null,
  enqueue_at timestamptz not null, first_started_at timestamptz not null, claimed_at timestamptz not null,
  params jsonb not null, headers jsonb, retry_strategy jsonb, cancel_requested boolean not null, tenant text not null);
create or replace function absurd.claim_tasks(p_queue text, p_worker bigint, p_limit integer, p_name_nos integer[], p_done_claims bigint[]) returns setof claimed_task language sql as '';

create table record (
  task_id uuid not null, seq bigint not null, checkpoint_name text not null, kind text not null, outcome text not null,
  fingerprint bigint not null, attempt integer not null, recorded_at timestamptz not null, state jsonb);
create or replace function absurd.load_records(p_queue text, p_tasks uuid[]) returns setof public.record language sql as '';
create or replace function absurd.load_named_records(p_queue text, p_tasks uuid[], p_names text[]) returns setof public.record language sql as '';

create table answer (unit integer not null, answer text not null);
create or replace function absurd.commit_passes(
  p_queue text, p_worker bigint,
  p_tasks uuid[], p_tokens integer[], p_actions text[], p_payloads jsonb[], p_due timestamptz[],
  p_record_units integer[], p_record_names text[], p_record_kinds text[], p_record_outcomes text[], p_record_fingerprints bigint[],
  p_record_times timestamptz[], p_record_states jsonb[],
  p_wait_units integer[], p_wait_names text[], p_wait_kinds text[], p_wait_events text[], p_wait_timeouts timestamptz[],
  p_removed_units integer[], p_removed_names text[], p_resend boolean default false, p_renews boolean default false,
  p_note_units integer[] default null, p_attributes jsonb[] default null, p_published jsonb[] default null,
  p_child_units integer[] default null, p_child_names text[] default null, p_child_ids uuid[] default null, p_child_queues text[] default null,
  p_child_workflows text[] default null, p_child_params jsonb[] default null, p_child_options jsonb[] default null,
  p_unwanted_units integer[] default null, p_unwanted_names text[] default null) returns setof answer language sql as '';

create table emitted_event (ord integer not null, first boolean not null);
create or replace function absurd.emit_events(p_queue text, p_names text[], p_payloads jsonb[], p_tenant text default null, p_patience_ms integer default null) returns setof emitted_event language sql as '';

create table sent_message (ord integer not null, answer text not null);
create or replace function absurd.send_messages(p_queue text, p_tasks uuid[], p_inboxes text[], p_keys text[], p_payloads jsonb[]) returns setof sent_message language sql as '';

create table task_notes (tags jsonb, attributes jsonb, published jsonb);
create or replace function absurd.get_notes(p_queue text, p_task uuid) returns setof task_notes language sql as '';

create table outcome (
  task_id uuid not null, task_name text not null, state text not null, attempt integer not null, result jsonb, failure jsonb);
create or replace function absurd.get_outcome(p_queue text, p_task uuid) returns setof outcome language sql as '';
create or replace function absurd.watch_task(p_queue text, p_task uuid) returns setof outcome language sql as '';

create table task_state (task_id uuid not null, state text not null);
create or replace function absurd.request_cancel(p_queue text, p_task uuid, p_cleanup_ms bigint default null) returns setof task_state language sql as '';
create or replace function absurd.terminate_task(p_queue text, p_task uuid) returns setof task_state language sql as '';

create table retried_task (task_id uuid not null, attempt integer not null);
create or replace function absurd.retry_task_now(p_queue text, p_task uuid) returns setof retried_task language sql as '';

create table swept_worker (worker_id bigint not null, requeued integer not null, poisoned integer not null);
create or replace function absurd.sweep(p_limit integer) returns setof swept_worker language sql as '';

create table blocked_task (task_id uuid not null, task_name text not null, state text not null, attempt integer not null, reason text, due_at timestamptz);
create or replace function absurd.list_blocked(p_queue text, p_limit integer) returns setof blocked_task language sql as '';

create table step_record (answer text not null, outcome text, recorded_at timestamptz, state jsonb);
create or replace function absurd.record_step(p_queue text, p_worker bigint, p_task uuid, p_token integer, p_name text, p_fingerprint bigint,
  p_recorded_at timestamptz, p_state jsonb) returns setof step_record language sql as '';
create or replace function absurd.find_step(p_queue text, p_worker bigint, p_task uuid, p_token integer, p_name text) returns setof step_record language sql as '';
create table tenants_answer (my_tenants text[]);
create or replace function absurd.my_tenants() returns setof tenants_answer language sql as '';

create table tenant_role (role_name text not null, tenant text not null);
create or replace function absurd.list_tenant_roles() returns setof tenant_role language sql as '';

create table user_role (kind text not null, role_name text not null, made boolean not null);
create or replace function absurd.list_roles() returns setof user_role language sql as '';

create table workflow_run (
  run_id uuid not null, queue text not null, workflow_name text not null, version text, shape_hash text, status text not null, root_task uuid, input jsonb,
  result jsonb, error jsonb, created_by text, tags jsonb, created_at timestamptz not null, started_at timestamptz, completed_at timestamptz,
  task_count bigint not null, tenant text not null, by_hand boolean not null);
create or replace function absurd.get_workflow_run(p_queue text, p_run_id uuid) returns setof workflow_run language sql as '';

create table listed_workflow_run (
  run_id uuid, queue text, workflow_name text, version text, shape_hash text, status text, root_task uuid, input jsonb,
  result jsonb, error jsonb, created_by text, tags jsonb, created_at timestamptz, started_at timestamptz, completed_at timestamptz,
  task_count bigint, tenant text, by_hand boolean, cursor text not null);
create or replace function absurd.list_workflow_runs(p_queue text, p_statuses text[] default null, p_workflow_name text default null, p_tenant text default null,
  p_tags jsonb default null, p_created_from timestamptz default null, p_created_to timestamptz default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000) returns setof listed_workflow_run language sql as '';

-- The contract's functions.

create table uuid_time (uuidv7_timestamp timestamptz);
create or replace function absurd.uuidv7_timestamp(p_id uuid) returns setof uuid_time language sql as '';

create table queue_name (queue_name text not null);
create or replace function absurd.list_queues() returns setof queue_name language sql as '';

create table task_run (task_id uuid not null, run_id uuid not null, attempt integer not null, created boolean not null);
create or replace function absurd.spawn_task(p_queue_name text, p_task_name text, p_params jsonb, p_options jsonb default '{}') returns setof task_run language sql as '';
create or replace function absurd.retry_task(p_queue_name text, p_task_id uuid, p_options jsonb default '{}') returns setof task_run language sql as '';

create table claimed_run (
  run_id uuid not null, task_id uuid not null, attempt integer not null, task_name text not null, params jsonb not null, retry_strategy jsonb,
  max_attempts integer, headers jsonb, wake_event text, event_payload jsonb);
create or replace function absurd.claim_task(p_queue_name text, p_worker_id text, p_claim_timeout integer default 30, p_qty integer default 1) returns setof claimed_run language sql as '';

create table task_result (task_id uuid not null, state text not null, result jsonb, failure_reason jsonb);
create or replace function absurd.get_task_result(p_queue_name text, p_task_id uuid) returns setof task_result language sql as '';

create table checkpoint_state (checkpoint_name text not null, state jsonb, status text not null, owner_run_id uuid, updated_at timestamptz not null);
create or replace function absurd.get_task_checkpoint_state(p_queue_name text, p_task_id uuid, p_step_name text, p_include_pending boolean default false) returns setof checkpoint_state language sql as '';
create or replace function absurd.get_task_checkpoint_states(p_queue_name text, p_task_id uuid, p_run_id uuid) returns setof checkpoint_state language sql as '';

create table awaited_event (should_suspend boolean not null, payload jsonb);
create or replace function absurd.await_event(p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text, p_timeout integer default null) returns setof awaited_event language sql as '';

create table queue_policy (
  queue_name text not null, storage_mode text not null, default_partition text not null, partition_lookahead interval not null,
  partition_lookback interval not null, cleanup_ttl interval not null, cleanup_limit integer not null, detach_mode text not null,
  detach_min_age interval not null);
create or replace function absurd.get_queue_policy(p_queue_name text) returns setof queue_policy language sql as '';

create table queue_cleanup (queue_name text not null, tasks_deleted integer not null, events_deleted integer not null);
create or replace function absurd.cleanup_all_queues(p_queue_name text default null) returns setof queue_cleanup language sql as '';
create or replace function absurd.cleanup_old_events(p_queue text, p_ttl_seconds integer, p_limit integer default 1000) returns integer language sql as '';
create or replace function absurd.cleanup_queues(p_queue text default null) returns setof queue_cleanup language sql as '';

create table repaired_week (queue_name text not null, week timestamptz not null, rows_moved bigint not null);
create or replace function absurd.repair_partitions(p_queue_name text default null) returns setof repaired_week language sql as '';

create table detach_candidate (queue_name text not null, parent_table text not null, partition_table text not null);
create or replace function absurd.list_detach_candidates(p_queue_name text default null) returns setof detach_candidate language sql as '';

create table detach_job (job_name text not null, job_id bigint not null, queue_name text not null, partition_table text not null, job_kind text not null);
create or replace function absurd.schedule_detach_jobs(p_queue_name text default null) returns setof detach_job language sql as '';

create table cron_job (job_name text not null, job_id bigint not null);
create or replace function absurd.enable_cron(p_queue_name text default null, p_partition_schedule text default '5 * * * *', p_cleanup_schedule text default '17 * * * *', p_detach_schedule text default '29 * * * *') returns setof cron_job language sql as '';
create or replace function absurd.disable_cron(p_queue_name text default null) returns setof cron_job language sql as '';

-- Lists. A page that ended early has a last row of nulls but for its cursor, so nothing else is without nulls.

create table listed_task (
  task_id uuid, task_name text, state text, attempt integer, max_attempts integer, lost_leases integer, priority integer,
  tenant text, parent_id uuid, root_id uuid, version text, idempotency_key text, tags jsonb, attributes jsonb, failure jsonb, holder text,
  enqueue_at timestamptz, first_started_at timestamptz, started_at timestamptz, available_at timestamptz, ended_at timestamptz,
  cursor text not null);
create or replace function absurd.list_tasks(p_queue text, p_states text[] default null, p_task_name text default null, p_tenant text default null,
  p_tags jsonb default null, p_attributes jsonb default null, p_error text default null,
  p_spawned_from timestamptz default null, p_spawned_to timestamptz default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000) returns setof listed_task language sql as '';

create table listed_run (
  run_id uuid, task_id uuid, task_name text, attempt integer, state text, claimed_by text, claim_expires_at timestamptz,
  created_at timestamptz, available_at timestamptz, started_at timestamptz, completed_at timestamptz, failed_at timestamptz,
  failure_reason jsonb, cursor text not null);
create or replace function absurd.list_runs(p_queue text, p_task uuid default null, p_states text[] default null,
  p_limit integer default 100, p_after text default null, p_examine integer default 10000) returns setof listed_run language sql as '';

create table listed_checkpoint (
  checkpoint_name text not null, kind text not null, outcome text not null, superseded boolean not null, attempt integer not null,
  recorded_at timestamptz not null, state jsonb, seq bigint not null, cursor text not null);
create or replace function absurd.list_checkpoints(p_queue text, p_task uuid, p_kinds text[] default null, p_limit integer default 100,
  p_after text default null) returns setof listed_checkpoint language sql as '';

create table listed_wait (
  task_id uuid, task_name text, step_name text, kind text, event_name text, tenant text, timeout_at timestamptz,
  created_at timestamptz, cursor text not null);
create or replace function absurd.list_waits(p_queue text, p_kind text default null, p_event text default null, p_task uuid default null,
  p_tenant text default null, p_limit integer default 100, p_after text default null, p_examine integer default 10000) returns setof listed_wait language sql as '';

create table listed_event (event_name text, tenant text, emitted_at timestamptz, payload jsonb, cursor text not null);
create or replace function absurd.list_events(p_queue text, p_prefix text default null, p_tenant text default null, p_emitted_from timestamptz default null,
  p_emitted_to timestamptz default null, p_limit integer default 100, p_after text default null, p_examine integer default 10000) returns setof listed_event language sql as '';

create table queue_numbers (
  queue_name text not null, pending bigint not null, running bigint not null, sleeping bigint not null, scheduled bigint not null,
  blocked bigint not null, waits bigint not null, workers bigint not null, idle_workers bigint not null,
  oldest_pending_at timestamptz, next_due_at timestamptz, paused boolean not null, max_running integer);
create or replace function absurd.queue_statistics(p_queue text default null) returns setof queue_numbers language sql as '';
