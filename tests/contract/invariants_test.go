package contract

// invariants are the sentences of section 7.0 that hold at every commit, and those about the engine's own tables that make
// tasks findable. Each query returns the violations: no row is good. $1 is the queue's name.
var invariants = []struct{ says, violations string }{
	{"an open task has exactly one open run, the newest attempt; a final task has none", `
		select t.task_id, t.state from {t} t
		where (select count(*) from {r} r where r.task_id = t.task_id and r.state in ('pending', 'running', 'sleeping'))
		      <> (t.state in ('pending', 'running', 'sleeping'))::int
		   or exists (select from {r} r where r.task_id = t.task_id and r.state in ('pending', 'running', 'sleeping') and r.attempt <> t.attempts)`},
	{"a task's state is that of its open run", `
		select t.task_id, t.state, r.state from {t} t join {r} r using (task_id)
		where r.state in ('pending', 'running', 'sleeping') and r.state <> t.state`},
	{"attempt numbers are gapless and unique, and run ids too", `
		select task_id from {r} group by task_id
		having count(*) <> max(attempt) or min(attempt) <> 1 or count(distinct attempt) <> count(*) or count(distinct run_id) <> count(*)`},
	{"a task has at most one completed run", `
		select task_id from {r} where state = 'completed' group by task_id having count(*) > 1`},
	{"a completed task has a completed run", `
		select t.task_id from {t} t where t.state = 'completed'
		and not exists (select from {r} r where r.task_id = t.task_id and r.run_id = t.last_attempt_run and r.state = 'completed' and r.result is not distinct from t.completed_payload)`},
	{"last_attempt_run is the run with the highest attempt", `
		select t.task_id from {t} t where t.last_attempt_run is distinct from
		(select r.run_id from {r} r where r.task_id = t.task_id order by r.attempt desc limit 1)`},
	{"attempts never exceed max_attempts", `
		select task_id from {t} where attempts > max_attempts`},
	{"a run that sleeps without end waits for an event that has not been emitted, or for a child", `
		select r.run_id from {r} r where r.state = 'sleeping' and r.available_at = 'infinity'
		and not exists (select from {w} w join {e} e using (event_name) where w.task_id = r.task_id and w.run_id = r.run_id and e.payload is null)
		and not exists (select from absurd.timers m where m.task_id = r.task_id and m.kind = 'e')
		and not exists (select from {c} c where c.task_id = r.task_id and c.status = 'pending' and c.state ? 'queue')`},
	{"nobody sleeps for a child that has ended, unless the child is looked at again", `
		select p.task_id, k.task_id, k.state from {c} c join {t} p on p.task_id = c.task_id join {t} k on k.task_id = (c.state ->> 'task')::uuid
		where c.status = 'pending' and p.state = 'sleeping' and k.state in ('completed', 'failed', 'cancelled')
		and not exists (select from absurd.timers m where m.task_id = k.task_id and m.kind = 'e')`},
	{"only sleeping runs wait", `
		select w.task_id from {w} w where not exists (select from {r} r where r.task_id = w.task_id and r.run_id = w.run_id and r.state = 'sleeping')`},

	{"a pending task has one ready row with its key, and no other task has one", `
		select t.task_id, t.state, count(y.task_id) from absurd.queues q
		join absurd.tasks t using (queue_no) left join absurd.ready y using (queue_no, task_id) where q.queue_name = {q}
		group by t.queue_no, t.task_id, t.state
		having count(y.task_id) <> (t.state = 'p')::int
		    or bool_or((y.name_no, y.priority, y.available_at) <> (t.name_no, t.priority, t.available_at))`},
	{"every ready row, wait and checkpoint has its task", `
		select x.task_id from absurd.queues q
		join (select queue_no, task_id from absurd.ready union all select queue_no, task_id from absurd.waits
		      union all select queue_no, task_id from absurd.checkpoints union all select queue_no, task_id from absurd.idempotency_keys
		      union all select queue_no, task_id from absurd.runs) x using (queue_no)
		left join absurd.tasks t using (queue_no, task_id) where q.queue_name = {q} and t.task_id is null`},
	{"a sleeping or blocked task has the timer that ends its sleep, if anything but a wait does, and no other task has one", `
		select t.task_id, t.state, count(m.task_id) from absurd.queues q
		join absurd.tasks t using (queue_no) left join absurd.timers m on m.queue_no = t.queue_no and m.task_id = t.task_id and m.kind = 'w'
		where q.queue_name = {q}
		group by t.queue_no, t.task_id, t.state, t.available_at
		having count(m.task_id) not between (t.state in ('s', 'b') and isfinite(t.available_at))::int and (t.state in ('s', 'b'))::int or bool_or(m.due_at <> t.available_at)`},
	{"a running task has a holder, and a leased one a timer that is not late", `
		select t.task_id from absurd.queues q join absurd.tasks t using (queue_no)
		where q.queue_name = {q} and t.state = 'r'
		and ((t.worker_id is null) = (t.claimed_by is null) or t.claim_expires_at is not null and not exists (
			select from absurd.timers m where m.queue_no = t.queue_no and m.task_id = t.task_id and m.kind = 'l' and m.due_at <= t.claim_expires_at))`},
	{"a lease timer is that of a run that runs", `
		select m.task_id, m.due_at from absurd.queues q join absurd.timers m using (queue_no)
		where q.queue_name = {q} and m.kind = 'l' and not exists (select from absurd.tasks t
			where t.queue_no = m.queue_no and t.task_id = m.task_id and t.state = 'r' and t.claimed_by is not null and t.lease_due_at = m.due_at)`},
	{"an open task with a policy deadline has a timer that is not late", `
		select t.task_id from absurd.queues q join absurd.tasks t using (queue_no)
		where q.queue_name = {q} and t.state in ('p', 'r', 's', 'b')
		and not exists (select from absurd.timers m where m.queue_no = t.queue_no and m.task_id = t.task_id and m.kind = 'd'
			and m.due_at <= coalesce(t.revived_at, t.first_started_at, t.enqueue_at) + make_interval(secs =>
				case when t.first_started_at is null then (t.cancellation->>'max_delay')::float8 else (t.cancellation->>'max_duration')::float8 end))
		and case when t.first_started_at is null then (t.cancellation->>'max_delay')::float8 else (t.cancellation->>'max_duration')::float8 end is not null`},
	{"failed and cancelled tasks, and no others, are in ended", `
		select coalesce(t.task_id, e.task_id), t.state, e.state, t.ended_at, e.ended_at from absurd.tasks t full join absurd.ended e using (queue_no, task_id)
		where queue_no = (select q.queue_no from absurd.queues q where q.queue_name = {q})
		and (t.task_id is null or (t.state in ('f', 'x')) <> (e.task_id is not null) or (e.state, e.ended_at) <> (t.state, t.ended_at))`},
	{"has_waits tells of every wait, and has_records or the token of every checkpoint", `
		select t.task_id from absurd.queues q join absurd.tasks t using (queue_no)
		where q.queue_name = {q}
		and (not t.has_waits and exists (select from absurd.waits w where w.queue_no = t.queue_no and w.task_id = t.task_id)
		  or not t.has_records and t.token = 0 and exists (select from absurd.checkpoints c where c.queue_no = t.queue_no and c.task_id = t.task_id))`},
}

// checkInvariants fails the test for every invariant that the queue violates.
func (s *session) checkInvariants() {
	s.t.Helper()
	if s.one("select count(*) from absurd.queues where queue_name = {q}") == "0" {
		return
	}
	for _, invariant := range invariants {
		if rows := s.rows(invariant.violations); len(rows) > 0 {
			s.t.Errorf("violated: %s: %q", invariant.says, rows)
		}
	}
}
