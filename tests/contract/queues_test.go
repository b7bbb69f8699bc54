package contract

import (
	"strings"
	"sync"
)

// hostileNames are queue names that need quoting, or all the room there is.
var hostileNames = []string{`a"b'c`, "Upper Case", "dots.and.more", "emoji 😀", "semi;colon--", strings.Repeat("x", 57), strings.Repeat("é", 28), "%I $1", `back\slash`}

// queues pins sections 2 and 7.2.
func queues() []pin {
	return []pin{
		{"2.defaults", func(s *session) {
			s.want("unpartitioned|enabled|28 days|1 day|30 days|1000|none|30 days", `select storage_mode, default_partition, partition_lookahead, partition_lookback,
				cleanup_ttl, cleanup_limit, detach_mode, detach_min_age from absurd.queues where queue_name = {q}`)
		}},
		{"2.checks", func(s *session) {
			for _, bad := range []string{"storage_mode = 'x'", "default_partition = 'x'", "partition_lookahead = '-1 s'", "partition_lookback = '-1 s'",
				"cleanup_ttl = '-1 s'", "cleanup_limit = 0", "detach_mode = 'x'", "detach_min_age = '-1 s'"} {
				s.refused("23514", "", "update absurd.queues set "+bad+" where queue_name = {q}")
			}
		}},
		{"7.2.create_is_idempotent", func(s *session) {
			task := s.spawn("{}")
			s.exec("select absurd.create_queue({q})")
			s.exec("select absurd.create_queue({q}, 'unpartitioned')")
			s.want(task, "select task_id from {t}")
		}},
		{"7.2.create_repairs", func(s *session) {
			s.exec("drop view {w}")
			s.exec("select absurd.create_queue({q})")
			s.want("0", "select count(*) from {w}")
			s.exec("drop view {e}")
			s.exec("select absurd.ensure_queue_tables({q})")
			s.want("0", "select count(*) from {e}")
		}},
		{"7.2.create_twice_waits_for_nobody", func(s *session) {
			writer := s.another()
			writer.exec("begin")
			writer.spawn("{}")
			s.exec("set lock_timeout = '20s'")
			s.exec("select absurd.create_queue({q})")
			writer.exec("commit")
		}},
		{"7.2.create_concurrently", func(s *session) {
			var all sync.WaitGroup
			sessions := make([]*session, 16)
			errs := make([]error, len(sessions))
			for i := range sessions {
				sessions[i] = s.another()
			}
			for i, each := range sessions {
				all.Go(func() { _, errs[i] = each.try("select absurd.create_queue({q} || ' at once')") })
			}
			all.Wait()
			for _, err := range errs {
				if err != nil {
					s.t.Error(err)
				}
			}
			s.want("5", "select count(*) from pg_class where relname like '__' || {q} || ' at once'")
		}},
		{"7.2.mode_is_normalised", func(s *session) {
			s.exec("select absurd.create_queue({q} || '2', E'  UnPartitioned ')")
			s.want("unpartitioned", "select storage_mode from absurd.queues where queue_name = {q} || '2'")
		}},
		{"6.P0001.create_queue", func(s *session) {
			for _, mode := range []any{"heap", "", nil} {
				s.refused(P0001, "storage mode", "select absurd.create_queue({q} || '2', $1)", mode)
			}
			s.want("0", "select count(*) from absurd.queues where queue_name = {q} || '2'")
			s.refused(P0001, "exists with storage mode", `select absurd.create_queue({q}, m) from absurd.queues, unnest('{partitioned,unpartitioned}'::text[]) m
				where queue_name = {q} and storage_mode <> m`)
		}},
		{"7.2.any_name_will_do", func(s *session) {
			for _, name := range hostileNames {
				other := s.another()
				other.queue = name
				other.exec("select absurd.create_queue($1)", name)
				task, run := other.running("{}")
				other.exec("select absurd.set_task_checkpoint_state($1, $2, 'a', '1', $3)", name, task, run)
				other.want("1|1|1", "select (select count(*) from {t}), (select count(*) from {r}), (select count(*) from {c})")
				other.exec("select absurd.drop_queue($1)", name)
				other.want("0", "select count(*) from absurd.queues where queue_name = $1", name)
			}
		}},
		{"6.P0001.validate_queue_name", func(s *session) {
			s.want("x|"+strings.Repeat("é", 28), "select absurd.validate_queue_name('x'), absurd.validate_queue_name($1)", strings.Repeat("é", 28))
			for _, bad := range []any{nil, "", strings.Repeat("x", 58), strings.Repeat("é", 29)} {
				s.refused(P0001, "queue name", "select absurd.validate_queue_name($1)", bad)
			}
		}},
		{"6.P0001.functions_that_validate", func(s *session) {
			for _, call := range []string{"create_queue($1)", "create_queue($1, 'unpartitioned')", "ensure_queue_tables($1)",
				"get_task_result($1, gen_random_uuid())"} {
				for _, bad := range []any{nil, "", strings.Repeat("x", 58)} {
					s.refused(P0001, "queue name", "select absurd."+call, bad)
				}
			}
		}},
		{"6.does_not_validate", func(s *session) {
			long := strings.Repeat("x", 58)
			s.exec("select absurd.drop_queue($1)", long)
			for _, call := range []string{"spawn_task($1, 'work', '{}')", "claim_task($1, 'w1')", "complete_run($1, gen_random_uuid())", "schedule_run($1, gen_random_uuid(), now())",
				"fail_run($1, gen_random_uuid(), '{}')", "extend_claim($1, gen_random_uuid(), 1)", "cancel_task($1, gen_random_uuid())", "retry_task($1, gen_random_uuid())",
				"set_task_checkpoint_state($1, gen_random_uuid(), 'a', '1', gen_random_uuid())", "get_task_checkpoint_state($1, gen_random_uuid(), 'a')",
				"get_task_checkpoint_states($1, gen_random_uuid(), gen_random_uuid())", "await_event($1, gen_random_uuid(), gen_random_uuid(), 'a', 'b')", "emit_event($1, 'a')"} {
				s.refused("42P01", "", "select absurd."+call, long)
			}
		}},
		{"6.42P01", func(s *session) {
			s.refused("42P01", "nowhere", "select absurd.spawn_task('nowhere', 'work', '{}')")
			s.refused("42P01", "nowhere", "select absurd.get_task_result('nowhere', gen_random_uuid())")
		}},
		{"7.2.drop_removes_everything", func(s *session) {
			task, run := s.running(`{"idempotency_key": "k"}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.await_event({q}, $1, $2, 'b', 'ping', 5)", task, run)
			s.spawn(`{"cancellation": {"max_delay": 5}}`)
			no := s.one("select queue_no from absurd.queues where queue_name = {q}")
			s.exec("select absurd.drop_queue({q})")
			s.want("0", "select count(*) from pg_class where relname like '__' || {q}")
			s.want("0|0|0|0|0|0|0|0|0", `select (select count(*) from absurd.tasks where queue_no = n), (select count(*) from absurd.runs where queue_no = n),
				(select count(*) from absurd.checkpoints where queue_no = n), (select count(*) from absurd.events where queue_no = n), (select count(*) from absurd.waits where queue_no = n),
				(select count(*) from absurd.ready where queue_no = n), (select count(*) from absurd.timers where queue_no = n),
				(select count(*) from absurd.task_names where queue_no = n), (select count(*) from absurd.idempotency_keys where queue_no = n)
				from (select $1::int) x (n)`, no)
			s.exec("select absurd.drop_queue({q})")
		}},
		{"7.2.drop_takes_what_stands_there", func(s *session) {
			s.queue = strings.Repeat("z", 58)
			s.exec("insert into absurd.queues (queue_name) values ({q})")
			for _, prefix := range []string{"{t}", "{r}", "{c}", "{e}", "{w}"} {
				s.exec("create table " + prefix + " (x int)")
			}
			s.exec("select absurd.drop_queue({q})")
			s.want("0|0", "select count(*), (select count(*) from absurd.queues where queue_name = {q}) from pg_class where relname like '__' || {q}")
		}},
		{"7.2.drop_leaves_the_others", func(s *session) {
			task := s.spawn("{}")
			s.exec("select absurd.create_queue({q} || '_d')")
			s.exec("select absurd.spawn_task({q} || '_d', 'work', '{}')")
			s.exec("select absurd.drop_queue({q} || '_d')")
			s.want(task, "select task_id from {t}")
			s.wantStates("pending: pending", task)
		}},
		{"7.2.list_queues", func(s *session) {
			s.exec("select absurd.create_queue({q} || 'b'), absurd.create_queue({q} || 'a')")
			s.want(s.queue+"\n"+s.queue+"a\n"+s.queue+"b", "select queue_name from absurd.list_queues() where queue_name like {q} || '%'")
			s.want("t", "select array_agg(queue_name) = array_agg(queue_name order by queue_name) from absurd.list_queues()")
		}},
	}
}
