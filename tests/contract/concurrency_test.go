package contract

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// crowd is what the sessions of TestEverythingAtOnce share: ids that they have seen.
type crowd struct {
	mu    sync.Mutex
	tasks []string
}

// saw remembers a task.
func (c *crowd) saw(task string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks = append(c.tasks, task)
}

// any is some task that was seen, or an unknown one.
func (c *crowd) any(random *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tasks) == 0 {
		return "018f3406-9e7b-7000-8000-000000000000"
	}
	return c.tasks[random.IntN(len(c.tasks))]
}

// crowdEvents is the number of event names that the sessions use.
const crowdEvents = 20

// act does one random thing. It returns errors that no caller should see.
func (c *crowd) act(s *session, random *rand.Rand) error {
	one := func(sql string, args ...any) ([]string, error) {
		rows, err := s.try(sql, args...)
		var raised *pgconn.PgError
		if errors.As(err, &raised) && slices.Contains([]string{P0001, "AB001", "AB002", "AB008"}, raised.Code) {
			return nil, nil // what came too late, or names a task that has gone
		}
		if raised != nil {
			return nil, fmt.Errorf("%s %v: %w\n%s\n%s", sql, args, err, raised.Detail, raised.Where)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %v: %w", sql, args, err)
		}
		return rows, nil
	}
	event := func() string { return fmt.Sprint("event ", random.IntN(crowdEvents)) }
	pick := func(values ...any) any { return values[random.IntN(len(values))] }

	switch action := random.IntN(100); {
	case action < 30:
		options := pick("{}", `{"max_attempts": 1}`, `{"max_attempts": 3, "retry_strategy": {"kind": "fixed", "base_seconds": 0.02}}`,
			`{"max_attempts": 2, "cancellation": {"max_duration": 1}}`, `{"cancellation": {"max_delay": 1, "max_duration": 2}}`,
			fmt.Sprintf(`{"max_attempts": 2, "idempotency_key": "%d"}`, random.IntN(50)))
		rows, err := one("select task_id from absurd.spawn_task({q}, $1, '{}', $2)", fmt.Sprint("work ", random.IntN(3)), options)
		for _, task := range rows {
			c.saw(task)
		}
		return err
	case action < 45:
		return c.batch(one, random, event())
	case action < 70:
		rows, err := one("select task_id || ' ' || run_id from absurd.claim_task({q}, 'w', 1, $1)", 1+random.IntN(5))
		for _, row := range rows {
			task, run, _ := strings.Cut(row, " ")
			if err := c.run(one, random, task, run, event(), pick(nil, 0, 1)); err != nil {
				return err
			}
		}
		return err
	case action < 80:
		_, err := one("select absurd.emit_event({q}, $1, '1')", event())
		return err
	case action < 82:
		_, err := one("select absurd.send_messages({q}, array[$1, $2]::uuid[], '{inbox,inbox}', array['', $3], '{1,2}')",
			c.any(random), c.any(random), fmt.Sprint("key ", random.IntN(3)))
		return err
	case action < 86:
		end := pick("select absurd.cancel_task({q}, $1)", "select absurd.terminate_task({q}, $1)", "select absurd.request_cancel({q}, $1, 300)")
		_, err := one(end.(string), c.any(random))
		return err
	case action < 88:
		_, err := one("select absurd.retry_task_now({q}, $1)", c.any(random))
		return err
	case action < 92:
		_, err := one("select absurd.retry_task({q}, $1, $2)", c.any(random), pick("{}", `{"spawn_new": true}`))
		return err
	case action < 95:
		_, err := one("select absurd.cleanup_tasks({q}, 0, 5)")
		return err
	case action < 98:
		_, err := one("select absurd.cleanup_events({q}, 0, 5)")
		return err
	default:
		_, err := one("select absurd.sweep(20)")
		return err
	}
}

// batch does what a worker with a lease of its own might do: it claims some runs, and writes or leaves them. Its lease is short,
// so it loses some.
func (c *crowd) batch(one func(string, ...any) ([]string, error), random *rand.Rand, event string) error {
	const claim = `with worker as materialized (select absurd.register_worker('go', $1::int) as id),
		names as materialized (select worker.id, array(select name_no from absurd.join_queue(worker.id, {q}, '{work 0,work 1,work 2}')) as nos from worker)
		select names.id || ' ' || t.task_id || ' ' || t.token || ' ' || (t.attempt >= t.max_attempts is true) from names, absurd.claim_tasks({q}, names.id, 3, names.nos, '{}') t`
	const commit = `select * from absurd.commit_passes({q}, $1, array[$2::uuid], array[$3::int], array[$4], array['{"name": "E"}'::jsonb], array[$5::timestamptz],
		'{1}', array[$6], '{s}', '{v}', '{0}', array[clock_timestamp()], '{1}', $7, $8, $9, $10, $11, '{}', '{}', true)`
	const parent = `with child as materialized (select absurd.portable_uuidv7() as id)
		select p.answer from child, absurd.commit_passes({q}, $1, array[$2::uuid], array[$3::int], '{suspend}', '{null}', array[null::timestamptz],
		'{1}', array[$4], array['c'], '{n}', '{0}', array[clock_timestamp()], array[jsonb_build_object('task', child.id, 'queue', {q})], null, null, null, null, null, null, null, true,
		p_child_units => '{1}', p_child_names => array[$4], p_child_ids => array[child.id], p_child_queues => array[{q}], p_child_workflows => '{work 0}',
		p_child_params => '{1}', p_child_options => '{null}') p`
	rows, err := one(claim, []int{1, 50, 2000}[random.IntN(3)])
	for _, row := range rows {
		ids := strings.Fields(row)
		action := []string{"record", "complete", "fail", "retry", "suspend", "suspend", "block", "release", "parent"}[random.IntN(9)]
		if action == "parent" {
			if _, err := one(parent, ids[0], ids[1], ids[2], fmt.Sprint("child ", random.Int64())); err != nil {
				return err
			}
			continue
		}
		if action == "retry" && ids[3] == "true" {
			action = "fail" // that was the last attempt
		}
		due := any(nil)
		if action == "retry" || action == "block" || random.IntN(2) == 0 {
			due = time.Now().Add(30 * time.Millisecond).Format(time.RFC3339Nano)
		}
		waits := []any{"{}", "{}", "{}", "{}", "{}"}
		if action == "suspend" {
			soon := time.Now().Add(200 * time.Millisecond).Format(time.RFC3339Nano)
			waits = []any{"{1,1,1}", "{first,second,received}", "{e,e,m}", fmt.Sprintf("{%s,event 0,inbox}", event), fmt.Sprintf("{null,null,%q}", soon)}
		}
		args := append([]any{ids[0], ids[1], ids[2], action, due, fmt.Sprint("step ", random.IntN(3))}, waits...)
		if _, err := one(commit, args...); err != nil {
			return err
		}
	}
	return err
}

