package contract

import (
	"crypto/md5"
	"fmt"
	"strings"
)

// cronMock stands for pg_cron: what the schema may use of it, and no more. It exists in one transaction only, because all
// cases share a database.
const cronMock = `do $do$ begin
	create schema cron;
	create table cron.job (jobid bigint generated always as identity, jobname text, schedule text, command text);
	create function cron.schedule(text, text, text) returns bigint language sql as 'insert into cron.job (jobname, schedule, command) values ($1, $2, $3) returning jobid';
	create function cron.unschedule(bigint) returns boolean language sql as 'delete from cron.job where jobid = $1 returning true';
end $do$`

// cron pins section 10, and what section 9 says about queues that have no partitions.
func cron() []pin {
	const jobs = "select jobname, schedule, command from cron.job order by jobid"
	withCron := func(test func(s *session, scope string)) func(s *session) {
		return func(s *session) {
			s.inTransaction(func() {
				s.exec(cronMock)
				test(s, fmt.Sprintf("%x", md5.Sum([]byte(s.queue)))[:12])
			})
		}
	}
	return []pin{
		{"10.enable_cron", withCron(func(s *session, scope string) {
			s.want(strings.Join([]string{"absurd_partitions_" + scope + "|1", "absurd_cleanup_" + scope + "|2", "absurd_detach_plan_" + scope + "|3"}, "\n"), "select * from absurd.enable_cron({q})")
			s.want(strings.Join([]string{
				"absurd_partitions_" + scope + "|5 * * * *|select absurd.ensure_partitions('" + s.queue + "')",
				"absurd_cleanup_" + scope + "|17 * * * *|select absurd.cleanup_all_queues('" + s.queue + "')",
				"absurd_detach_plan_" + scope + "|29 * * * *|select absurd.schedule_detach_jobs('" + s.queue + "')",
			}, "\n"), jobs)
			for _, command := range s.rows("select command from cron.job") {
				s.exec(command)
			}
		})},
		{"10.enable_cron_for_all", withCron(func(s *session, _ string) {
			s.want("absurd_partitions_all|1\nabsurd_cleanup_all|2\nabsurd_detach_plan_all|3", "select * from absurd.enable_cron(null, '1 second', '2 seconds', '3 seconds')")
			s.want("absurd_cleanup_all|2 seconds|select absurd.cleanup_all_queues(null::text)", "select jobname, schedule, command from cron.job where jobid = 2")
		})},
		{"10.enable_cron_replaces", withCron(func(s *session, scope string) {
			s.exec("select absurd.enable_cron({q})")
			s.exec("select absurd.enable_cron({q}, '1 second')")
			s.want("absurd_partitions_"+scope+"|1 second", "select jobname, schedule from cron.job where jobname like 'absurd_partitions_%'")
			s.want("3", "select count(*) from cron.job")
		})},
		{"10.hostile_queue_names", withCron(func(s *session, _ string) {
			for _, name := range hostileNames {
				s.exec("select absurd.create_queue($1)", name)
				s.exec("select absurd.enable_cron($1)", name)
			}
			for _, command := range s.rows("select command from cron.job") {
				s.exec(command)
			}
		})},
		{"10.disable_cron", withCron(func(s *session, scope string) {
			s.exec("select absurd.enable_cron()")
			s.exec("select absurd.enable_cron({q})")
			s.exec("select cron.schedule('absurd_drop_run_' || $1 || '_a_b', '* * * * *', 'x'), cron.schedule('absurd_detach_run_' || $1 || '_a_b', '* * * * *', 'x')", scope)
			s.want(strings.Join([]string{"absurd_cleanup_" + scope + "|5", "absurd_detach_plan_" + scope + "|6", "absurd_detach_run_" + scope + "_a_b|8", "absurd_drop_run_" + scope + "_a_b|7",
				"absurd_partitions_" + scope + "|4"}, "\n"), "select * from absurd.disable_cron({q})")
			s.want("0", "select count(*) from absurd.disable_cron({q})")
			s.want("absurd_partitions_all\nabsurd_cleanup_all\nabsurd_detach_plan_all", "select jobname from cron.job order by jobid")
			s.want("3", "select count(*) from absurd.disable_cron()")
		})},
		{"7.2.drop_removes_cron_jobs", withCron(func(s *session, _ string) {
			s.exec("select absurd.enable_cron()")
			s.exec("select absurd.enable_cron({q})")
			s.exec("select absurd.drop_queue({q})")
			s.want("3", "select count(*) from cron.job")
		})},
		{"6.P0001.cron_arguments", withCron(func(s *session, _ string) {
			for _, call := range []string{"enable_cron('nowhere')", "enable_cron('')", "enable_cron({q}, '')", "enable_cron({q}, '1 second', null)", "enable_cron({q}, '1 second', '1 second', ' ')",
				"disable_cron('')", "schedule_detach_jobs('nowhere')", "schedule_detach_jobs('')"} {
				s.exec("savepoint before")
				s.refused(P0001, "", "select absurd."+call)
				s.exec("rollback to before")
			}
			s.want("0", "select count(*) from cron.job")
		})},
		{"6.P0001.without_cron", func(s *session) {
			for _, call := range []string{"enable_cron()", "enable_cron({q})", "disable_cron()", "disable_cron({q})", "schedule_detach_jobs()", "schedule_detach_jobs({q})"} {
				s.refused(P0001, "pg_cron", "select absurd."+call)
			}
		}},
		{"6.P0001.partitions", func(s *session) {
			for _, call := range []string{"ensure_partitions", "list_detach_candidates"} {
				for _, name := range []string{"nowhere", "", strings.Repeat("x", 58)} {
					s.refused(P0001, "queue", "select absurd."+call+"($1)", name)
				}
			}
			for _, name := range []any{nil, "", " "} {
				s.refused(P0001, "partition", "select absurd.drop_detached_partition($1)", name)
			}
		}},
		{"9.unpartitioned_queues_are_ignored", func(s *session) {
			s.exec("select absurd.ensure_partitions({q}), absurd.ensure_partitions()")
			s.want("0", "select count(*) from absurd.list_detach_candidates({q})")
			s.want("5", "select count(*) from pg_class where relname like '__' || {q} || '%'")
		}},
		{"9.schedule_detach_jobs_without_candidates", withCron(func(s *session, _ string) {
			s.want("0|0", "select (select count(*) from absurd.schedule_detach_jobs({q})), count(*) from cron.job")
		})},
		{"9.drop_detached_partition", withCron(func(s *session, scope string) {
			drop, detach := "absurd_drop_run_"+scope+"_a_b", "absurd_detach_run_"+scope+"_a_b"
			schedule := func() {
				s.exec("select cron.schedule($1, '* * * * *', 'x'), cron.schedule($2, '* * * * *', 'x')", drop, detach)
			}
			schedule()
			s.want("f", "select absurd.drop_detached_partition({q} || 'gone', $1)", drop)
			s.want("0", "select count(*) from cron.job")

			s.exec(`do $do$ begin create table absurd."t_the parent" (id int) partition by range (id); create table absurd."t_the parent_418" partition of absurd."t_the parent" default; end $do$`)
			schedule()
			s.want("f", "select absurd.drop_detached_partition('t_the parent_418', $1)", drop)
			s.want("2|0", `select count(*), (select count(*) from absurd."t_the parent_418") from cron.job`)

			s.exec(`alter table absurd."t_the parent" detach partition absurd."t_the parent_418"`)
			s.want("t", "select absurd.drop_detached_partition('t_the parent_418', $1)", drop)
			s.want("0|t", `select count(*), to_regclass('absurd."t_the parent_418"') is null from cron.job`)
		})},
		{"9.drop_detached_partition_without_a_job", func(s *session) {
			s.inTransaction(func() {
				s.exec("create table absurd.w_lone_418 (id int)")
				s.want("t", "select absurd.drop_detached_partition('w_lone_418')")
				s.want("f", "select absurd.drop_detached_partition('w_lone_418')")
				s.refused(P0001, "partition", "select absurd.drop_detached_partition('tasks')")
			})
		}},
	}
}
