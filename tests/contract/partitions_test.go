package contract

import (
	"crypto/md5"
	"fmt"
	"strings"
)

// children lists the partitions of a queue by name, with their bounds as moments.
const children = `select c.relname, case when pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' then 'DEFAULT' else
	(select string_agg(absurd.uuidv7_timestamp(m[1]::uuid)::text, ' to ') from regexp_matches(pg_get_expr(c.relpartbound, c.oid), '([0-9a-f-]{36})', 'g') m) end
	from pg_class c where c.relispartition and c.relkind = 'r' and c.relname like '%' || {q} || '%' order by left(c.relname, 1), c.relname`

// countRows counts the rows of partitions by name.
const countRows = `select c.relname, (xpath('//c/text()', query_to_xml(format('select count(*) as c from absurd.%I', c.relname), false, true, '')))[1]
	from pg_class c where c.relispartition and c.relkind = 'r' and c.relname like '%' || {q} || '%'
	and (xpath('//c/text()', query_to_xml(format('select count(*) as c from absurd.%I', c.relname), false, true, '')))[1]::text <> '0' order by 1`

const (
	day  = 24 * 3600
	week = 7 * day
)

// partitioned wraps a case that makes a queue of its own, partitioned, with no week ahead.
func partitioned(test func(s *session)) func(s *session) { return partitionedAhead("0", test) }

func partitionedAhead(lookahead string, test func(s *session)) func(s *session) {
	return func(s *session) {
		other := s.another()
		other.queue, other.storage = "p"+s.queue, ""
		other.create("partitioned", lookahead)
		test(other)
		if !s.t.Failed() {
			other.at(0)
			other.checkInvariants()
		}
	}
}

