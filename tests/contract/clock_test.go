package contract

import "strings"

// clock pins section 7.1.
func clock() []pin {
	return []pin{
		{"7.1.fake_now_is_the_clock", func(s *session) {
			s.exec("set absurd.fake_now = '2031-02-03 04:05:06.789+00'")
			s.want("2031-02-03 04:05:06.789+00|t", "select absurd.current_time(), absurd.current_time() = absurd.current_time()")
			s.exec("set absurd.fake_now = '2031-02-03 04:05:06+02'")
			s.want("2031-02-03 02:05:06+00", "select absurd.current_time()")
		}},
		{"7.1.fake_now_in_a_transaction", func(s *session) {
			s.inTransaction(func() {
				s.exec("set local absurd.fake_now = '2031-02-03 04:05:06+00'")
				s.want("2031-02-03 04:05:06+00", "select absurd.current_time()")
			})
			s.want(stamp(0), "select absurd.current_time()")
		}},
		{"7.1.default_restores_real_time", func(s *session) {
			for _, restore := range []string{"set absurd.fake_now = default", "set absurd.fake_now = ''", "set absurd.fake_now = '  '"} {
				s.at(0)
				s.exec(restore)
				s.want("t", "select abs(extract(epoch from absurd.current_time() - clock_timestamp())) < 10")
			}
		}},
		{"7.1.real_time_moves_in_a_transaction", func(s *session) {
			s.exec("set absurd.fake_now = default")
			s.inTransaction(func() {
				s.want("t", "with a as materialized (select absurd.current_time() x, pg_sleep(0.001)) select absurd.current_time() > x from a")
			})
		}},
		{"7.1.bad_fake_now", func(s *session) {
			s.exec("set absurd.fake_now = 'yesterday-ish'")
			s.refused("22007", "", "select absurd.current_time()")
			s.exec("set absurd.fake_now = default")
		}},
		{"7.1.every_now_comes_from_it", func(s *session) {
			s.exec("select absurd.create_queue({q} || '2')")
			s.want(stamp(0), "select created_at from absurd.queues where queue_name = {q} || '2'")
			s.exec("insert into absurd.queues (queue_name) values ({q} || '3')")
			s.want(stamp(0), "select created_at from absurd.queues where queue_name = {q} || '3'")
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'one', '1', $2)", task, run)
			s.at(7)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.want(strings.Repeat(stamp(0)+"|", 4)+stamp(0), "select t.enqueue_at, t.first_started_at, r.created_at, r.started_at, c.updated_at from {t} t join {r} r using (task_id) join {c} c using (task_id)")
			s.want(stamp(7)+"|"+stamp(7), "select completed_at, emitted_at from {r}, {e}")
		}},
	}
}

// ids pins the functions of section 9 that partitions are built on.
func ids() []pin {
	return []pin{
		{"9.portable_uuidv7", func(s *session) {
			s.exec("set absurd.fake_now = '2024-05-01 12:00:00.123456+00'")
			s.want("2024-05-01 12:00:00.123+00|7|t", `select absurd.uuidv7_timestamp(id), substr(id::text, 15, 1), substr(id::text, 20, 1) in ('8', '9', 'a', 'b')
				from absurd.portable_uuidv7() id`)
			s.want("1000", "select count(distinct absurd.portable_uuidv7()) from generate_series(1, 1000)")
		}},
		{"9.ids_follow_time", func(s *session) {
			s.want("t", `select bool_and(absurd.uuidv7_at($1::timestamptz + n * interval '1 microsecond') < absurd.uuidv7_at($1::timestamptz + (n + 1) * interval '1 microsecond'))
				from generate_series(0, 2500) n`, stamp(0))
		}},
		{"9.uuidv7_timestamp", func(s *session) {
			s.want(null+"|"+null, "select absurd.uuidv7_timestamp('9b2c1f6e-1111-4abc-8def-000000000000'), absurd.uuidv7_timestamp(null)")
			s.want("1970-01-01 00:00:00+00|10889-08-02 05:31:50.655+00", `select absurd.uuidv7_timestamp('00000000-0000-7000-8000-000000000000'),
				absurd.uuidv7_timestamp('ffffffff-ffff-7000-8000-000000000000')`)
		}},
		{"9.uuidv7_floor", func(s *session) {
			s.want("018f3406-9e7b-7000-8000-000000000000", "select absurd.uuidv7_floor('2024-05-01 12:00:00.123999+00')")
			s.exec("set absurd.fake_now = '2024-05-01 12:00:00.123999+00'")
			s.want("t", `select bool_and(id >= absurd.uuidv7_floor(absurd.current_time()) and id < absurd.uuidv7_floor(absurd.current_time() + interval '1 ms'))
				from (select absurd.portable_uuidv7() id from generate_series(1, 200)) x`)
		}},
		{"6.P0001.uuidv7_floor", func(s *session) {
			for _, outside := range []string{"1969-12-31 23:59:59.999+00", "10889-08-02 05:31:50.656+00", "infinity", "-infinity"} {
				s.refused(P0001, "", "select absurd.uuidv7_floor($1)", outside)
			}
			s.want("00000000-0000-7000-8000-000000000000|ffffffff-ffff-7000-8000-000000000000|"+null,
				"select absurd.uuidv7_floor('epoch'), absurd.uuidv7_floor('10889-08-02 05:31:50.655+00'), absurd.uuidv7_floor(null)")
		}},
		{"9.week_bucket_utc", func(s *session) {
			s.exec("set timezone = 'America/Los_Angeles'")
			s.want("2024-04-28 17:00:00-07|2024-04-28 17:00:00-07|2024-05-05 17:00:00-07", `select absurd.week_bucket_utc('2024-04-29 00:00+00'),
				absurd.week_bucket_utc('2024-05-05 23:59:59.999+00'), absurd.week_bucket_utc('2024-05-06 00:00+00')`)
		}},
		{"9.partition_week_tag", func(s *session) {
			s.want("401|053|501", "select absurd.partition_week_tag('2024-01-01 00:00+00'), absurd.partition_week_tag('2021-01-01 00:00+00'), absurd.partition_week_tag('2024-12-31 00:00+00')")
		}},
	}
}
