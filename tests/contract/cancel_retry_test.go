package contract

import "strings"

// revoking pins sections 7.9, 7.10 and 7.14, and the lock that cancel_task waits for.
func revoking() []pin {
	const cancel, retry, result = "select absurd.cancel_task({q}, $1)", "select task_id, run_id, attempt, created from absurd.retry_task({q}, $1, $2)",
		"select state, result, failure_reason from absurd.get_task_result({q}, $1)"
	failed := func(s *session, options string) (task, run string) {
		task, run = s.running(options)
		s.exec(`select absurd.fail_run({q}, $1, '{"name": "E"}')`, run)
		return task, run
	}
	return []pin{
		{"7.9.cancels_open_tasks", func(s *session) {
			sleeping, run := s.running("{}")
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(50))
			waiting, run := s.running("{}")
			s.exec("select absurd.await_event({q}, $1, $2, 'a', 'ping')", waiting, run)
			running, _ := s.running("{}")
			pending := s.spawn("{}")
			s.at(3)
			for _, task := range []string{pending, running, sleeping, waiting} {
				s.exec(cancel, task)
				s.wantStates("cancelled: cancelled", task)
				s.want(stamp(3)+"|"+null+"|"+null, "select cancelled_at, claimed_by, claim_expires_at from {t} join {r} using (task_id) where task_id = $1", task)
			}
			s.want("0", "select count(*) from {w}")
			s.at(100)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.want("0", "select count(*) from absurd.claim_task({q}, 'w1', 30, 10)")
		}},
		{"7.9.final_tasks_stay", func(s *session) {
			cancelled := s.spawn("{}")
			s.exec(cancel, cancelled)
			completed, run := s.running("{}")
			s.exec("select absurd.complete_run({q}, $1)", run)
			failed, _ := failed(s, `{"max_attempts": 1}`)
			s.at(9)
			for task, want := range map[string]string{cancelled: "cancelled|" + stamp(0), completed: "completed|" + null, failed: "failed|" + null} {
				s.exec(cancel, task)
				s.want(want, "select state, cancelled_at from {t} where task_id = $1", task)
			}
		}},
		{"7.9.earlier_runs_stay", func(s *session) {
			task, _ := failed(s, "{}")
			s.exec(cancel, task)
			s.wantStates("cancelled: failed cancelled", task)
		}},
		{"6.P0001.cancel_task", func(s *session) {
			s.refused(P0001, "not found", cancel, "018f3406-9e7b-7000-8000-000000000000")
		}},
		{"8.cancel_waits_for_complete", func(s *session) {
			task, run := s.running("{}")
			other := s.another()
			other.exec("begin")
			other.exec("select from absurd.tasks where task_id = $1 for update", task)
			wait := s.background(func() error { _, err := s.try(cancel, task); return err })
			other.exec("select absurd.complete_run({q}, $1)", run)
			other.exec("commit")
			if err := wait(); err != nil {
				s.t.Error(err)
			}
			s.wantStates("completed: completed", task)
		}},
		{"8.cancel_waits_for_fail", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			other := s.another()
			other.exec("begin")
			other.exec("select from absurd.tasks where task_id = $1 for update", task)
			wait := s.background(func() error { _, err := s.try(cancel, task); return err })
			other.exec("select absurd.fail_run({q}, $1, '{}')", run)
			other.exec("commit")
			if err := wait(); err != nil {
				s.t.Error(err)
			}
			s.wantStates("failed: failed", task)
			s.want(null, "select cancelled_at from {t}")
		}},

		{"7.10.in_place", func(s *session) {
			task, first := failed(s, `{"max_attempts": 1}`)
			s.exec("select absurd.emit_event({q}, 'x')")
			s.at(9)
			row := strings.Split(s.one(retry, task, "{}"), "|")
			if row[0] != task || row[2] != "2" || row[3] != "f" {
				s.t.Errorf("retry_task answers %q, want task %s, attempt 2, created f", row, task)
			}
			s.wantStates("pending: failed pending", task)
			s.want(strings.Join([]string{row[1], "2", stamp(9), null}, "|"), "select r.run_id, t.max_attempts, r.available_at, t.cancelled_at from {t} t join {r} r on r.run_id = t.last_attempt_run")
			s.want(`{"name": "E"}|`+stamp(0)+"|w1", "select failure_reason, failed_at, claimed_by from {r} where run_id = $1", first)
			s.want(row[1], "select run_id from absurd.claim_task({q}, 'w1')")
		}},
		{"7.10.max_attempts", func(s *session) {
			task, _ := failed(s, `{"max_attempts": 1}`)
			s.exec(retry, task, `{"max_attempts": 5}`)
			s.want("5", "select max_attempts from {t}")
			s.exec("select absurd.fail_run({q}, $1, '{}')", s.claim())
			s.wantStates("pending: failed failed pending", task)
		}},
		{"7.10.checkpoints_stay", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.exec(retry, task, "{}")
			s.want("a|1", "select checkpoint_name, state from absurd.get_task_checkpoint_states({q}, $1, $2)", task, s.claim())
		}},
		{"5.retry_removes_the_failures_of_a_workflow", func(s *session) {
			task, run := s.running(`{"max_attempts": 1}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'good', '1', $2)", task, run)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'bad', '1', $2)", task, run)
			s.exec("update absurd.checkpoints set outcome = 'f' where task_id = $1 and checkpoint_name = 'bad'", task)
			s.exec(`select absurd.fail_run({q}, $1, '{"name": "E", "records": ["bad", "good"]}')`, run)
			s.exec(retry, task, "{}")
			s.want("good", "select checkpoint_name from {c}")
		}},
		{"13.13.max_duration_counts_from_the_retry", func(s *session) {
			task, _ := failed(s, `{"max_attempts": 1, "cancellation": {"max_duration": 10, "max_delay": 5}}`)
			s.at(100)
			s.exec(retry, task, "{}")
			s.at(105)
			s.claim()
			s.wantStates("running: failed running", task)
			s.at(109)
			s.exec("select absurd.claim_task({q}, 'w2')")
			s.wantStates("running: failed running", task)
			s.at(110)
			s.exec("select absurd.claim_task({q}, 'w2')")
			s.wantStates("cancelled: failed cancelled", task)
		}},
		{"7.10.spawn_new", func(s *session) {
			task, run := s.running(`{"max_attempts": 1, "headers": {"h": 1}, "retry_strategy": {"kind": "fixed"}, "cancellation": {"max_delay": 500}, "idempotency_key": "k"}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.at(9)
			row := strings.Split(s.one(retry, task, `{"spawn_new": true}`), "|")
			if row[0] == task || row[2] != "1" || row[3] != "t" {
				s.t.Errorf("retry_task answers %q, want a new task, attempt 1, created t", row)
			}
			s.wantStates("failed: failed", task)
			s.wantStates("pending: pending", row[0])
			s.want(strings.Join([]string{"work", "{}", `{"h": 1}`, `{"kind": "fixed"}`, `{"max_delay": 500}`, "1", null, stamp(9), "0"}, "|"),
				`select task_name, params, headers, retry_strategy, cancellation, max_attempts, idempotency_key, enqueue_at,
				(select count(*) from {c} c where c.task_id = t.task_id) from {t} t where task_id = $1`, row[0])
			again := s.one("select task_id from absurd.retry_task({q}, $1, '{\"spawn_new\": true, \"max_attempts\": 3}')", task)
			s.want("3", "select max_attempts from {t} where task_id = $1", again)
		}},
		{"6.P0001.retry_task", func(s *session) {
			s.refused(P0001, "not found", retry, "018f3406-9e7b-7000-8000-000000000000", "{}")
			pending := s.spawn("{}")
			s.refused(P0001, "failed", retry, pending, "{}")
			s.exec("select absurd.cancel_task({q}, $1)", pending)
			s.refused(P0001, "failed", retry, pending, "{}")
			task, _ := failed(s, `{"max_attempts": 1}`)
			s.refused(P0001, "max_attempts", retry, task, `{"max_attempts": 0}`)
			s.refused(P0001, "must be greater than current attempts", retry, task, `{"max_attempts": 1}`)
			s.wantStates("failed: failed", task)
			s.exec("select absurd.retry_task({q}, $1)", task)
			s.refused(P0001, "failed", retry, task, "{}")
		}},

		{"7.14.by_state", func(s *session) {
			task := s.spawn(`{"max_attempts": 2}`)
			s.want("pending|"+null+"|"+null, result, task)
			run := s.claim()
			s.want("running|"+null+"|"+null, result, task)
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(1))
			s.want("sleeping|"+null+"|"+null, result, task)
			s.exec("select absurd.fail_run({q}, $1, '\"first\"')", run)
			s.want("pending|"+null+"|"+null, result, task)
			s.exec("select absurd.fail_run({q}, $1, '\"second\"')", s.claim())
			s.want("failed|"+null+`|"second"`, result, task)
			task, run = s.running("{}")
			s.exec("select absurd.complete_run({q}, $1, '7')", run)
			s.want("completed|7|"+null, result, task)
			task = s.spawn("{}")
			s.exec(cancel, task)
			s.want("cancelled|"+null+"|"+null, result, task)
		}},
		{"7.14.unknown_task", func(s *session) {
			s.want("0", "select count(*) from absurd.get_task_result({q}, gen_random_uuid())")
		}},
		{"7.14.blocked_is_sleeping", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(5))
			s.exec(`update absurd.tasks set state = 'b', failure = '"why it is blocked"' where task_id = $1`, task)
			s.wantStates("sleeping: sleeping", task)
			s.want("sleeping|"+null+"|"+null, result, task)
			s.want(null+"|"+null, "select failed_at, failure_reason from {r}")
			s.exec(cancel, task)
			s.wantStates("cancelled: cancelled", task)
		}},
	}
}