// partitions pins what sections 6, 7.2, 9, 10 and 13 say about partitioned queues alone.
func partitions() []pin {
	return []pin{
		{"9.partitions", partitioned(func(s *session) {
			var want []string
			for _, prefix := range []string{"c", "r", "t", "w"} {
				want = append(want, prefix+"_"+s.queue+"_418|2024-04-29 00:00:00+00 to 2024-05-06 00:00:00+00", prefix+"_"+s.queue+"_d|DEFAULT")
			}
			s.want(strings.Join(want, "\n"), children)
			s.want("0|0|0|0|0|0", "select (select count(*) from {t}), (select count(*) from {r}), (select count(*) from {c}), (select count(*) from {e}), (select count(*) from {w}), (select count(*) from {i})")
			s.want("partitioned", "select storage_mode from absurd.get_queue_policy({q})")
		})},
		{"9.weeks_of_the_window", partitionedAhead("14 days", func(s *session) {
			s.want("t_"+s.queue+"_418\nt_"+s.queue+"_419\nt_"+s.queue+"_420\nt_"+s.queue+"_d", "select relname from ("+children+") x where relname like 't%'")
			s.at(-3 * day) // a Sunday: the day before is of the same week, which is the one before
			s.exec(`select absurd.set_queue_policy({q}, '{"partition_lookback": "7 days"}')`)
			s.exec("select absurd.ensure_partitions({q})")
			s.want("t_"+s.queue+"_416\nt_"+s.queue+"_417\nt_"+s.queue+"_418", "select relname from ("+children+") x where relname like 't%' limit 3")
		})},
		{"9.ensure_partitions", partitioned(func(s *session) {
			before := strings.Join(s.rows(children), "\n")
			s.exec("select absurd.ensure_partitions({q}), absurd.ensure_partitions(null)")
			s.want(before, children)
			s.at(week)
			s.exec("select absurd.ensure_partitions()")
			s.want("418|419|d", "select string_agg(substring(relname from '[0-9d]+$'), '|' order by relname) from ("+children+") x where relname like 'w%'")
		})},
		{"9.name_room", func(s *session) {
			s.queue = strings.Repeat("é", 28) + "x"
			s.create("partitioned", "0")
			task, run := s.running("{}")
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.wantStates("completed: completed", task)
			s.want("63", "select octet_length(relname) from ("+children+") x where relname ~ '^t.*_418$'")
			s.exec("select absurd.drop_queue({q})")
		}},
		{"9.rows_follow_the_week_of_their_task", partitionedAhead("7 days", func(s *session) {
			task, run := s.running(`{"max_attempts": 2}`)
			s.at(week)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.fail_run({q}, $1, '{}')", run)
			next := s.claim()
			s.exec("select absurd.await_event({q}, $1, $2, 'b', 'ping')", task, next)
			s.want(strings.Join([]string{"c_" + s.queue + "_418|1", "r_" + s.queue + "_418|1", "r_" + s.queue + "_419|1", "t_" + s.queue + "_418|1", "w_" + s.queue + "_418|1"}, "\n"), countRows)
		})},
		{"9.default_child_takes_the_rest", partitioned(func(s *session) {
			s.at(3 * week)
			task, run := s.running(`{"max_attempts": 1}`)
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.exec("select absurd.await_event({q}, $1, $2, 'b', 'ping', 5)", task, run)
			s.exec("select absurd.emit_event({q}, 'ping')")
			s.claim()
			s.exec("select absurd.complete_run({q}, $1, '7')", run)
			s.want("completed|7", "select state, result from absurd.get_task_result({q}, $1)", task)
			s.want("c_"+s.queue+"_d|2\nt_"+s.queue+"_d|1", countRows)
		})},
		{"9.detach_candidates", partitioned(func(s *session) {
			const candidates = "select parent_table, partition_table from absurd.list_detach_candidates({q})"
			s.at(week)
			s.exec("select absurd.ensure_partitions({q})")
			s.exec(`select absurd.set_queue_policy({q}, '{"detach_min_age": "1 day"}')`)
			s.want("", candidates) // mode none
			s.exec(`select absurd.set_queue_policy({q}, '{"detach_mode": " Empty "}')`)
			s.at(5*day - day/2) // the week ends at 4.5 days: 2024-05-06 00:00
			s.want("", candidates)
			s.at(5*day + day/2 + 1)
			var want []string
			for _, prefix := range []string{"t", "r", "c", "w"} {
				want = append(want, prefix+"_"+s.queue+"|"+prefix+"_"+s.queue+"_418")
			}
			s.want(strings.Join(want, "\n"), candidates)
			s.want("4", "select count(*) from absurd.list_detach_candidates() where queue_name = {q}")
		})},
		{"9.detach_candidates_have_no_tasks", partitioned(func(s *session) {
			_, run := s.running("{}")
			s.exec(`select absurd.set_queue_policy({q}, '{"detach_mode": "empty", "detach_min_age": "0"}')`)
			s.at(2 * week)
			s.want("0", "select count(*) from absurd.list_detach_candidates({q})")
			s.exec("select absurd.complete_run({q}, $1)", run)
			s.at(2*week + 2)
			s.want("1", "select absurd.cleanup_tasks({q}, 1)")
			s.want("4", "select count(*) from absurd.list_detach_candidates({q})")
		})},
		{"9.schedule_detach_jobs", partitioned(func(s *session) { s.inTransaction(func() { detachJobs(s) }) })},
		{"9.detached_partitions_are_dropped", partitioned(func(s *session) {
			s.inTransaction(func() {
				s.exec(cronMock)
				s.at(2 * week)
				s.exec(`select absurd.set_queue_policy({q}, '{"detach_mode": "empty", "detach_min_age": "0"}')`)
				s.exec("select absurd.schedule_detach_jobs({q})")
				drops := s.rows("select command from cron.job where jobname like 'absurd_drop%'")
				for _, command := range drops {
					s.want("f", command)
				}
				for _, command := range s.rows("select command from cron.job where jobname like 'absurd_detach%'") {
					s.exec(command)
				}
				for _, command := range drops {
					s.want("t", command)
				}
				s.want("0", "select count(*) from cron.job")
				s.want("d", "select string_agg(distinct substring(relname from '[0-9d]+$'), '|') from ("+children+") x")
				s.spawn("{}")
			})
		})},
		{"9.idempotency_keys", partitioned(func(s *session) {
			task := s.spawn(`{"idempotency_key": "k"}`)
			s.want("k|"+task, "select idempotency_key, task_id from {i}")
			s.want(task+"|f", `select task_id, created from absurd.spawn_task({q}, 'other', '1', '{"idempotency_key": "k"}')`)
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.at(5)
			s.want("1", "select absurd.cleanup_tasks({q}, 1)")
			s.want("0", "select count(*) from {i}")
			s.want("t", `select created from absurd.spawn_task({q}, 'other', '1', '{"idempotency_key": "k"}')`)
		})},
		{"7.2.default_partition", partitioned(func(s *session) {
			s.at(3 * week)
			task := s.spawn("{}")
			s.refused(P0001, "holds rows", `select absurd.set_queue_policy({q}, '{"default_partition": "disabled", "cleanup_limit": 5}')`)
			s.want("enabled|1000", "select default_partition, cleanup_limit from absurd.get_queue_policy({q})")
			s.exec("select absurd.cancel_task({q}, $1)", task)
			s.at(3*week + 5)
			s.exec("select absurd.cleanup_tasks({q}, 1)")
			s.exec(`select absurd.set_queue_policy({q}, '{"default_partition": "Disabled"}')`)
			s.want("0", "select count(*) from pg_class where relname like '__' || {q} || '_d'")
			s.exec(`select absurd.set_queue_policy({q}, '{"default_partition": "enabled"}')`)
			s.want("4", "select count(*) from pg_class where relname like '__' || {q} || '_d'")
		})},
		{"7.2.drop_removes_partitions", partitioned(func(s *session) {
			s.running("{}")
			s.at(week)
			s.exec("select absurd.ensure_partitions({q})")
			s.exec(fmt.Sprintf(`alter table %s.partitioned_waits detach partition absurd."w_%s_418"`, s.storage, s.queue))
			s.exec("select absurd.drop_queue({q})")
			s.want("0", "select count(*) from pg_class where relname like '__' || {q} || '%'")
			s.want("0", "select count(*) from pg_namespace where nspname = $1", s.storage)
			s.storage = ""
			s.exec("select absurd.create_queue({q}, 'partitioned')")
			s.want("0", "select count(*) from {t}")
			s.findStorage()
		})},
		{"6.40001", partitioned(func(s *session) {
			s.exec("insert into absurd.idempotency_keys (queue_no, idempotency_key, task_id) select queue_no, 'k', gen_random_uuid() from absurd.queues where queue_name = {q}")
			s.refused("40001", "cannot be read", `select absurd.spawn_task({q}, 'work', '{}', '{"idempotency_key": "k"}')`)
			s.exec("delete from absurd.idempotency_keys where queue_no in (select queue_no from absurd.queues where queue_name = {q})")
		})},
		{"6.23514", partitioned(func(s *session) {
			s.exec(`select absurd.set_queue_policy({q}, '{"default_partition": "disabled"}')`)
			s.at(week)
			s.refused("23514", "no partition", "select absurd.spawn_task({q}, 'work', '{}')")
			s.want("0|0", "select (select count(*) from {t}), (select count(*) from absurd.ready y join absurd.queues q using (queue_no) where q.queue_name = {q})")
			s.exec("select absurd.ensure_partitions({q})")
			s.spawn("{}")
		})},
		{"13.10.rows_in_the_default_child_move", partitioned(func(s *session) {
			s.at(week)
			task, run := s.running("{}")
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $2)", task, run)
			s.want("c_"+s.queue+"_d|1\nt_"+s.queue+"_d|1", countRows)
			s.exec("select absurd.ensure_partitions({q})")
			s.want("c_"+s.queue+"_419|1\nt_"+s.queue+"_419|1", countRows)
			s.exec("select absurd.complete_run({q}, $1, '1')", run)
			s.wantStates("completed: completed", task)
		})},
		{"13.10.repair_partitions", partitioned(func(s *session) {
			var tasks []string
			for n := range 3 {
				s.at(week * (2 + n))
				tasks = append(tasks, s.spawn("{}"))
			}
			s.want("2024-05-13 00:00:00+00|1\n2024-05-20 00:00:00+00|1\n2024-05-27 00:00:00+00|1", "select week, rows_moved from absurd.repair_partitions({q})")
			s.want("0", "select count(*) from absurd.repair_partitions({q})")
			s.want("t_"+s.queue+"_420|1\nt_"+s.queue+"_421|1\nt_"+s.queue+"_422|1", countRows)
			s.want(strings.Join(tasks, "\n"), "select task_id from absurd.claim_task({q}, 'w1', 30, 5)")
		})},
		{"13.10.one_queue_stops_no_other", partitioned(func(s *session) {
			bad := s.another()
			bad.queue, bad.storage = s.queue+"bad", ""
			bad.create("partitioned", "0")
			s.at(3 * week)
			bad.at(3 * week)
			bad.exec("begin")
			bad.spawn("{}") // holds its default partition
			s.exec("set statement_timeout = '3min'")
			s.exec("select absurd.ensure_partitions()")
			s.want("1", "select count(*) from pg_class where relname = 't_' || {q} || '_421'")
			s.want("0", "select count(*) from pg_class where relname = 't_' || {q} || 'bad_421'")
			s.refused("55P03", "use them all the time", "select absurd.ensure_partitions({q} || 'bad')")
			bad.exec("commit")
			s.exec("select absurd.ensure_partitions()")
			s.want("1", "select count(*) from pg_class where relname = 't_' || {q} || 'bad_421'")
		})},
		{"13.11.names_cannot_collide", partitioned(func(s *session) {
			for _, suffix := range []string{"_d", "_418", "_999"} {
				s.refused(P0001, "cannot be made beside", "select absurd.create_queue({q} || $1)", suffix)
				s.refused(P0001, "cannot be made beside", "select absurd.create_queue({q} || $1, 'partitioned')", suffix)
			}
			for _, suffix := range []string{"_d", "_418"} {
				s.exec("select absurd.create_queue({q} || 'later' || $1)", suffix)
				s.refused(P0001, "cannot be made beside", "select absurd.create_queue({q} || 'later', 'partitioned')")
				s.exec("select absurd.drop_queue({q} || 'later' || $1)", suffix)
			}
			// Names of indexes and of other relations.
			for _, index := range s.rows("select substr(relname, 3) from pg_class where relkind = 'i' and relname like 't_' || {q} || '_418%'") {
				s.refused(P0001, "another relation", "select absurd.create_queue($1)", index)
			}
			for _, name := range []string{"_sai", "_4180", "_41", "_dd", "_418_d"} {
				s.exec("select absurd.create_queue({q} || $1)", name)
				s.exec("select absurd.drop_queue({q} || $1)", name)
			}
			s.spawn("{}")
			s.want("1", "select count(*) from {t}")
		})},
	}
}

