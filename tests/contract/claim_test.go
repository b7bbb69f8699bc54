package contract

import (
	"fmt"
	"strings"
)

// claiming pins section 7.4 and the locks of section 8 that claiming keeps.
func claiming() []pin {
	const claimed = "select string_agg(run_id::text, ' ') from absurd.claim_task({q}, 'w1', 30, $1)"
	return []pin{
		{"7.4.1.arguments_are_normalised", func(s *session) {
			for _, worker := range []any{nil, ""} {
				run := s.spawn("{}")
				s.want(run, "select run_id from absurd.claim_task({q}, $1, null, null)", worker)
				s.want("worker|"+stamp(30), "select claimed_by, claim_expires_at from {r} where run_id = $1", run)
			}
			s.spawn("{}")
			s.spawn("{}")
			s.want("1", "select count(*) from absurd.claim_task({q}, 'w1', -5, -5)")
			s.want("1", "select count(*) from {r} where claimed_by = 'w1' and claim_expires_at is null")
			s.want("1", "select count(*) from absurd.claim_task({q}, 'w1')")
		}},
		{"7.4.1.timeout_0_never_ends", func(s *session) {
			run := s.spawn("{}")
			s.exec("select absurd.claim_task({q}, 'w1', 0)")
			s.at(1_000_000_000)
			s.want("0", "select count(*) from absurd.claim_task({q}, 'w2')")
			s.want("running|"+null, "select state, claim_expires_at from {r} where run_id = $1", run)
		}},
		{"7.4.2.max_delay", func(s *session) {
			task := s.spawn(`{"cancellation": {"max_delay": 10}}`)
			s.inTransaction(func() {
				s.at(9)
				s.want(task, claimed, 1)
				s.at(38)
				s.want(null, claimed, 1)
				s.wantStates("running: running", task)
			})
			s.at(10)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: cancelled", task)
			s.want(stamp(10), "select cancelled_at from {t}")
		}},
		{"7.4.2.max_duration", func(s *session) {
			task := s.spawn(`{"cancellation": {"max_duration": 10}}`)
			s.at(100)
			run := s.claim()
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(105))
			s.at(109)
			s.want(run, claimed, 1)
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(105))
			s.at(110)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: cancelled", task)
		}},
		{"7.4.2.max_duration_of_a_running_task", func(s *session) {
			task, run := s.running(`{"cancellation": {"max_duration": 10}}`)
			s.at(10)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: cancelled", task)
			s.want(null+"|"+null, "select claimed_by, claim_expires_at from {r} where run_id = $1", run)
			s.refused("AB001", "cancelled", "select absurd.complete_run({q}, $1)", run)
		}},
		{"7.4.2.max_duration_0", func(s *session) {
			task := s.spawn(`{"cancellation": {"max_duration": 0}}`)
			s.at(5)
			s.want(task, claimed, 1)
			s.at(6)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: cancelled", task)
		}},
		{"7.4.2.failed_runs_keep_their_state", func(s *session) {
			task, run := s.running(`{"cancellation": {"max_duration": 10}, "retry_strategy": {"kind": "fixed", "base_seconds": 5}}`)
			s.exec("select absurd.fail_run({q}, $1, '\"why\"')", run)
			s.wantStates("sleeping: failed sleeping", task)
			s.at(10)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: failed cancelled", task)
			s.want(`"why"`, "select failure_reason from {r} where attempt = 1")
		}},
		{"13.4.policies_are_bounded", func(s *session) {
			s.exec(`select absurd.spawn_task({q}, 'work', '{}', '{"cancellation": {"max_delay": 10}}') from generate_series(1, 250)`)
			s.at(10)
			s.want(null, claimed, 5)
			s.want("100", "select count(*) from {t} where state = 'cancelled'")
			s.want(null, claimed, 5)
			s.want(null, claimed, 5)
			s.want("250", "select count(*) from {t} where state = 'cancelled'")
		}},
		{"13.3.policies_pass_over_locked_tasks", func(s *session) {
			first := s.spawn(`{"cancellation": {"max_delay": 10}}`)
			second := s.spawn(`{"cancellation": {"max_delay": 10}}`)
			s.at(10)
			other := s.another()
			other.exec("begin")
			other.exec("select absurd.cancel_task({q}, $1)", first)
			s.exec("set lock_timeout = '20s'")
			s.want(null, claimed, 1)
			other.exec("rollback")
			s.wantStates("pending: pending", first)
			s.wantStates("cancelled: cancelled", second)
			s.want(null, claimed, 1)
			s.wantStates("cancelled: cancelled", first)
		}},
		{"7.4.3.expired_leases", func(s *session) {
			task, run := s.running(`{"retry_strategy": {"kind": "fixed", "base_seconds": 5}}`)
			s.at(29)
			s.want(null, claimed, 1)
			s.wantStates("running: running", task)
			s.at(30)
			s.want(null, claimed, 1)
			s.wantStates("sleeping: failed sleeping", task)
			s.want("w1|"+stamp(30)+"|"+stamp(30)+"|$ClaimTimeout|w1|1|"+stamp(30), `select claimed_by, claim_expires_at, failed_at, failure_reason->>'name', failure_reason->>'workerId',
				failure_reason->>'attempt', (failure_reason->>'claimExpiredAt')::timestamptz from {r} where run_id = $1`, run)
			s.want(stamp(35), "select available_at from {r} where attempt = 2")
		}},
		{"7.4.3.at_most_quantity_oldest_first", func(s *session) {
			for i := range 5 {
				s.spawn(`{"retry_strategy": {"kind": "fixed"}}`)
				s.exec("select absurd.claim_task({q}, 'w1', $1)", 50-i)
			}
			s.at(100)
			s.exec(claimed, 1)
			s.want(stamp(46), "select claim_expires_at from {r} where state = 'failed'")
			s.exec(claimed, 2)
			s.want(stamp(46)+"\n"+stamp(47)+"\n"+stamp(48), "select claim_expires_at from {r} where state = 'failed' order by 1")
			s.exec(claimed, 10)
			s.want("5", "select count(*) from {r} where state = 'failed'")
		}},
		{"7.4.3.extended_leases_do_not_count", func(s *session) {
			for range 3 {
				_, run := s.running("{}")
				s.exec("select absurd.extend_claim({q}, $1, 1000)", run)
			}
			task, _ := s.running(`{"max_attempts": 1}`)
			s.at(31)
			s.exec(claimed, 1)
			s.wantStates("failed: failed", task)
			s.want("3", "select count(*) from {r} where state = 'running'")
			s.at(1000)
			s.exec(claimed, 10)
			s.want("4", "select count(*) from {r} where state = 'failed'")
		}},
		{"7.4.3.no_attempt_left", func(s *session) {
			task, _ := s.running(`{"max_attempts": 1}`)
			s.at(30)
			s.want(null, claimed, 1)
			s.wantStates("failed: failed", task)
			s.want("failed|$ClaimTimeout", "select state, failure_reason->>'name' from absurd.get_task_result({q}, $1)", task)
		}},
		{"7.4.3.passes_over_locked_runs", func(s *session) {
			first, run := s.running("{}")
			second, _ := s.running("{}")
			s.at(30)
			other := s.another()
			other.exec("begin")
			other.exec("select absurd.extend_claim({q}, $1, 300)", run)
			s.exec("set lock_timeout = '20s'")
			s.exec(claimed, 10)
			other.exec("commit")
			s.wantStates("running: running", first)
			s.wantStates("running: failed running", second)
		}},
		{"7.4.frozen_clock_retries_in_the_same_call", func(s *session) {
			task, _ := s.running("{}")
			s.at(30)
			s.want("2|w1", "select attempt, 'w1' from absurd.claim_task({q}, 'w1')")
			s.wantStates("running: failed running", task)
		}},
		{"7.4.real_clock_retries_in_the_next_call", func(s *session) {
			s.exec("set absurd.fake_now = default")
			task, _ := s.running("{}")
			s.exec("select pg_sleep(0.002)")
			s.exec("update absurd.tasks set claim_expires_at = clock_timestamp() where task_id = $1", task)
			s.exec("update absurd.timers set due_at = clock_timestamp() where task_id = $1", task)
			s.want(null, claimed, 1)
			s.wantStates("pending: failed pending", task)
			s.want("2", "select attempt from absurd.claim_task({q}, 'w1')")
		}},
		{"7.4.4.claims_pending_and_sleeping", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(60))
			s.at(59)
			s.want(null, claimed, 1)
			s.at(60)
			s.want(run, claimed, 1)
			s.wantStates("running: running", task)
		}},
		{"7.4.4.oldest_first", func(s *session) {
			var runs []string
			for i := range 4 {
				s.at(10 * i)
				runs = append(runs, s.spawn("{}"))
			}
			s.want(runs[0], claimed, 1)
			s.exec("select absurd.schedule_run({q}, $1, $2)", runs[0], stamp(15))
			s.at(40)
			s.exec("select absurd.spawn_task({q}, 'another name', '{}')")
			s.want(runs[1]+" "+runs[0]+" "+runs[2], claimed, 3)
			s.want(runs[3], claimed, 1)
		}},
		{"7.4.4.ties_by_run_id", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'name ' || n % 3, '{}') from generate_series(1, 20) n")
			s.want(s.one("select string_agg(run_id::text, ' ' order by run_id) from {r}"), claimed, 100)
		}},
		{"7.4.4.fields", func(s *session) {
			task := s.spawn("{}")
			s.at(5)
			run := s.claim()
			s.want(strings.Join([]string{"running", "w1", stamp(35), stamp(5), stamp(5)}, "|"), "select state, claimed_by, claim_expires_at, started_at, available_at from {r}")
			s.want(strings.Join([]string{"running", "1", stamp(5), run}, "|"), "select state, attempts, first_started_at, last_attempt_run from {t}")
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(7))
			s.at(8)
			s.claim()
			s.want(stamp(5)+"|"+stamp(8), "select first_started_at, started_at from {t} join {r} using (task_id) where task_id = $1", task)
		}},
		{"8.claims_wait_for_nobody", func(s *session) {
			first := s.spawn("{}")
			s.at(1)
			second := s.spawn("{}")
			s.at(2)
			third := s.spawn(`{"cancellation": {"max_delay": 1000}}`)
			other := s.another()
			other.at(2)
			other.exec("begin")
			other.want(first, claimed, 1)
			again := s.another()
			again.exec("begin")
			again.exec("select absurd.cancel_task({q}, $1)", third)
			s.exec("set lock_timeout = '20s'")
			s.want(second, claimed, 10)
			other.exec("rollback")
			again.exec("rollback")
			s.want(first+" "+third, claimed, 10)
		}},
		{"8.claims_see_past_a_locked_head", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'work', '{}') from generate_series(1, 300)")
			s.at(1)
			last := s.spawn("{}")
			other := s.another()
			other.exec("begin")
			other.exec(claimed, 300)
			s.want(last, claimed, 1)
			other.exec("rollback")
		}},
		{"8.one_run_one_holder", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'work', '{}') from generate_series(1, 200)")
			waits := make(chan []string)
			for range 4 {
				other := s.another()
				go func() {
					var mine []string
					for {
						rows, err := other.try("select run_id from absurd.claim_task({q}, 'w', 30, 7)")
						if err != nil || len(rows) == 0 {
							waits <- mine
							return
						}
						mine = append(mine, rows...)
					}
				}()
			}
			seen := map[string]bool{}
			total := 0
			for range 4 {
				for _, run := range <-waits {
					seen[run] = true
					total++
				}
			}
			if total != len(seen) || total != 200 {
				s.t.Errorf("%d claims of %d runs, want 200 of 200", total, len(seen))
			}
		}},
		{"7.4.5.timed_out_waits_go", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 5)", task, run)
			s.want("1", "select count(*) from {w}")
			s.at(5)
			s.want(run, claimed, 1)
			s.want("0", "select count(*) from {w}")
			s.want("0", "select count(*) from absurd.waits where task_id = $1", task)
		}},
		{"7.4.6.rows", func(s *session) {
			task := s.one(`select task_id from absurd.spawn_task({q}, 'work', '{"p": 1}', '{"headers": {"h": 1}, "retry_strategy": {"kind": "none"}, "max_attempts": 4}')`)
			s.want(strings.Join([]string{task, task, "1", "work", `{"p": 1}`, `{"kind": "none"}`, "4", `{"h": 1}`, null, null}, "|"), "select * from absurd.claim_task({q}, 'w1')")
		}},
		{"7.4.6.event_wake_up", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 50)", task, run)
			s.exec(`select absurd.emit_event({q}, 'ping', '{"x": 1}')`)
			s.want(run+"|"+null+`|{"x": 1}`, "select run_id, wake_event, event_payload from absurd.claim_task({q}, 'w1')")
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(1))
			s.at(1)
			s.want(null+"|"+null, "select wake_event, event_payload from absurd.claim_task({q}, 'w1')")
		}},
		{"7.4.6.timeout_wake_up", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 5)", task, run)
			s.at(6)
			s.want(run+"|ping|"+null, "select run_id, wake_event, event_payload from absurd.claim_task({q}, 'w1')")
			s.want("ping|running", "select wake_event, state from {r}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 5)", task, run)
			s.want(null, "select wake_event from {r}")
		}},
		{"7.4.6.retry_is_a_plain_start", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 50)", task, run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.want("2|"+null+"|"+null, "select attempt, wake_event, event_payload from absurd.claim_task({q}, 'w1')")
			s.want("0", "select count(*) from {w}")
		}},
		{"13.21.history_costs_a_claim_nothing", func(s *session) {
			s.exec("set absurd.fake_now = default")
			s.exec("select absurd.spawn_task({q}, 'work', '{}') from generate_series(1, 3000)")
			s.exec("select absurd.complete_run({q}, run_id) from absurd.claim_task({q}, 'w1', 3000, 3000)")
			s.exec("vacuum analyze absurd.tasks, absurd.ready, absurd.timers")
			buffers := func() (n int) {
				s.t.Helper()
				text := strings.Join(s.rows("explain (analyze, buffers, timing off, costs off) select * from absurd.claim_task({q}, 'w1')"), "\n")
				_, after, _ := strings.Cut(text, "Buffers: shared hit=")
				fmt.Sscan(after, &n)
				return n
			}
			n := buffers()
			for range 7 { // the first one makes plans, and now and then one reads the catalog again
				n = min(n, buffers())
			}
			if n == 0 || n > 120 {
				s.t.Errorf("an empty claim over 3000 finished tasks touches %d buffers, want 1 to 120", n)
			}
		}},
	}
}
