package contract

import "strings"

// ending pins sections 7.5 and 7.6, and what section 6 says about complete_run and fail_run.
func ending() []pin {
	const complete, fail = "select absurd.complete_run({q}, $1, '{\"ok\": true}')", `select absurd.fail_run({q}, $1, '{"name": "E"}')`
	return []pin{
		{"7.5.completes", func(s *session) {
			task, run := s.running("{}")
			s.at(5)
			s.exec(complete, run)
			s.wantStates("completed: completed", task)
			s.want(strings.Join([]string{stamp(5), `{"ok": true}`, `{"ok": true}`, run, null}, "|"), "select r.completed_at, r.result, t.completed_payload, t.last_attempt_run, r.failed_at from {t} t join {r} r using (task_id)")
		}},
		{"7.5.claim_stays", func(s *session) {
			_, run := s.running("{}")
			s.exec(complete, run)
			s.want("w1|"+stamp(30), "select claimed_by, claim_expires_at from {r}")
		}},
		{"7.5.without_result", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.want("completed|"+null+"|"+null, "select state, result, failure_reason from absurd.get_task_result({q}, $1)", task)
		}},
		{"7.5.late_is_not_too_late", func(s *session) {
			task, run := s.running("{}")
			s.at(1000)
			s.exec(complete, run)
			s.wantStates("completed: completed", task)
		}},
		{"7.5.later_attempt", func(s *session) {
			task, run := s.running("{}")
			s.exec(fail, run)
			second := s.claim()
			s.exec(complete, second)
			s.wantStates("completed: failed completed", task)
			s.want(second, "select last_attempt_run from {t}")
		}},
		{"7.5.not_idempotent", func(s *session) {
			_, run := s.running("{}")
			s.exec(complete, run)
			s.refused(P0001, "completed", complete, run)
		}},
		{"6.P0001.complete_run", func(s *session) {
			s.refused(P0001, "not found", complete, "018f3406-9e7b-7000-8000-000000000000")
			run := s.spawn("{}")
			s.refused(P0001, "pending", complete, run)
			s.claim()
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(5))
			s.refused(P0001, "sleeping", complete, run)
		}},
		{"6.AB001.complete_run", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", complete, run)
		}},
		{"6.AB002.complete_run", func(s *session) {
			task, run := s.running(`{"max_attempts": 2}`)
			s.exec(fail, run)
			s.refused("AB002", "", complete, run)
			s.claim()
			s.refused("AB002", "", complete, run)
			second := s.one("select last_attempt_run from {t}")
			s.exec(fail, second)
			s.refused("AB002", "", complete, second)
			s.wantStates("failed: failed failed", task)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB002", "", complete, run)
		}},
		{"6.order_cancelled_looks_at_the_run", func(s *session) {
			task, run := s.running("{}")
			s.exec(fail, run)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB002", "", complete, run)
			s.refused("AB002", "", fail, run)
			s.refused("AB001", "cancelled", "select absurd.extend_claim({q}, $1, 5)", run)
			s.refused("AB001", "cancelled", "select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.refused("AB001", "cancelled", "select absurd.await_event({q}, $1, $2, 'a', 'ping')", task, run)
		}},

		{"7.6.fails", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			s.at(5)
			s.exec(fail, run)
			s.wantStates("failed: failed", task)
			s.want(strings.Join([]string{stamp(5), `{"name": "E"}`, null, "w1", stamp(30), run}, "|"), "select failed_at, failure_reason, wake_event, claimed_by, claim_expires_at, last_attempt_run from {r} join {t} using (task_id)")
		}},
		{"7.6.claim_stays_on_a_retried_run", func(s *session) {
			_, run := s.running("{}")
			s.at(5)
			s.exec(fail, run)
			s.want(strings.Join([]string{"failed", stamp(5), `{"name": "E"}`, "w1", stamp(30), stamp(0), stamp(0)}, "|"), "select state, failed_at, failure_reason, claimed_by, claim_expires_at, started_at, created_at from {r} where run_id = $1", run)
		}},
		{"7.6.retry_at_once", func(s *session) {
			task, run := s.running("{}")
			s.at(5)
			s.exec(fail, run)
			s.wantStates("pending: failed pending", task)
			s.want(strings.Join([]string{"2", stamp(5), null, null, null, stamp(5), "2", "t", "t"}, "|"), `select r.attempt, r.available_at, r.claimed_by, r.claim_expires_at, r.started_at, r.created_at, t.attempts, t.last_attempt_run = r.run_id, r.run_id > $1
				from {t} t join {r} r using (task_id) where r.attempt = 2`, run)
		}},
		{"7.6.retry_by_strategy", func(s *session) {
			task, run := s.running(`{"retry_strategy": {"kind": "exponential", "base_seconds": 10, "factor": 3, "max_seconds": 20}}`)
			s.exec(fail, run)
			s.wantStates("sleeping: failed sleeping", task)
			s.want(stamp(10), "select available_at from {r} where attempt = 2")
			s.at(10)
			s.exec(fail, s.claim())
			s.want(stamp(30), "select available_at from {r} where attempt = 3")
		}},
		{"7.6.retry_at", func(s *session) {
			task, run := s.running(`{"retry_strategy": {"kind": "fixed", "base_seconds": 500}}`)
			s.exec("select absurd.fail_run({q}, $1, '{}', $2)", run, stamp(70))
			s.wantStates("sleeping: failed sleeping", task)
			s.want(stamp(70), "select available_at from {r} where attempt = 2")
		}},
		{"7.6.retry_never_before_now", func(s *session) {
			task, run := s.running("{}")
			s.at(5)
			s.exec("select absurd.fail_run({q}, $1, '{}', $2)", run, stamp(-100))
			s.wantStates("pending: failed pending", task)
			s.want(stamp(5), "select available_at from {r} where attempt = 2")
		}},
		{"7.6.attempts_are_bounded", func(s *session) {
			task, run := s.running(`{"max_attempts": 2}`)
			s.exec(fail, run)
			s.exec(fail, s.claim())
			s.wantStates("failed: failed failed", task)
			s.want("2", "select attempts from {t}")
		}},
		{"7.6.no_limit_of_attempts", func(s *session) {
			task, run := s.running("{}")
			for range 20 {
				s.exec(fail, run)
				run = s.claim()
			}
			s.want("21|running", "select attempts, state from {t} where task_id = $1", task)
		}},
		{"7.6.max_duration_ends_retries", func(s *session) {
			task, run := s.running(`{"cancellation": {"max_duration": 60}}`)
			s.at(7)
			s.exec("select absurd.fail_run({q}, $1, '{\"name\": \"E\"}', $2)", run, stamp(60))
			s.wantStates("cancelled: failed", task)
			s.want(stamp(7)+"|"+stamp(7)+`|{"name": "E"}|w1`, "select cancelled_at, failed_at, failure_reason, claimed_by from {t} join {r} using (task_id)")
			s.refused("AB002", "", complete, run)
			s.want("cancelled|"+null+"|"+null, "select state, result, failure_reason from absurd.get_task_result({q}, $1)", task)
		}},
		{"7.6.max_duration_leaves_time", func(s *session) {
			task, run := s.running(`{"cancellation": {"max_duration": 60}}`)
			s.exec("select absurd.fail_run({q}, $1, '{}', $2)", run, stamp(59))
			s.wantStates("sleeping: failed sleeping", task)
		}},
		{"7.6.sleeping_run", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 50)", task, run)
			s.exec(fail, run)
			s.wantStates("pending: failed pending", task)
			s.want("0|"+null, "select (select count(*) from {w}), wake_event from {r} where run_id = $1", run)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.wantStates("pending: failed pending", task)
		}},
		{"7.6.sleeping_run_without_attempt_left", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(50))
			s.exec(fail, run)
			s.wantStates("failed: failed", task)
		}},
		{"7.6.checkpoints_stay", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec(fail, run)
			second := s.claim()
			s.want("a|1|"+run, "select checkpoint_name, state, owner_run_id from absurd.get_task_checkpoint_states({q}, $1, $2)", task, second)
		}},
		{"6.P0001.fail_run", func(s *session) {
			s.refused(P0001, "not found", fail, "018f3406-9e7b-7000-8000-000000000000")
			run := s.spawn("{}")
			s.refused(P0001, "pending", fail, run)
			s.claim()
			s.exec(complete, run)
			s.refused(P0001, "completed", fail, run)
		}},
		{"6.AB001.fail_run", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", fail, run)
		}},
		{"6.AB002.fail_run", func(s *session) {
			_, run := s.running("{}")
			s.exec(fail, run)
			s.refused("AB002", "", fail, run)
		}},
		{"5.fenced_runs_are_refused", func(s *session) {
			task := s.spawn("{}")
			worker := s.one("insert into absurd.workers (worker_name, registered_at, lease_expires_at) values ('go', now(), now() + interval '1 hour') returning worker_id")
			s.exec("begin")
			s.exec("delete from absurd.ready where task_id = $1", task)
			s.exec("update absurd.tasks set state = 'r', worker_id = $2, token = token + 1, started_at = now() where task_id = $1", task, worker)
			s.exec("commit")
			s.want("go|t", "select claimed_by, claim_expires_at > now() from {r}")
			for _, call := range []string{"complete_run({q}, $1)", "fail_run({q}, $1, '{}')", "extend_claim({q}, $1, 5)", "schedule_run({q}, $1, now())",
				"set_task_checkpoint_state({q}, $1, 'a', '1', $1)", "await_event({q}, $1, $1, 'a', 'ping')"} {
				s.refused("AB002", "held by worker", "select absurd."+call, task)
			}
			s.wantStates("running: running", task)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.wantStates("cancelled: cancelled", task)
		}},
	}
}

