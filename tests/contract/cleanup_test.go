package contract

import (
	"strconv"
	"strings"
)

// cleaning pins section 7.15, and the policies of section 7.2.
func cleaning() []pin {
	const clean, cleanEvents = "select absurd.cleanup_tasks({q}, $1, $2)", "select absurd.cleanup_events({q}, $1, $2)"
	const policy = "select partition_lookahead, partition_lookback, cleanup_ttl, cleanup_limit, detach_mode, detach_min_age, default_partition from absurd.get_queue_policy({q})"
	const defaults = "28 days|1 day|30 days|1000|none|30 days|enabled"
	complete := func(s *session, seconds int) string {
		s.t.Helper()
		_, run := s.running("{}")
		s.at(seconds)
		s.exec("select absurd.complete_run({q}, $1)", run)
		return run
	}
	return []pin{
		{"7.15.tasks_by_their_end", func(s *session) {
			complete(s, 10)
			_, run := s.running(`{"max_attempts": 1}`)
			s.at(20)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			task := s.spawn("{}")
			s.at(30)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			open := s.spawn("{}")
			for i, want := range []string{"0", "1", "1", "1", "0"} {
				s.at(100 + []int{0, 1, 11, 21, 10_000}[i])
				s.want(want, clean, 90, 10)
			}
			s.want(open, "select task_id from {t}")
		}},
		{"7.15.strictly_before", func(s *session) {
			complete(s, 10)
			s.want("0", clean, 0, 10)
			s.at(11)
			s.want("0", clean, 1, 10)
			s.want("1", clean, 0, 10)
		}},
		{"7.15.oldest_end_first", func(s *session) {
			var runs []string
			for i := range 3 {
				s.at(i)
				_, run := s.running("{}")
				runs = append(runs, run)
			}
			for i, which := range []int{1, 2, 0} {
				s.at(10 + i)
				s.exec("select absurd.complete_run({q}, $1)", runs[which])
			}
			s.at(100)
			for _, which := range []int{1, 2, 0} {
				s.want("1", clean, 10, 1)
				s.want("0", "select count(*) from {t} where task_id = $1", runs[which])
			}
		}},
		{"7.15.all_that_belongs_to_it", func(s *session) {
			task, run := s.running(`{"idempotency_key": "k", "cancellation": {"max_duration": 500}}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.exec("select absurd.complete_run({q}, $1)", s.claim())
			s.at(1000)
			s.want("1", clean, 10, 10)
			s.want("0|0|0|0", "select (select count(*) from {t}), (select count(*) from {r}), (select count(*) from {c}), (select count(*) from absurd.runs where task_id = $1)", task)
			s.want("t", `select created from absurd.spawn_task({q}, 'work', '{}', '{"idempotency_key": "k"}')`)
			s.claim()
			s.want("0", "select count(*) from absurd.timers where task_id = $1", task)
		}},
		{"7.15.walks_on", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'work', '{}') from generate_series(1, 2500)")
			s.at(1)
			for range 2 {
				s.exec("select absurd.cancel_task({q}, $1)", s.spawn("{}"))
			}
			s.at(100)
			s.want("2", clean, 10, 2)
			s.exec("select absurd.cancel_task({q}, task_id) from {t}")
			s.at(200)
			total := 0
			for range 10 {
				n, _ := strconv.Atoi(s.one(clean, 10, 700))
				total += n
			}
			if total != 2500 {
				s.t.Errorf("cleaned %d tasks, want 2500", total)
			}
		}},
		{"7.15.locked_tasks_stay", func(s *session) {
			first := complete(s, 1)
			complete(s, 2)
			s.at(100)
			other := s.another()
			other.exec("begin")
			other.exec("select from absurd.tasks where task_id = $1 for update", first)
			s.exec("set lock_timeout = '20s'")
			s.want("1", clean, 10, 10)
			other.exec("commit")
			s.want(first, "select task_id from {t}")
			s.want("1", clean, 10, 10)
		}},
		{"13.2.revived_tasks_stay", func(s *session) {
			_, run := s.running(`{"max_attempts": 1}`)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.at(100)
			other := s.another()
			other.at(100)
			other.exec("begin")
			other.exec("select absurd.retry_task({q}, $1)", run)
			s.want("0", clean, 10, 10)
			other.exec("commit")
			s.want("0", clean, 10, 10)
			s.wantStates("pending: failed pending", run)
		}},
		{"7.15.events", func(s *session) {
			for i, name := range []string{"b", "a", "c"} {
				s.at(i * 10)
				s.exec("select absurd.emit_event({q}, $1)", name)
			}
			s.at(110)
			s.want("0", cleanEvents, 110, 10)
			s.want("1", cleanEvents, 90, 1)
			s.want("a\nc", "select event_name from {e} order by 1")
			s.want("1", cleanEvents, 90, 10)
			s.want("c", "select event_name from {e}")
		}},
		{"13.8.awaited_placeholders_stay", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping')", task, run)
			gone, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'pong')", gone, run)
			s.exec("select absurd.cancel_task({q}, $1)", gone)
			s.want("1", cleanEvents, 10, 10)
			s.want("ping", "select event_name from {e}")
			s.exec("select absurd.emit_event({q}, 'ping', '1')")
			s.wantStates("pending: pending", task)
		}},
		{"13.8.no_wake_up_is_lost_to_cleanup", func(s *session) {
			task, run := s.running("{}")
			cleaner, waiter := s.another(), s.another()
			s.exec("select absurd.share_event(queue_no, '', 'ping') from absurd.queues where queue_name = {q}")
			cleaner.exec("begin")
			cleaner.want("1", cleanEvents, 10, 10)
			wait := waiter.background(func() error {
				_, err := waiter.try("select absurd.await_event({q}, $1, $2, 'a', 'ping')", task, run)
				return err
			})
			cleaner.exec("commit")
			if err := wait(); err != nil {
				s.t.Fatal(err)
			}
			s.exec("select absurd.emit_event({q}, 'ping', '1')")
			s.wantStates("pending: pending", task)
		}},
		{"7.15.all_queues", func(s *session) {
			complete(s, 0)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.exec("select absurd.emit_event({q}, 'pong')")
			s.exec(`select absurd.set_queue_policy({q}, '{"cleanup_ttl": "90.9 seconds", "cleanup_limit": 1}')`)
			s.at(90)
			s.want(s.queue+"|0|0", "select * from absurd.cleanup_all_queues({q})")
			s.at(91)
			s.want(s.queue+"|1|1", "select * from absurd.cleanup_all_queues({q})")
			s.want(s.queue+"|0|1", "select * from absurd.cleanup_all_queues({q})")
		}},
		{"7.15.all_queues_by_name", func(s *session) {
			s.exec("set absurd.fake_now = '1970-01-10 00:00+00'") // nothing is old then, in no case's queue
			s.inTransaction(func() {
				s.want("t|t", `select array_agg(queue_name order by ord) = array_agg(queue_name order by queue_name), bool_or(queue_name = {q})
					from absurd.cleanup_all_queues() with ordinality x (queue_name, tasks, events, ord)`)
			})
		}},
		{"6.P0001.cleanup", func(s *session) {
			for _, ttl := range []any{nil, -1} {
				s.refused(P0001, "ttl", clean, ttl, 10)
				s.refused(P0001, "ttl", cleanEvents, ttl, 10)
			}
			for _, name := range []string{"", strings.Repeat("x", 58), "nowhere"} {
				s.refused(P0001, "queue", "select absurd.cleanup_all_queues($1)", name)
			}
			s.refused("42P01", "", "select absurd.cleanup_tasks('nowhere', 1)")
			s.refused("42P01", "", "select absurd.cleanup_events('nowhere', 1)")
		}},

		{"7.2.get_queue_policy", func(s *session) {
			s.want(s.queue+"|unpartitioned|enabled|28 days|1 day|30 days|1000|none|30 days", "select * from absurd.get_queue_policy({q})")
			s.want("0", "select count(*) from absurd.get_queue_policy('nowhere')")
		}},
		{"7.2.set_queue_policy", func(s *session) {
			s.exec(`select absurd.set_queue_policy({q}, '{"cleanup_ttl": " 2 HOURS ", "cleanup_limit": 5, "detach_mode": " Empty ", "detach_min_age": "1 day",
				"partition_lookahead": "14 days", "partition_lookback": "0"}')`)
			s.want("14 days|00:00:00|02:00:00|5|empty|1 day|enabled", policy)
			for _, none := range []any{nil, "{}"} {
				s.exec("select absurd.set_queue_policy({q}, $1)", none)
				s.want("14 days|00:00:00|02:00:00|5|empty|1 day|enabled", policy)
			}
		}},
		{"7.2.policies_are_stored_together", func(s *session) {
			s.refused(P0001, "detach_mode", "select absurd.set_queue_policy({q}, '{\"cleanup_limit\": 5, \"detach_mode\": \"some\"}')")
			s.want(defaults, policy)
		}},
		{"7.2.policy_calls_take_turns", func(s *session) {
			other := s.another()
			other.exec("begin")
			other.exec("select absurd.set_queue_policy({q}, '{\"cleanup_limit\": 5}')")
			wait := s.background(func() error {
				_, err := s.try("select absurd.set_queue_policy({q}, '{\"detach_mode\": \"empty\"}')")
				return err
			})
			other.exec("commit")
			if err := wait(); err != nil {
				s.t.Error(err)
			}
			s.want("5|empty", "select cleanup_limit, detach_mode from absurd.get_queue_policy({q})")
		}},
		{"6.P0001.set_queue_policy", func(s *session) {
			for policy, fact := range map[string]string{
				`[]`: "object", `"x"`: "object", `{"cleanup": 1}`: "unknown", `{"cleanup_limit": 0}`: "cleanup_limit", `{"cleanup_ttl": "-1 s"}`: "cleanup_ttl",
				`{"cleanup_ttl": "soon"}`: "cleanup_ttl", `{"partition_lookahead": "-1 day"}`: "partition_lookahead", `{"partition_lookback": "-1 day"}`: "partition_lookback",
				`{"detach_min_age": "-1 day"}`: "detach_min_age", `{"detach_mode": "full"}`: "detach_mode", `{"default_partition": "enabled"}`: "not partitioned",
				`{"default_partition": "maybe"}`: "default_partition",
			} {
				s.refused(P0001, fact, "select absurd.set_queue_policy({q}, $1)", policy)
			}
			s.want(defaults, policy)
			for _, name := range []any{nil, "", strings.Repeat("x", 58), "nowhere"} {
				s.refused(P0001, "queue", "select absurd.set_queue_policy($1, '{}')", name)
			}
		}},
		{"5.get_schema_version", func(s *session) {
			s.want("absurdgen", "select absurd.get_schema_version()")
			s.inTransaction(func() {
				s.exec("create or replace function absurd.get_schema_version() returns text language sql as $$ select 'other' $$")
				s.want("other", "select absurd.get_schema_version()")
			})
		}},
	}
}
