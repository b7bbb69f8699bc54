package contract

import (
	"strconv"
	"testing"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// A session keeps its plans. Those that it made while the tables were small must not read whole tables when they have grown; nor those that
// it makes anew where an analyze comes while the tables grow, sees none of it, and takes them for empty.
func TestPlansMadeSmallStayGood(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		for name, analyzed := range map[string]bool{mode: false, mode + ", analyzed while they grew": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				plansMadeSmallStayGood(t, mode, analyzed)
			})
		}
	}
}

func plansMadeSmallStayGood(t *testing.T, mode string, analyzed bool) {
	_, dsn := pgtest.Database(t)
	s := newSession(t, dsn, "grown")
	s.create(mode, "7 days")
	clock := 0
	spawn := func(n int) {
		s.exec(`select absurd.spawn_task({q}, 'work', '{}', '{"max_attempts": 1}') from generate_series(1, $1::int)`, n)
	}
	// life claims runs and does with them what can be done with a run, one task each.
	life := func() {
		t.Helper()
		spawn(5)
		next := func() (run string) {
			t.Helper()
			clock++
			s.at(clock)
			return s.one("select run_id from absurd.claim_task({q}, 'w', 30, 1)")
		}
		for _, event := range []string{"ping", "pong"} {
			run := next()
			s.exec("select absurd.set_task_checkpoint_state({q}, $1, 'a', '1', $1, 30)", run)
			s.exec("select absurd.get_task_checkpoint_states({q}, $1, $1)", run)
			s.exec("select absurd.get_task_checkpoint_state({q}, $1, 'a')", run)
			event += run
			s.exec("select absurd.await_event({q}, $1, $1, 'b', $2, 1000)", run, event)
			s.exec("select absurd.emit_event({q}, $1)", event)
			s.exec("select absurd.cancel_task({q}, $1)", run)
		}
		s.exec("select absurd.schedule_run({q}, $1, $2)", next(), stamp(clock+1))
		run := next()
		s.exec("select absurd.extend_claim({q}, $1, 50)", run)
		s.exec("select absurd.complete_run({q}, $1)", run)
		s.exec("select absurd.get_task_result({q}, $1)", run)
		run = next()
		s.exec("select absurd.fail_run({q}, $1, '{}')", run)
		s.exec("select absurd.retry_task({q}, $1)", run)
		s.exec("select absurd.cancel_task({q}, $1)", run)
		s.exec(`select absurd.spawn_task({q}, 'work', '{}', '{"idempotency_key": "k", "max_attempts": 1}')`)
	}
	for range 4 {
		life()
	}
	s.exec("analyze")
	for range 4 {
		life()
	}
	s.exec("begin")
	spawn(5000)
	if analyzed {
		s.another().exec("analyze")
	}
	s.exec("commit")

	s.exec("begin")
	life()
	for _, table := range []string{"tasks|t_grown_.*", "runs|r_grown_.*", "ready", "timers", "waits|w_grown_.*", "checkpoints|c_grown_.*", "events", "idempotency_keys"} {
		read, err := strconv.Atoi(s.one("select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables where schemaname = 'absurd' and relname ~ ('^(' || $1 || ')$')", table))
		if err != nil || read > 1000 {
			t.Errorf("the life of five tasks read %d rows of %s (%v), want at most 1000", read, table, err)
		}
	}
	s.exec("commit")
}
