package contract

import "strings"

// events pins sections 7.12 and 7.13, and the locks between waiters and emitters.
func events() []pin {
	const await, emit = "select should_suspend, payload from absurd.await_event({q}, $1, $2, $3, $4, $5)", "select absurd.emit_event({q}, $1, $2)"
	const suspended, timedOut = "t|" + null, "f|" + null
	return []pin{
		{"7.12.1.timeout_at", func(s *session) {
			task, run := s.running("{}")
			s.at(3)
			s.want(suspended, await, task, run, "a", "ping", 10)
			s.want(strings.Join([]string{task, run, "a", "ping", stamp(13), stamp(3)}, "|"), "select * from {w}")
		}},
		{"7.12.2.checkpoint_answers_first", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '5', $2)", task, run)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.want("f|5", await, task, run, "a", "ping", nil)
			s.want("f|5", await, task, "018f3406-9e7b-7000-8000-000000000000", "a", "ping", nil)
			s.want("0", "select count(*) from {e}")
		}},
		{"7.12.2.pending_checkpoint_answers_too", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '5', $2)", task, run)
			s.exec("update absurd.checkpoints set outcome = 'n' where task_id = $1", task)
			s.want("f|5", await, task, run, "a", "ping", nil)
		}},
		{"7.12.2.null_checkpoint_is_none", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', null, $2)", task, run)
			s.want(suspended, await, task, run, "a", "ping", nil)
		}},
		{"7.12.3.placeholder", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", nil)
			s.want("ping|"+null+"|1970-01-01 00:00:00+00", "select * from {e}")
		}},
		{"7.12.5.payload_is_there", func(s *session) {
			s.exec(emit, "ping", `{"x": 1}`)
			task, run := s.running("{}")
			s.at(2)
			s.want(`f|{"x": 1}`, await, task, run, "a", "ping", nil)
			s.wantStates("running: running", task)
			s.want(strings.Join([]string{task, "a", `{"x": 1}`, "committed", run, stamp(2)}, "|"), "select * from {c}")
			s.want("0", "select count(*) from {w}")
		}},
		{"7.12.5.json_null_is_a_payload", func(s *session) {
			s.exec("select absurd.emit_event({q}, 'ping')")
			task, run := s.running("{}")
			s.want("f|null", await, task, run, "a", "ping", nil)
		}},
		{"7.12.5.after_the_wake_up", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", nil)
			s.exec(emit, "ping", "1")
			s.want(run+"|1", "select run_id, event_payload from absurd.claim_task({q}, 'w1')")
			s.want("f|1", await, task, run, "a", "ping", nil)
			s.want("f|1", await, task, run, "a#2", "ping", nil)
			s.want(null, "select event_payload from {r}")
		}},
		{"7.12.5.emitted_after_the_timeout", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(6)
			s.claim()
			s.exec(emit, "ping", "1")
			s.want("f|1", await, task, run, "a", "ping", 5)
			s.want("f|1", await, task, run, "a", "ping", 5)
		}},
		{"7.12.6.timeout_answer", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.want(null+"|running", "select wake_event, state from {r}")
			s.want("0", "select count(*) from {w}")
		}},
		{"13.12.two_timeouts_in_turn", func(s *session) {
			task, run := s.running("{}")
			s.want(suspended, await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.want(suspended, await, task, run, "b", "pong", 5)
			s.at(10)
			s.claim()
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.want(timedOut, await, task, run, "b", "pong", 5)
		}},
		{"13.12.timeouts_taken_from_the_claim", func(s *session) {
			task, run := s.running("{}")
			s.want(suspended, await, task, run, "a", "ping", 5)
			s.at(5)
			s.want("ping", "select wake_event from absurd.claim_task({q}, 'w1')")
			s.want(suspended, await, task, run, "b", "pong", 5)
			s.at(10)
			s.want("pong", "select wake_event from absurd.claim_task({q}, 'w1')")
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.want(timedOut, await, task, run, "b", "pong", 5)
		}},
		{"13.12.second_wait_on_one_event", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.want("ping", "select wake_event from absurd.claim_task({q}, 'w1')")
			s.want(suspended, await, task, run, "a#2", "ping", 5)
		}},
		{"13.12.timeout_stands", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.exec(emit, "ping", "1")
			s.want(timedOut, await, task, run, "a", "ping", 5)
			s.want("f|1", await, task, run, "a#2", "ping", 5)
		}},
		{"13.12.next_attempt_waits_again", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			second := s.claim()
			s.want(suspended, await, task, second, "a", "ping", 5)
			s.exec(emit, "ping", "1")
			s.claim()
			s.want("f|1", await, task, second, "a", "ping", 5)
			s.want("1", "select state from {c}")
		}},
		{"13.12.timeouts_are_no_checkpoints_to_clients", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.want("0|0", "select (select count(*) from absurd.get_task_checkpoint_state({q}, $1, 'a', true)), (select count(*) from absurd.get_task_checkpoint_states({q}, $1, $2))", task, run)
		}},
		{"7.12.7.suspends", func(s *session) {
			task, run := s.running("{}")
			s.want(suspended, await, task, run, "a", "ping", nil)
			s.wantStates("sleeping: sleeping", task)
			s.want(strings.Join([]string{null, null, "infinity", "ping", null}, "|"), "select claimed_by, claim_expires_at, available_at, wake_event, event_payload from {r}")
			s.want(null, "select timeout_at from {w}")
			s.at(1_000_000_000)
			s.want("0", "select count(*) from absurd.claim_task({q}, 'w1')")
		}},
		{"7.12.7.with_timeout", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.want(stamp(5), "select available_at from {r}")
		}},
		{"7.12.7.replaces_the_wait", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(5)
			s.claim()
			s.exec("delete from absurd.checkpoints where task_id = $1", task)
			s.exec(await, task, run, "a", "pong", 10)
			s.want("a|pong|"+stamp(15), "select step_name, event_name, timeout_at from {w}")
		}},
		{"7.12.timeout_0_suspends", func(s *session) {
			task, run := s.running("{}")
			s.want(suspended, await, task, run, "a", "ping", 0)
			s.want(run+"|ping", "select run_id, wake_event from absurd.claim_task({q}, 'w1')")
			s.want(timedOut, await, task, run, "a", "ping", 0)
		}},
		{"6.P0001.await_event", func(s *session) {
			task, run := s.running("{}")
			for _, name := range []any{nil, "", " "} {
				s.refused(P0001, "event name", await, task, run, "a", name, nil)
			}
			s.refused(P0001, "negative", await, task, run, "a", "ping", -1)
			s.refused(P0001, "not found", await, task, "018f3406-9e7b-7000-8000-000000000000", "a", "ping", nil)
			s.exec("select absurd.schedule_run({q}, $1, $2)", run, stamp(5))
			s.refused(P0001, "sleeping", await, task, run, "a", "ping", nil)
			s.at(5)
			s.claim()
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.refused(P0001, "completed", await, task, run, "a", "ping", nil)
			pending := s.spawn("{}")
			s.refused(P0001, "pending", await, pending, pending, "a", "ping", nil)
			s.want("0|0", "select (select count(*) from {w}), (select count(*) from {e})")
		}},
		{"6.AB001.await_event", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", await, task, run, "a", "ping", nil)
		}},
		{"13.16.await_event_says_stop", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.refused("AB002", "", await, task, run, "a", "ping", nil)
		}},

		{"7.13.first_write_wins", func(s *session) {
			s.exec(emit, "ping", "1")
			s.at(5)
			s.exec(emit, "ping", "2")
			s.want("ping|1|"+stamp(0), "select * from {e}")
		}},
		{"7.13.fills_a_placeholder", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", nil)
			s.at(5)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.want("ping|null|"+stamp(5), "select * from {e}")
		}},
		{"7.13.wakes", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 50)
			s.at(5)
			s.exec(emit, "ping", `{"x": 1}`)
			s.wantStates("pending: pending", task)
			s.want(strings.Join([]string{stamp(5), null, `{"x": 1}`, null, null}, "|"), "select available_at, wake_event, event_payload, claimed_by, claim_expires_at from {r}")
			s.want(strings.Join([]string{task, "a", `{"x": 1}`, "committed", run, stamp(5)}, "|"), "select * from {c}")
			s.want("0", "select count(*) from {w}")
		}},
		{"7.13.wakes_all_and_only_its_own", func(s *session) {
			var mine []string
			for range 3 {
				task, run := s.running("{}")
				s.exec(await, task, run, "a", "ping", nil)
				mine = append(mine, task)
			}
			other, run := s.running("{}")
			s.exec(await, other, run, "a", "pong", nil)
			s.exec(emit, "ping", "1")
			for _, task := range mine {
				s.wantStates("pending: pending", task)
			}
			s.wantStates("sleeping: sleeping", other)
		}},
		{"7.13.later_emits_wake_nobody", func(s *session) {
			s.exec(emit, "ping", "1")
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "pong", nil)
			s.exec("update absurd.waits set event_name = 'ping' where task_id = $1", task)
			s.exec(emit, "ping", "2")
			s.wantStates("sleeping: sleeping", task)
			s.exec("select absurd.cancel_task({q}, $1)", task)
		}},
		{"7.13.timed_out_waits_wake_by_themselves", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", 5)
			s.at(6)
			s.exec(emit, "ping", "1")
			s.wantStates("sleeping: sleeping", task)
			s.want("0", "select count(*) from {w}")
			s.want(run+"|ping", "select run_id, wake_event from absurd.claim_task({q}, 'w1')")
			s.want("f|1", await, task, run, "a", "ping", 5)
		}},
		{"7.13.per_queue", func(s *session) {
			task, run := s.running("{}")
			s.exec(await, task, run, "a", "ping", nil)
			s.exec("select absurd.create_queue({q} || '2')")
			s.exec("select absurd.emit_event({q} || '2', 'ping')")
			s.wantStates("sleeping: sleeping", task)
		}},
		{"6.P0001.emit_event", func(s *session) {
			for _, name := range []any{nil, "", "  "} {
				s.refused(P0001, "event name", emit, name, "1")
			}
		}},
		{"8.emit_waits_for_a_waiter", func(s *session) {
			task, run := s.running("{}")
			other := s.another()
			other.exec("begin")
			other.want(suspended, await, task, run, "a", "ping", nil)
			s.exec("set statement_timeout = '200ms'")
			s.refused("57014", "", emit, "ping", "1")
			s.exec("set statement_timeout = '2min'")
			wait := s.background(func() error { _, err := s.try(emit, "ping", "1"); return err })
			other.exec("commit")
			if err := wait(); err != nil {
				s.t.Error(err)
			}
			s.wantStates("pending: pending", task)
		}},
		{"8.waiter_waits_for_an_emit", func(s *session) {
			task, run := s.running("{}")
			other := s.another()
			other.exec("begin")
			other.exec(emit, "ping", "1")
			var got []string
			wait := s.background(func() (err error) { got, err = s.try(await, task, run, "a", "ping", nil); return err })
			other.exec("commit")
			if err := wait(); err != nil || strings.Join(got, "") != "f|1" {
				s.t.Errorf("the waiter got %q (%v), want the payload", got, err)
			}
		}},
		{"8.waiter_blocked_on_its_run_holds_the_event", func(s *session) {
			task, run := s.running("{}")
			holder, waiter := s.another(), s.another()
			holder.exec("begin")
			holder.exec("select from absurd.tasks where task_id = $1 for update", task)
			wait := waiter.background(func() error { _, err := waiter.try(await, task, run, "a", "ping", nil); return err })
			s.exec("set statement_timeout = '200ms'")
			s.refused("57014", "", emit, "ping", "1")
			s.exec("set statement_timeout = '2min'")
			holder.exec("rollback")
			if err := wait(); err != nil {
				s.t.Error(err)
			}
			s.exec(emit, "ping", "1")
			s.wantStates("pending: pending", task)
		}},
	}
}