// run does what a worker might do with a run that it has claimed.
func (c *crowd) run(one func(string, ...any) ([]string, error), random *rand.Rand, task, run, event string, timeout any) error {
	if _, err := one("select absurd.set_task_checkpoint_state({q}, $1, $2, '1', $3, 1)", task, fmt.Sprint("step ", random.IntN(3)), run); err != nil {
		return err
	}
	var err error
	switch random.IntN(8) {
	case 0, 1, 2:
		_, err = one("select absurd.complete_run({q}, $1, '1')", run)
	case 3:
		_, err = one("select absurd.fail_run({q}, $1, '{}')", run)
	case 4:
		_, err = one("select absurd.schedule_run({q}, $1, absurd.current_time() + interval '20 ms')", run)
	case 5, 6:
		_, err = one("select absurd.await_event({q}, $1, $2, $3, $4, $5)", task, run, "await "+event, event, timeout)
	case 7:
		_, err = one("select absurd.extend_claim({q}, $1, 1)", run) // and leaves it
	}
	return err
}

// Sixteen sessions do everything at once, for five seconds or as long as CONTRACT_SOAK says. The invariants hold all the time, nobody sees a deadlock, and in the end nothing is left
// that will never move.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			everythingAtOnce(t, mode)
		})
	}
}

func everythingAtOnce(t *testing.T, mode string) {
	length := 5 * time.Second
	if soak, err := time.ParseDuration(os.Getenv("CONTRACT_SOAK")); err == nil {
		length = soak
	}
	_, dsn := pgtest.Database(t)
	watcher := newSession(t, dsn, "crowd")
	watcher.exec("set absurd.fake_now = default")
	watcher.create(mode, "0")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	var acts atomic.Int64
	c := &crowd{}
	lookahead := 0
	for i := range 16 {
		s := watcher.another()
		s.exec("set absurd.fake_now = default")
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for ctx.Err() == nil {
				if err := c.act(s, random); err != nil {
					t.Error(err)
					return
				}
				acts.Add(1)
			}
		})
	}
	// For so long, and until a partition was made, which each try at may find the table too busy for.
	began, often := time.Now(), time.Tick(500*time.Millisecond)
	for ; time.Since(began) < length || mode == "partitioned" && lookahead == 0 && time.Since(began) < length+patience; <-often {
		watcher.exec("analyze") // or the checks get plans for empty tables
		watcher.checkInvariants()
		if mode == "partitioned" && lookahead < 150 {
			var raised *pgconn.PgError
			watcher.exec("select absurd.set_queue_policy({q}, jsonb_build_object('partition_lookahead', $1::int * interval '1 day'))", lookahead+7)
			_, err := watcher.try("select absurd.ensure_partitions({q})")
			switch {
			case err == nil:
				lookahead += 7
			case !errors.As(err, &raised) || raised.Code != "55P03": // that one says that the table was busy, and to try again
				t.Error(err)
			}
		}
	}
	cancel()
	all.Wait()
	if mode == "partitioned" && lookahead == 0 {
		t.Error("no partition was made beside the crowd")
	}
	t.Logf("%d acts, %d days of partitions; tasks: %s", acts.Load(), lookahead, watcher.one("select string_agg(state || ' ' || n, ', ') from (select state, count(*) n from {t} group by 1 order by 1) x"))

	const unfinished = "select count(*) from {t} where state in ('pending', 'running', 'sleeping')"
	deadline := time.Now().Add(patience)
	for watcher.one(unfinished) != "0" {
		if time.Now().After(deadline) {
			t.Fatalf("nothing moves these: %q", watcher.rows("select t, r from {t} t join {r} r on r.run_id = t.last_attempt_run where t.state in ('pending', 'running', 'sleeping') limit 5"))
		}
		for i := range crowdEvents {
			watcher.exec("select absurd.emit_event({q}, $1)", fmt.Sprint("event ", i))
		}
		watcher.exec("select absurd.sweep(500)")
		watcher.exec("select absurd.complete_run({q}, run_id) from absurd.claim_task({q}, 'last', 30, 500)")
	}
	watcher.checkInvariants()
}
