package contract

import (
	"strings"
	"sync"
)

// spawning pins sections 4 and 7.3.
func spawning() []pin {
	const spawned = "select task_id, run_id, attempt, created from absurd.spawn_task({q}, 'work', '{}', $1)"
	return []pin{
		{"7.3.creates_task_and_run", func(s *session) {
			row := strings.Split(s.one(`select task_id, run_id, attempt, created from absurd.spawn_task({q}, 'work', '{"a": 1}')`), "|")
			if row[2] != "1" || row[3] != "t" {
				s.t.Errorf("attempt and created are %q, want 1 and t", row[2:])
			}
			s.want(strings.Join([]string{row[0], "work", `{"a": 1}`, null, null, null, null, stamp(0), null, "pending", "1", row[1], null, null, null}, "|"), "select * from {t}")
			s.want(strings.Join([]string{row[1], row[0], "1", "pending", null, null, stamp(0), null, null, null, null, null, null, null, stamp(0)}, "|"), "select * from {r}")
		}},
		{"7.3.options_are_stored", func(s *session) {
			s.exec(spawned, `{"headers": {"h": [1]}, "retry_strategy": {"kind": "fixed", "base_seconds": 1.5}, "max_attempts": 7, "cancellation": {"max_delay": 9}, "idempotency_key": "k", "unknown": true}`)
			s.want(`{"h": [1]}|{"kind": "fixed", "base_seconds": 1.5}|7|{"max_delay": 9}|k`, "select headers, retry_strategy, max_attempts, cancellation, idempotency_key from {t}")
		}},
		{"7.3.no_options", func(s *session) {
			for _, none := range []any{nil, "{}", "null", "[]", `{"max_attempts": null, "retry_strategy": null, "cancellation": null, "idempotency_key": null}`} {
				task := s.one("select task_id from absurd.spawn_task({q}, 'work', '{}', $1)", none)
				s.want(null+"|"+null, "select max_attempts, idempotency_key from {t} where task_id = $1", task)
			}
		}},
		{"7.3.null_params", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'work', null)")
			s.want("null", "select params from {t}")
		}},
		{"7.3.no_size_limit", func(s *session) {
			s.exec("select absurd.spawn_task({q}, 'work', to_jsonb(repeat('x', 10 * 1024 * 1024)))")
			s.want("10485760", "select length(params #>> '{}') from absurd.claim_task({q}, 'w1')")
		}},
		{"7.3.key_answers_with_the_task", func(s *session) {
			task := s.spawn(`{"idempotency_key": "k", "max_attempts": 3}`)
			run := s.claim()
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			latest := s.one("select last_attempt_run from {t}")
			s.want(task+"|"+latest+"|2|f", `select * from absurd.spawn_task({q}, 'other', '{"x": 1}', '{"idempotency_key": "k", "max_attempts": 9}')`)
			s.want("work|{}|3", "select task_name, params, max_attempts from {t}")
		}},
		{"7.3.key_of_a_final_task", func(s *session) {
			task, run := s.running(`{"idempotency_key": "k"}`)
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.want(task+"|"+run+"|1|f", spawned, `{"idempotency_key": "k"}`)
		}},
		{"7.3.key_race", func(s *session) {
			var all sync.WaitGroup
			const callers = 8
			ids, errs := make([]string, callers), make([]error, callers)
			for i := range callers {
				other := s.another()
				all.Go(func() {
					var rows []string
					rows, errs[i] = other.try("select task_id from absurd.spawn_task({q}, 'work', '{}', '{\"idempotency_key\": \"k\"}')")
					ids[i] = strings.Join(rows, ",")
				})
			}
			all.Wait()
			for i := range callers {
				if errs[i] != nil || ids[i] != ids[0] {
					s.t.Errorf("caller %d got %q (%v), caller 0 %q", i, ids[i], errs[i], ids[0])
				}
			}
			s.want(ids[0], "select task_id from {t}")
		}},
		{"7.3.key_waits_for_an_open_spawn", func(s *session) {
			first := s.another()
			first.exec("begin")
			task := first.spawn(`{"idempotency_key": "k"}`)
			var got []string
			wait := s.background(func() (err error) {
				got, err = s.try("select task_id, created from absurd.spawn_task({q}, 'work', '{}', '{\"idempotency_key\": \"k\"}')")
				return err
			})
			first.exec("commit")
			if err := wait(); err != nil || strings.Join(got, "") != task+"|f" {
				s.t.Errorf("got %q (%v), want the first caller's task %s", got, err, task)
			}
		}},
		{"13.9.key_race_with_cleanup", func(s *session) {
			task := s.spawn(`{"idempotency_key": "k"}`)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.at(10)
			cleaner := s.another()
			cleaner.at(10)
			cleaner.exec("begin")
			cleaner.want("1", "select absurd.cleanup_tasks({q}, 0)")
			var got []string
			wait := s.background(func() (err error) {
				got, err = s.try("select task_id <> $1, created from absurd.spawn_task({q}, 'work', '{}', '{\"idempotency_key\": \"k\"}')", task)
				return err
			})
			cleaner.exec("commit")
			if err := wait(); err != nil || strings.Join(got, "") != "t|t" {
				s.t.Errorf("got %q (%v), want a task that is new", got, err)
			}
		}},
		{"7.3.rollback_leaves_nothing", func(s *session) {
			s.inTransaction(func() { s.spawn(`{"idempotency_key": "k", "cancellation": {"max_delay": 1}}`) })
			s.want("0|0|t", "select (select count(*) from {t}), (select count(*) from {r}), created from absurd.spawn_task({q}, 'work', '{}', '{\"idempotency_key\": \"k\"}')")
		}},
		{"6.P0001.spawn_task", func(s *session) {
			for _, name := range []any{nil, "", "  ", "\t\n"} {
				s.refused(P0001, "task name", "select absurd.spawn_task({q}, $1, '{}')", name)
			}
			for _, attempts := range []string{"0", "-1", `"0"`} {
				s.refused(P0001, "max_attempts", spawned, `{"max_attempts": `+attempts+`}`)
			}
			s.want("0", "select count(*) from {t}")
		}},
		{"6.22P02", func(s *session) {
			for _, bad := range []string{
				`{"max_attempts": "many"}`, `{"max_attempts": 1.5}`, `{"max_attempts": [1]}`,
				`{"cancellation": {"max_delay": 1.5}}`, `{"cancellation": {"max_delay": "soon"}}`, `{"cancellation": {"max_duration": {}}}`,
				`{"retry_strategy": {"kind": "fixed", "base_seconds": "NaN"}}`, `{"retry_strategy": {"kind": "exponential", "factor": true}}`,
				`{"retry_strategy": {"kind": "exponential", "max_seconds": ""}}`,
			} {
				s.refused("22P02", "option", spawned, bad)
			}
			s.want("0", "select count(*) from {t}")
		}},
		{"13.6.options_that_would_raise_later", func(s *session) {
			for _, bad := range []string{`{"cancellation": {"max_delay": -1}}`, `{"cancellation": {"max_duration": 1e12}}`, `{"retry_strategy": {"base_seconds": -1}}`, `{"max_attempts": 1e10}`} {
				s.refused(P0001, "option", spawned, bad)
			}
			for _, odd := range []string{
				`{"retry_strategy": "fixed"}`, `{"retry_strategy": [1]}`, `{"retry_strategy": {"kind": 7}}`, `{"retry_strategy": {"kind": "fixed", "base_seconds": 1e9}}`,
				`{"retry_strategy": {"kind": "exponential", "base_seconds": 1e-9, "factor": 1e9}}`, `{"retry_strategy": {"kind": "exponential", "factor": 0}}`,
				`{"cancellation": 5}`, `{"cancellation": {"max_delay": "60", "max_duration": 5.0}}`, `{"max_attempts": "2"}`, `{"idempotency_key": 5}`, `{"headers": 5}`,
			} {
				s.exec(spawned, odd)
			}
			for len(s.rows("select task_id from {t} where state = 'pending'")) > 0 {
				for _, run := range s.rows("select run_id from absurd.claim_task({q}, 'w1', 30, 100)") {
					s.exec("select absurd.fail_run({q}, $1, '{}')", run)
				}
				s.exec("select absurd.cancel_task({q}, task_id) from {t} where attempts > 3 and state = 'pending'")
			}
		}},
		{"6.54000", func(s *session) {
			long := strings.Repeat("x", 3000)
			s.refused("54000", "bytes", "select absurd.spawn_task({q}, $1, '{}')", long)
			s.refused("54000", "bytes", spawned, `{"idempotency_key": "`+long+`"}`)
			task, run := s.running("{}")
			s.refused("54000", "bytes", "select absurd.set_task_checkpoint_state({q}, $1, $2, '1', $3)", task, long, run)
			s.refused("54000", "bytes", "select absurd.await_event({q}, $1, $2, 'a', $3)", task, run, long)
			s.refused("54000", "bytes", "select absurd.emit_event({q}, $1)", long)
		}},
		{"6.bad_json", func(s *session) {
			s.refused("22P05", "", `select absurd.spawn_task({q}, 'work', '{"a": "\u0000"}')`)
			s.refused("54001", "", `select absurd.spawn_task({q}, 'work', (repeat('[', 100000) || repeat(']', 100000))::jsonb)`)
			s.want("0", "select count(*) from {t}")
		}},
		{"4.retry_delays", func(s *session) {
			for want, strategy := range map[string]string{
				"0 0 0":       `{}`,
				"0 0 0 ":      `{"kind": "none", "base_seconds": 5}`,
				"0 0 0  ":     `{"kind": "unheard of", "base_seconds": 5}`,
				"60 60 60":    `{"kind": "fixed"}`,
				"1.5 1.5 1.5": `{"kind": "fixed", "base_seconds": 1.5, "max_seconds": 1}`,
				"30 60 120":   `{"kind": "exponential"}`,
				"2 6 18":      `{"kind": "exponential", "base_seconds": 2, "factor": 3}`,
				"2 6 7":       `{"kind": "exponential", "base_seconds": "2", "factor": "3", "max_seconds": 7}`,
			} {
				s.want(strings.TrimSpace(want), "select string_agg(extract(epoch from absurd.retry_delay($1, n))::float8::text, ' ' order by n) from generate_series(1, 3) n", strategy)
			}
			s.want("315360000|60|0", `select extract(epoch from absurd.retry_delay('{"kind": "exponential"}', 5000))::int,
				extract(epoch from absurd.retry_delay('{"kind": "exponential", "max_seconds": 60}', 5000))::int,
				extract(epoch from absurd.retry_delay('{"kind": "exponential", "factor": 1e-6}', 5000))::int`)
		}},
	}
}