// detachJobs pins the jobs that schedule_detach_jobs makes.
func detachJobs(s *session) {
	s.exec(cronMock)
	s.at(week)
	s.exec("select absurd.ensure_partitions({q})")
	s.at(3 * week)
	s.exec(`select absurd.set_queue_policy({q}, '{"detach_mode": "empty", "detach_min_age": "0"}')`)
	sum := func(text string, digits int) string { return fmt.Sprintf("%x", md5.Sum([]byte(text)))[:digits] }
	var want, commands []string
	for n, parent := range []struct{ prefix, table string }{{"t", "tasks"}, {"r", "runs"}, {"c", "checkpoints"}, {"w", "waits"}} {
		name := parent.prefix + "_" + s.queue
		child := name + "_418"
		job := sum(s.queue, 12) + "_" + sum(name, 8) + "_" + sum(name+":"+child, 12)
		want = append(want, fmt.Sprintf("absurd_detach_run_%s|%d|%s|%s|detach", job, 2*n+1, s.queue, child),
			fmt.Sprintf("absurd_drop_run_%s|%d|%s|%s|drop", job, 2*n+2, s.queue, child))
		commands = append(commands, fmt.Sprintf("* * * * *|ALTER TABLE %s.partitioned_%s DETACH PARTITION absurd.%s", s.storage, parent.table, child),
			fmt.Sprintf("* * * * *|select absurd.drop_detached_partition('%s', 'absurd_drop_run_%s')", child, job))
	}
	s.want(strings.Join(want, "\n"), "select * from absurd.schedule_detach_jobs({q})")
	s.want(strings.Join(commands, "\n"), "select schedule, command from cron.job order by jobid")
	s.want("0|0", "select (select count(*) from absurd.schedule_detach_jobs({q})), (select count(*) from absurd.schedule_detach_jobs() where queue_name = {q})")

	s.want("8", "select count(*) from absurd.disable_cron({q})")
	s.exec(`select absurd.set_queue_policy({q}, '{"default_partition": "disabled"}')`)
	s.exec("select absurd.schedule_detach_jobs({q})")
	s.want("4", "select count(*) from cron.job where command like 'ALTER TABLE %' and command like '%\\_418 CONCURRENTLY'")
}
