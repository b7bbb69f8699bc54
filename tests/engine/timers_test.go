package engine

import "testing"

// A run that was claimed twice has one lease timer, that of its last claim. If there should be two, and both are due at once, it fails once.
func TestLeaseFailsARunOnce(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	exec(t, tx, `
		set local absurd.fake_now = '2030-01-01 00:00:00+00';
		select absurd.spawn_task('q', 't', '1', '{"max_attempts": 5, "retry_strategy": {"kind": "fixed", "base_seconds": 3600}}');
		select absurd.claim_task('q', 'sdk', 10)`)
	exec(t, tx, `
		select absurd.schedule_run('q', run_id, '2030-01-01 00:00:01+00') from absurd.r_q;
		set local absurd.fake_now = '2030-01-01 00:00:02+00';
		select absurd.claim_task('q', 'sdk', 10)`)
	if n := one[int](t, tx, `select count(*) from absurd.timers where kind = 'l'`); n != 1 {
		t.Fatalf("%d lease timers, want 1", n)
	}
	exec(t, tx, `insert into absurd.timers (queue_no, kind, due_at, task_id) select queue_no, kind, due_at - interval '1 s', task_id from absurd.timers where kind = 'l'`)
	exec(t, tx, `set local absurd.fake_now = '2030-01-01 00:01:00+00'; select absurd.claim_task('q', 'sdk', 10, 5)`)
	if got := one[string](t, tx, `select attempts || ' ' || state || ' ' || (select count(*) from absurd.r_q) from absurd.t_q`); got != "2 sleeping 2" {
		t.Errorf("attempts, state and runs are %q, want one failure: 2 sleeping 2", got)
	}
}
