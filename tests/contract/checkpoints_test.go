package contract

// checkpoints pins section 7.11.
func checkpoints() []pin {
	const set, get, all = "select absurd.set_task_checkpoint_state({q}, $1, $2, $3, $4)",
		"select checkpoint_name, state, status, owner_run_id, updated_at from absurd.get_task_checkpoint_state({q}, $1, $2, $3)",
		"select string_agg(checkpoint_name || '=' || state::text, ' ') from absurd.get_task_checkpoint_states({q}, $1, $2)"
	return []pin{
		{"7.11.set", func(s *session) {
			task, run := s.running("{}")
			s.at(4)
			s.exec(set, task, "a", `{"x": 1}`, run)
			s.want(task+`|a|{"x": 1}|committed|`+run+"|"+stamp(4), "select * from {c}")
			s.want(`a|{"x": 1}|committed|`+run+"|"+stamp(4), get, task, "a", false)
		}},
		{"7.11.null_state", func(s *session) {
			task, run := s.running("{}")
			s.exec(set, task, "a", nil, run)
			s.exec(set, task, "b", "null", run)
			s.want("a|"+null+"\nb|null", "select checkpoint_name, state from {c} order by 1")
		}},
		{"7.11.same_attempt_overwrites", func(s *session) {
			task, run := s.running("{}")
			s.exec(set, task, "a", "1", run)
			s.at(4)
			s.exec(set, task, "a", "2", run)
			s.want("2|"+stamp(4), "select state, updated_at from {c}")
		}},
		{"7.11.later_attempt_overwrites", func(s *session) {
			task, run := s.running("{}")
			s.exec(set, task, "a", "1", run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			second := s.claim()
			s.exec(set, task, "a", "2", second)
			s.want("2|"+second, "select state, owner_run_id from {c}")
		}},
		{"7.11.later_attempt_wins", func(s *session) {
			task, run := s.running("{}")
			s.exec(set, task, "a", `"later"`, run)
			s.exec("update absurd.checkpoints set attempt = 2 where task_id = $1", task)
			s.exec(set, task, "a", `"older"`, run)
			s.want(`"later"`, "select state from {c}")
		}},
		{"7.11.allowed_states_of_the_run", func(s *session) {
			task := s.spawn("{}")
			s.exec(set, task, "pending", "1", task)
			s.claim()
			s.exec("select absurd.schedule_run({q}, $1, $2)", task, stamp(5))
			s.exec(set, task, "sleeping", "1", task)
			s.at(5)
			s.claim()
			s.exec("select absurd.complete_run({q}, $1)", task)
			s.exec(set, task, "completed", "1", task)
			s.want("3", "select count(*) from {c}")
		}},
		{"7.11.extends_the_lease", func(s *session) {
			const extending = "select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $1, $2)"
			task, _ := s.running("{}")
			s.at(10)
			for _, none := range []any{nil, 0, -5} {
				s.exec(extending, task, none)
				s.want(stamp(30), "select claim_expires_at from {r}")
			}
			s.exec(extending, task, 100)
			s.want(stamp(110), "select claim_expires_at from {r}")
			s.exec(extending, task, 5)
			s.want(stamp(15), "select claim_expires_at from {r}")
			s.exec("select absurd.schedule_run({q}, $1, $2)", task, stamp(20))
			s.exec(extending, task, 100)
			s.want(null, "select claim_expires_at from {r}")
			s.at(20)
			s.exec("select absurd.claim_task({q}, 'w1', 0)")
			s.exec(extending, task, 100)
			s.want(null, "select claim_expires_at from {r}")
		}},
		{"6.P0001.set_task_checkpoint_state", func(s *session) {
			task, run := s.running("{}")
			for _, name := range []any{nil, "", "  "} {
				s.refused(P0001, "step name", set, task, name, "1", run)
			}
			s.refused(P0001, "not found", set, task, "a", "1", "018f3406-9e7b-7000-8000-000000000000")
			s.want("0", "select count(*) from {c}")
		}},
		{"13.14.another_tasks_run", func(s *session) {
			task, _ := s.running("{}")
			_, other := s.running("{}")
			s.refused(P0001, "no run of task", set, task, "a", "1", other)
			s.refused(P0001, "no run of task", "select absurd.await_event({q}, $1, $2, 'a', 'ping')", task, other)
			s.want("0|2", "select (select count(*) from {c}), count(*) from {r} where state = 'running'")
		}},
		{"6.AB001.set_task_checkpoint_state", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.refused("AB001", "cancelled", set, task, "a", "1", run)
		}},
		{"6.AB002.set_task_checkpoint_state", func(s *session) {
			task, run := s.running("{}")
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			s.refused("AB002", "", set, task, "a", "1", run)
		}},
		{"13.7.a_lost_run_writes_nothing", func(s *session) {
			task, run := s.running("{}")
			other := s.another()
			other.exec("begin")
			other.exec("select absurd.fail_run({q}, $1, '{}')", run)
			wait := s.background(func() error { _, err := s.try(set, task, "a", "1", run); return err })
			other.exec("commit")
			if err := wait(); err == nil {
				s.t.Error("a run that failed meanwhile wrote a checkpoint")
			}
			s.want("0", "select count(*) from {c}")
		}},
		{"7.11.pending_rows", func(s *session) {
			task, run := s.running("{}")
			s.exec(set, task, "a", "1", run)
			s.exec("update absurd.checkpoints set outcome = 'n' where task_id = $1", task)
			s.want("pending", "select status from {c}")
			s.want("0", "select count(*) from absurd.get_task_checkpoint_state({q}, $1, 'a')", task)
			s.want("a|1|pending|"+run+"|"+stamp(0), get, task, "a", true)
			s.want(null, all, task, run)
		}},
		{"7.11.get_nothing", func(s *session) {
			s.want("0", "select count(*) from absurd.get_task_checkpoint_state({q}, gen_random_uuid(), 'a')")
		}},
		{"7.11.states_oldest_first", func(s *session) {
			task, run := s.running("{}")
			for i, name := range []string{"c", "a", "b"} {
				s.at(i)
				s.exec(set, task, name, "1", run)
			}
			s.exec(set, task, "d", "1", run)
			s.want("c=1 a=1 b=1 d=1", all, task, run)
		}},
		{"7.11.attempt_1_never_sees_attempt_2", func(s *session) {
			task, first := s.running("{}")
			s.exec(set, task, "a", "1", first)
			s.exec("select absurd.fail_run({q}, $1, '{}')", first)
			second := s.claim()
			s.exec(set, task, "b", "2", second)
			s.want("a=1", all, task, first)
			s.want("a=1 b=2", all, task, second)
		}},
		{"6.P0001.get_task_checkpoint_states", func(s *session) {
			task := s.spawn("{}")
			s.refused(P0001, "not found", all, task, "018f3406-9e7b-7000-8000-000000000000")
			s.refused(P0001, "no run of task", all, task, s.spawn("{}"))
		}},
	}
}