// suspending pins sections 7.7 and 7.8.
func suspending() []pin {
	const schedule, extend = "select absurd.schedule_run({q}, $1, $2)", "select absurd.extend_claim({q}, $1, $2)"
	return []pin{
		{"7.7.sleeps", func(s *session) {
			task, run := s.running("{}")
			s.exec(schedule, run, stamp(60))
			s.wantStates("sleeping: sleeping", task)
			s.want(strings.Join([]string{null, null, stamp(60), null, "1"}, "|"), "select claimed_by, claim_expires_at, available_at, wake_event, attempt from {r}")
		}},
		{"7.7.clears_wake_event", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping', 1)", task, run)
			s.at(2)
			s.claim()
			s.want("ping", "select wake_event from {r}")
			s.exec(schedule, run, stamp(60))
			s.want(null, "select wake_event from {r}")
		}},
		{"7.7.past_time", func(s *session) {
			_, run := s.running("{}")
			s.exec(schedule, run, stamp(-60))
			s.want(run, "select run_id from absurd.claim_task({q}, 'w1')")
		}},
		{"7.7.expired_timer_of_the_lease", func(s *session) {
			task, run := s.running("{}")
			s.exec(schedule, run, stamp(60))
			s.at(40)
			s.want("0", "select count(*) from absurd.claim_task({q}, 'w2')")
			s.wantStates("sleeping: sleeping", task)
		}},
		{"6.P0001.schedule_run", func(s *session) {
			s.refused(P0001, "not found", schedule, "018f3406-9e7b-7000-8000-000000000000", stamp(5))
			run := s.spawn("{}")
			s.refused(P0001, "pending", schedule, run, stamp(5))
			s.claim()
			s.exec(schedule, run, stamp(5))
			s.refused(P0001, "sleeping", schedule, run, stamp(5))
			s.at(5)
			s.claim()
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.refused(P0001, "completed", schedule, run, stamp(5))
		}},
		{"6.23502", func(s *session) {
			_, run := s.running("{}")
			s.refused("23502", "", schedule, run, nil)
		}},
		{"13.16.schedule_run_says_stop", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", schedule, run, stamp(5))
			_, run = s.running("{}")
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.refused("AB002", "", schedule, run, stamp(5))
		}},

		{"7.8.counts_from_now", func(s *session) {
			_, run := s.running("{}")
			s.at(10)
			s.exec(extend, run, 100)
			s.want(stamp(110), "select claim_expires_at from {r}")
		}},
		{"7.8.can_shorten", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			s.exec(extend, run, 5)
			s.want(stamp(5), "select claim_expires_at from {r}")
			s.at(5)
			s.exec("select absurd.claim_task({q}, 'w2')")
			s.wantStates("failed: failed", task)
		}},
		{"7.8.expired_but_not_taken", func(s *session) {
			task, run := s.running("{}")
			s.at(100)
			s.exec(extend, run, 30)
			s.exec("select absurd.claim_task({q}, 'w2')")
			s.wantStates("running: running", task)
			s.want("w1|"+stamp(130), "select claimed_by, claim_expires_at from {r}")
		}},
		{"7.8.again_and_again", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			for now := 10; now <= 300; now += 10 {
				s.at(now)
				s.exec(extend, run, 30)
				s.exec("select absurd.claim_task({q}, 'w2')")
			}
			s.wantStates("running: running", task)
			s.at(330)
			s.exec("select absurd.claim_task({q}, 'w2')")
			s.wantStates("failed: failed", task)
		}},
		{"6.P0001.extend_claim", func(s *session) {
			for _, amount := range []any{nil, 0, -1} {
				s.refused(P0001, "extend_by must be > 0", extend, "018f3406-9e7b-7000-8000-000000000000", amount)
			}
			s.refused(P0001, "not found", extend, "018f3406-9e7b-7000-8000-000000000000", 5)
			run := s.spawn("{}")
			s.refused(P0001, "not currently running", extend, run, 5)
			s.claim()
			s.exec(schedule, run, stamp(5))
			s.refused(P0001, "not currently running", extend, run, 5)
			s.at(5)
			s.claim()
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.refused(P0001, "not currently running", extend, run, 5)
			run = s.spawn("{}")
			s.exec("select absurd.claim_task({q}, 'w1', 0)")
			s.refused(P0001, "lease", extend, run, 5)
		}},
		{"6.AB001.extend_claim", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", extend, run, 5)
		}},
		{"6.AB002.extend_claim", func(s *session) {
			_, run := s.running("{}")
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.refused("AB002", "", extend, run, 5)
		}},
	}
}
