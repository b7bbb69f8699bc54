package contract

import "strings"

// catalogue pins sections 3 and 5: what exists under which names and types.
func catalogue() []pin {
	const columns = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) from pg_attribute where attrelid = $1::regclass and attnum > 0"
	return []pin{
		{"3.columns", func(s *session) {
			for relation, want := range map[string]string{
				"t": "task_id uuid, task_name text, params jsonb, headers jsonb, retry_strategy jsonb, max_attempts integer, cancellation jsonb, enqueue_at timestamp with time zone, first_started_at timestamp with time zone, state text, attempts integer, last_attempt_run uuid, completed_payload jsonb, cancelled_at timestamp with time zone, idempotency_key text",
				"r": "run_id uuid, task_id uuid, attempt integer, state text, claimed_by text, claim_expires_at timestamp with time zone, available_at timestamp with time zone, wake_event text, event_payload jsonb, started_at timestamp with time zone, completed_at timestamp with time zone, failed_at timestamp with time zone, result jsonb, failure_reason jsonb, created_at timestamp with time zone",
				"c": "task_id uuid, checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamp with time zone",
				"e": "event_name text, payload jsonb, emitted_at timestamp with time zone",
				"w": "task_id uuid, run_id uuid, step_name text, event_name text, timeout_at timestamp with time zone, created_at timestamp with time zone",
			} {
				s.want(want, columns, "absurd."+relation+"_"+s.queue)
			}
			s.want("t", "select (to_regclass('absurd.i_' || {q}) is not null) = (storage_mode = 'partitioned') from absurd.queues where queue_name = {q}")
		}},
		{"5.signatures", func(s *session) {
			for _, signature := range strings.Split(strings.TrimSpace(signatures), "\n") {
				name, want, _ := strings.Cut(signature, " ")
				got := strings.Join(s.rows(`select pg_get_function_arguments(oid) || ' -> ' || pg_get_function_result(oid) || ' ' || provolatile::text || case when proisstrict then ' strict' else '' end
					from pg_proc where pronamespace = 'absurd'::regnamespace and proname = $1 order by pronargs`, name), "; ")
				if got != want {
					s.t.Errorf("%s:\n got %s\nwant %s", name, got, want)
				}
			}
		}},
		{"1.empty_search_path", func(s *session) {
			s.exec("set search_path = ''")
			task, run := s.running(`{"idempotency_key": "k", "retry_strategy": {"kind": "exponential"}, "cancellation": {"max_delay": 5, "max_duration": 500}}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2, 60)", task, run)
			s.exec("select * from absurd.get_task_checkpoint_states({q}, $1, $2)", task, run)
			s.exec("select absurd.await_event({q}, $1, $2, 'b', 'ping', 5)", task, run)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.claim()
			s.exec("select absurd.extend_claim({q}, $1, 5)", run)
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(1))
			s.at(2)
			s.exec("select absurd.fail_run({q}, $1, '{}')", s.claim())
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.exec("select absurd.get_task_result({q}, $1)", task)
			s.exec("select absurd.drop_queue({q})")
		}},
		{"1.inside_a_callers_transaction", func(s *session) {
			s.inTransaction(func() {
				task, run := s.running("{}")
				s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 5)", task, run)
				s.exec("select absurd.emit_event({q}, 'ping', '1')")
				s.claim()
				s.exec("select absurd.complete_run({q}, $1)", run)
				s.wantStates("completed: completed", task)
			})
			s.want("0", "select count(*) from {t}")
		}},
	}
}

// signatures are the functions of section 5: name, arguments, result, volatility.
const signatures = `
current_time  -> timestamp with time zone v
portable_uuidv7  -> uuid v
uuidv7_timestamp p_id uuid -> timestamp with time zone i strict
uuidv7_floor p_ts timestamp with time zone -> uuid i strict
week_bucket_utc p_ts timestamp with time zone -> timestamp with time zone i strict
partition_week_tag p_ts timestamp with time zone -> text i strict
get_schema_version  -> text v
validate_queue_name p_queue_name text -> text v
ensure_queue_tables p_queue_name text -> void v
create_queue p_queue_name text -> void v; p_queue_name text, p_storage_mode text -> void v
drop_queue p_queue_name text -> void v
list_queues  -> TABLE(queue_name text) v
get_queue_policy p_queue_name text -> TABLE(queue_name text, storage_mode text, default_partition text, partition_lookahead interval, partition_lookback interval, cleanup_ttl interval, cleanup_limit integer, detach_mode text, detach_min_age interval) v
set_queue_policy p_queue_name text, p_policy jsonb -> void v
cleanup_tasks p_queue_name text, p_ttl_seconds integer, p_limit integer DEFAULT 1000 -> integer v
cleanup_events p_queue_name text, p_ttl_seconds integer, p_limit integer DEFAULT 1000 -> integer v
ensure_partitions p_queue_name text DEFAULT NULL::text -> void v
list_detach_candidates p_queue_name text DEFAULT NULL::text -> TABLE(queue_name text, parent_table text, partition_table text) v
drop_detached_partition p_partition_table text, p_unschedule_job_name text DEFAULT NULL::text -> boolean v
schedule_detach_jobs p_queue_name text DEFAULT NULL::text -> TABLE(job_name text, job_id bigint, queue_name text, partition_table text, job_kind text) v
enable_cron p_queue_name text DEFAULT NULL::text, p_partition_schedule text DEFAULT '5 * * * *'::text, p_cleanup_schedule text DEFAULT '17 * * * *'::text, p_detach_schedule text DEFAULT '29 * * * *'::text -> TABLE(job_name text, job_id bigint) v
disable_cron p_queue_name text DEFAULT NULL::text -> TABLE(job_name text, job_id bigint) v
cleanup_all_queues p_queue_name text DEFAULT NULL::text -> TABLE(queue_name text, tasks_deleted integer, events_deleted integer) v
spawn_task p_queue_name text, p_task_name text, p_params jsonb, p_options jsonb DEFAULT '{}'::jsonb -> TABLE(task_id uuid, run_id uuid, attempt integer, created boolean) v
claim_task p_queue_name text, p_worker_id text, p_claim_timeout integer DEFAULT 30, p_qty integer DEFAULT 1 -> TABLE(run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb, retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text, event_payload jsonb) v
complete_run p_queue_name text, p_run_id uuid, p_state jsonb DEFAULT NULL::jsonb -> void v
schedule_run p_queue_name text, p_run_id uuid, p_wake_at timestamp with time zone -> void v
fail_run p_queue_name text, p_run_id uuid, p_reason jsonb, p_retry_at timestamp with time zone DEFAULT NULL::timestamp with time zone -> void v
extend_claim p_queue_name text, p_run_id uuid, p_extend_by integer -> void v
cancel_task p_queue_name text, p_task_id uuid -> void v
retry_task p_queue_name text, p_task_id uuid, p_options jsonb DEFAULT '{}'::jsonb -> TABLE(task_id uuid, run_id uuid, attempt integer, created boolean) v
get_task_result p_queue_name text, p_task_id uuid -> TABLE(task_id uuid, state text, result jsonb, failure_reason jsonb) v
set_task_checkpoint_state p_queue_name text, p_task_id uuid, p_step_name text, p_state jsonb, p_owner_run uuid, p_extend_claim_by integer DEFAULT NULL::integer -> void v
get_task_checkpoint_state p_queue_name text, p_task_id uuid, p_step_name text, p_include_pending boolean DEFAULT false -> TABLE(checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamp with time zone) v
get_task_checkpoint_states p_queue_name text, p_task_id uuid, p_run_id uuid -> TABLE(checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamp with time zone) v
await_event p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text, p_timeout integer DEFAULT NULL::integer -> TABLE(should_suspend boolean, payload jsonb) v
emit_event p_queue_name text, p_event_name text, p_payload jsonb DEFAULT NULL::jsonb -> void v
`
