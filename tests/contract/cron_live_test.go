package contract

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// The jobs that enable_cron and schedule_detach_jobs make are run by a real pg_cron. It looks at its jobs once a minute, so this takes some.
func TestLiveCron(t *testing.T) {
	if os.Getenv("ABSURD_TEST_CRON") == "" && os.Getenv("ABSURD_SOAK") == "" {
		t.Skip("waits for pg_cron's minutes: set ABSURD_TEST_CRON=1")
	}
	t.Parallel()
	pool, _ := pgtest.Empty(t)
	var available bool
	if err := pool.QueryRow(t.Context(), "select exists (select from pg_available_extensions where name = 'pg_cron')").Scan(&available); err != nil {
		t.Fatal(err)
	}
	if !available || os.Getenv("DATABASE_URL") != "" || os.Getenv("ABSURD_TEST_POSTGRES") != "" {
		t.Skip("pg_cron is not installed for the server of this test (Debian has it as postgresql-15-cron), or the server is not one that the test may set up")
	}
	server, err := embedded.Start(t.Context(), embedded.Options{Settings: map[string]string{
		"shared_preload_libraries": "pg_cron", "cron.database_name": "postgres", "cron.use_background_workers": "on", "max_worker_processes": "20"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := pgx.ParseConfig(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := db.Install(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`create extension pg_cron;
		select absurd.create_queue('jobs', 'partitioned'), absurd.create_queue('plain');
		select absurd.add_week('jobs', queue_no, '2020-01-06') from absurd.queues where queue_name = 'jobs';
		select absurd.set_queue_policy('jobs', '{"detach_mode": "empty", "default_partition": "disabled", "cleanup_ttl": "0", "partition_lookahead": "100 days"}');
		select absurd.cancel_task('jobs', task_id) from absurd.spawn_task('jobs', 'old', '{}')`)
	exec(`select absurd.enable_cron('jobs', '* * * * *', '* * * * *', '* * * * *');
		select absurd.schedule_detach_jobs('jobs')`)

	const left = `select concat_ws(', ',
		(select 'partitions: ' || string_agg(relname, ' ') from pg_class where relname ~ '^[trcw]_jobs_002$'),
		(select 'jobs: ' || string_agg(jobname, ' ') from cron.job where jobname ~ '_run_'),
		(select 'a task' where exists (select from absurd.t_jobs)),
		(select 'weeks' where (select count(*) from pg_class where relname ~ '^t_jobs_[0-9]{3}$') < 15))`
	deadline := time.Now().Add(4 * time.Minute)
	for {
		var rest string
		if err := conn.QueryRow(t.Context(), left).Scan(&rest); err != nil {
			t.Fatal(err)
		}
		if rest == "" {
			break
		}
		if time.Now().After(deadline) {
			var log string
			if err := conn.QueryRow(t.Context(), `select string_agg(command || ': ' || status || ' ' || coalesce(return_message, ''), E'\n') from cron.job_run_details`).Scan(&log); err != nil {
				t.Error(err)
			}
			t.Fatalf("left after four minutes: %s\n%s", rest, log)
		}
		if _, err := conn.Exec(t.Context(), "select pg_sleep(0.5)"); err != nil {
			t.Fatal(err)
		}
	}
	var failed []string
	rows, err := conn.Query(t.Context(), `select command || ': ' || coalesce(return_message, '') from cron.job_run_details where status = 'failed'`)
	if err != nil {
		t.Fatal(err)
	}
	if failed, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatal(err)
	}
	for _, failure := range failed {
		// What was detached is detached again until the second job has removed the first; a job that removes itself may read as cancelled.
		if !strings.Contains(failure, "DETACH PARTITION") && !strings.HasSuffix(failure, "job canceled") {
			t.Error(failure)
		}
	}
	exec("select absurd.disable_cron('jobs')")
}
