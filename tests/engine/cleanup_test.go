package engine

import (
	"slices"
	"testing"
)

// An event is old when its time to live is over, but stays for an open task that was spawned within that time, whatever state the task is
// in, and goes when nobody can count on it any more.
func TestEventsStayForWhoMayNeedThem(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	const ttl = 3600
	at := func(minutes int, name string) {
		t.Helper()
		emit(t, pool, name, `1`)
		exec(t, pool, `update absurd.events set emitted_at = clock_timestamp() + $2 * interval '1 minute' where event_name = $1`, name, minutes)
	}
	task := w.suspended(wait{"w", "asked", hour()})
	age := func(minutes int) {
		t.Helper()
		exec(t, pool, `update absurd.tasks set enqueue_at = clock_timestamp() - $1 * interval '1 minute'`, minutes)
	}
	age(180)
	at(-300, "over before the task came") // its hour was over at -240
	at(-230, "seen by the task")
	at(-90, "emitted after the task came")
	at(-10, "young")
	left := func() []string {
		t.Helper()
		return column[string](t, pool, `select event_name from absurd.events where payload is not null order by emitted_at`)
	}
	if n := one[int](t, pool, `select absurd.cleanup_old_events('q', $1)`, ttl); n != 1 {
		t.Errorf("cleaned %d events, want the one that was over", n)
	}
	want := []string{"seen by the task", "emitted after the task came", "young"}
	if got := left(); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if n := one[int](t, pool, `select count(*) from absurd.events where payload is null`); n != 1 {
		t.Errorf("%d placeholders, want that of the wait", n)
	}
	exec(t, pool, `select absurd.terminate_task('q', $1)`, task)
	if n := one[int](t, pool, `select absurd.cleanup_old_events('q', $1)`, ttl); n != 3 {
		t.Errorf("cleaned %d events and placeholders when the task had ended, want 3", n)
	}
	if got := left(); !slices.Equal(got, want[2:]) {
		t.Errorf("left %q, want %q", got, want[2:])
	}

	// Whoever runs, or is ready, counts too; another tenant's task does not.
	at(-90, "needed")
	spawn(t, pool, `{"tenant": "other"}`)
	age(180)
	if n := one[int](t, pool, `select absurd.cleanup_old_events('q', $1)`, ttl); n != 1 {
		t.Errorf("another tenant's task kept an event")
	}
	at(-90, "needed")
	spawn(t, pool, "")
	age(180)
	for _, state := range []string{"ready", "running"} {
		if n := one[int](t, pool, `select sum(events_deleted) from absurd.cleanup_queues()`); n != 0 {
			t.Errorf("%d events were cleaned from under a %s task", n, state)
		}
		if n := one[int](t, pool, `select absurd.cleanup_old_events('q', $1)`, ttl); n != 0 {
			t.Errorf("%d events were cleaned from under a %s task", n, state)
		}
		w.claim(2)
	}
}

// However many placeholders are waited for, cleanup comes to those that nobody waits for any more.
func TestCleanupFindsOrphanedPlaceholders(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	exec(t, pool, `
		with placed as (
		  insert into absurd.events (queue_no, event_name, emitted_at)
		  select q.queue_no, to_char(g.n, 'fm0000'), 'epoch' from absurd.queues q, generate_series(1, 3000) g(n)
		  returning queue_no, event_name
		)
		insert into absurd.waits (queue_no, task_id, step_name, event_name, created_at)
		select p.queue_no, gen_random_uuid(), 'w', p.event_name, clock_timestamp() from placed p where p.event_name < '2999'`)
	for _, want := range []int{1, 1, 0} {
		if n := one[int](t, pool, `select absurd.cleanup_events('q', 3600, 1)`); n != want {
			t.Errorf("%d placeholders were dropped, want %d", n, want)
		}
	}
}
