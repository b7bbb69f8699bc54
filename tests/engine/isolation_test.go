package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// theirs is the tenant that is attacked, and in all its names, which its attackers know. Its inputs and outcomes hold the secret.
const (
	theirs = "zircon"
	secret = "topaz"
)

// allKinds are all roles but the tester's.
const allKinds = "producer client worker operator viewer"

// Logins of one tenant, with every role there is, call every function and read every relation with what belongs to another: nothing of
// that is read or changed. Functions and relations are found in the catalogue, so what is added later is attacked too.
func TestTenantsAreIsolated(t *testing.T) {
	t.Parallel()
	calls := 1000
	if os.Getenv("ABSURD_SOAK") != "" {
		calls = 10_000
	}
	for name, newEngine := range map[string]func(testing.TB) *pgxpool.Pool{"owned by a superuser": newRoles, "behind row-level security": newOwned} {
		calls := calls
		if name != "owned by a superuser" {
			calls /= 4 // each session plans the conditions of all policies anew
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAttack(t, newEngine(t))
			before := a.victims()
			a.callWithEveryID(a.attackers[0])
			for round := range 10 {
				for range calls / 10 {
					a.call(a.attackers[a.rand.IntN(len(a.attackers))])
				}
				if round%9 == 0 {
					a.read()
				}
				if after := a.victims(); after != before {
					t.Fatalf("round %d changed what belongs to others:\n%s", round, difference(before, after))
				}
			}
			for _, f := range a.functions {
				if f.tried == 0 {
					t.Errorf("%s was never called", f.name)
				}
			}
			if a.succeeded < calls/5 {
				t.Errorf("only %d of %d calls succeeded", a.succeeded, calls)
			}
			// The same calls by one who may do everything change it: so the comparison can fail.
			owner := hear(t, a.pool)
			for a.victims() == before && a.called < 20*calls {
				a.call(&attacker{heard: owner, all: true})
			}
			if a.victims() == before {
				t.Error("who may use all tenants changes nothing either")
			}
		})
	}
}

// attack is a database with two tenants, and what is known of the one that is attacked.
type attack struct {
	t         *testing.T
	pool      *pgxpool.Pool // of a superuser
	rand      *rand.Rand
	attackers []*attacker
	functions []*function
	relations []string
	uuids     []string // ids of tasks and runs, the victim's first
	workers   []string // numbers
	claims    []string // numbers
	nameNos   []string
	words     []string // names in use
	foreign   []string // what nobody but the victim may see
	id        string   // if set, the only id to use
	called    int
	succeeded int
}

func newAttack(t *testing.T, pool *pgxpool.Pool) *attack {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	a := &attack{t: t, pool: pool, rand: rand.New(rand.NewPCG(seed, seed))}
	victim := pgtest.Login(t, pool, "victim", allKinds, theirs)
	attacker := pgtest.Login(t, pool, "attacker", allKinds, "acme")
	second := pgtest.Login(t, pool, "second", allKinds, "acme", "other")
	nameless := pgtest.Login(t, pool, "nameless", allKinds)
	exec(t, pool, `select absurd.create_queue('p', 'partitioned')`)
	a.settle(attacker, "acme")
	a.settle(nameless, "nameless")
	a.settle(victim, theirs)
	// Nothing of theirs becomes due while the test lasts: moving that is housekeeping, which anybody does.
	exec(t, pool, `update absurd.workers set lease_expires_at = lease_expires_at + interval '1 day'`)
	for _, login := range []*pgxpool.Pool{attacker, second, nameless} {
		a.attackers = append(a.attackers, a.newAttacker(login))
	}

	a.foreign = column[string](t, pool, `select distinct x from `+a.tasks()+` t, unnest(array[t.task_id::text, t.run_id::text]) x where t.tenant = $1 and x is not null`, theirs)
	a.uuids = append(slices.Repeat(a.foreign, 3), column[string](t, pool, `select task_id::text from `+a.tasks()+` t order by tenant = $1 desc`, theirs)...)
	a.workers = column[string](t, pool, `select worker_id::text from absurd.workers`)
	a.claims = column[string](t, pool, `select claim_no::text from absurd.claims`)
	a.nameNos = column[string](t, pool, `select name_no::text from absurd.task_names`)
	a.words = column[string](t, pool, `
		select event_name from absurd.waits union select event_name from absurd.events union select checkpoint_name from absurd.checkpoints
		union select task_name from absurd.task_names union select idempotency_key from absurd.idempotency_keys`)
	a.relations = column[string](t, pool, `
		select oid::regclass::text from pg_class where relnamespace::regnamespace::text ~ '^absurd' and relkind in ('r', 'p', 'v') and not relispartition`)
	rows, err := pool.Query(t.Context(), `
		select p.proname, coalesce(p.proargnames[1:p.pronargs], '{}'), array(select format_type(x, null) from unnest(p.proargtypes) with ordinality u(x, o) order by o), p.pronargdefaults
		from pg_proc p where p.pronamespace = 'absurd'::regnamespace and p.prokind = 'f' and has_function_privilege($1, p.oid, 'execute')`,
		attacker.Config().ConnConfig.User)
	if err != nil {
		t.Fatal(err)
	}
	a.functions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*function, error) {
		f := &function{}
		return f, row.Scan(&f.name, &f.names, &f.types, &f.defaults)
	})
	if err != nil || len(a.functions) < 50 {
		t.Fatal(len(a.functions), err)
	}
	return a
}

// tasks is a relation with the tasks of all queues.
func (a *attack) tasks() string {
	copies := column[string](a.t, a.pool, `select format('select queue_no, task_id, run_id, tenant from %s', oid::regclass) from pg_class where relname = 'tasks' and relnamespace::regnamespace::text ~ '^absurd'`)
	return "(" + strings.Join(copies, " union all ") + ")"
}

// settle makes tasks in every state, with records, waits and events, for the tenant of a login. All names begin with word; what it stores holds the secret,
// if it is the victim's.
func (a *attack) settle(login *pgxpool.Pool, word string) {
	t := a.t
	content := word + " plain"
	if word == theirs {
		content = secret
	}
	w := newWorker(t, login, word)
	option := func(format string, args ...any) *string { text := fmt.Sprintf(format, args...); return &text }
	spawn := func(options *string) {
		exec(t, login, `select absurd.spawn_tasks('q', array[$1], array[to_jsonb($3::text)], array[$2::jsonb])`, word, options, content)
	}
	claim := func() pass {
		claimed := w.claim(1)
		if len(claimed) != 1 {
			t.Fatalf("%s claimed %d tasks", word, len(claimed))
		}
		return pass{task: claimed[0]}
	}
	payload := `{"content": "` + content + `"}`
	commit := func(p pass, action string) {
		p.action, p.payload = action, payload
		w.mustCommit(p)
	}
	exec(t, login, `select absurd.emit_events('q', array[$1 || '-emitted'], array[to_jsonb($2::text)])`, word, content)
	for _, action := range []string{"complete", "fail", "record"} {
		spawn(option(`{"idempotency_key": "%s-%s"}`, word, action))
		p := claim()
		p.records = []record{value(word+"-step", payload)}
		commit(p, action)
	}
	spawn(nil)
	p := claim()
	p.waits = []wait{{name: word + "-wait", event: word + "-awaited"}, {name: word + "-late", event: word + "-never", timeout: hour()}}
	commit(p, "suspend")
	spawn(nil)
	p = claim()
	p.due = hour()
	commit(p, "block")
	spawn(nil)
	p = claim()
	p.due = hour()
	commit(p, "retry")
	for range 2 {
		spawn(nil)
		exec(t, login, `
			select absurd.set_task_checkpoint_state('q', c.task_id, $1 || '-checkpoint', to_jsonb($2::text), c.run_id)
			from absurd.claim_task('q', $1, 36000, 1) c`, word, content)
	}
	exec(t, login, `
		select absurd.await_event('q', r.task_id, r.run_id, $1 || '-await', $1 || '-called', 36000) from absurd.r_q r where r.claimed_by = $1 limit 1`, word)
	spawn(nil)
	exec(t, login, `select absurd.cancel_task('q', t.task_id) from absurd.t_q t where t.state = 'pending'`)
	spawn(option(`{"delay_ms": 36000000}`))
	exec(t, login, `select absurd.create_workflow_run('q', $1, to_jsonb($2::text))`, word, content)
	exec(t, login, `select absurd.spawn_tasks('p', array_fill($1::text, array[7]), array_fill(to_jsonb($2::text), array[7]), null)`, word, content)
	exec(t, login, `
		select absurd.set_task_checkpoint_state('p', c.task_id, $1 || '-checkpoint', to_jsonb($2::text), c.run_id) from absurd.claim_task('p', $1, 36000, 5) c`, word, content)
	for i, call := range []string{"complete_run('p', r.run_id, to_jsonb($2::text))", "fail_run('p', r.run_id, to_jsonb($2::text), 'infinity')",
		"await_event('p', r.task_id, r.run_id, $1 || '-await', $1 || '-called', 36000)", "cancel_task('p', r.task_id)"} {
		exec(t, login, fmt.Sprintf(`select absurd.%s from (select * from absurd.r_p where claimed_by = $1 and $2 <> '' and state = 'running' order by run_id limit 1 offset %d) r`, call, i%2), word, content)
	}
	for range 3 {
		spawn(option(`{"cancellation": {"max_delay": 36000, "max_duration": 36000}, "headers": {"content": %q}}`, content))
	}
}

// victims is a text that differs when anything of the victim differs: a line for each row.
func (a *attack) victims() string {
	tables := column[string](a.t, a.pool, `
		select format('select %L || '' '' || x::text from %s x where %s', c.oid::regclass, c.oid::regclass, case
		         when 'tenant' = any (k.names) then 'x.tenant = $1'
		         else format('(x.queue_no, x.task_id) in (select t.queue_no, t.task_id from %I.tasks t where t.tenant = $1)', c.relnamespace::regnamespace)
		       end)
		from pg_class c
		cross join lateral (select array_agg(a.attname::text) as names from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) k
		where c.relnamespace::regnamespace::text ~ '^absurd' and c.relkind in ('r', 'p') and not c.relispartition and ('tenant' = any (k.names) or '{queue_no,task_id}' <@ k.names)
		order by 1`)
	if len(tables) < 8 {
		a.t.Fatalf("only %d tables have rows of tenants", len(tables))
	}
	lines := column[string](a.t, a.pool, strings.Join(tables, " union all ")+`
		union all select 'worker ' || x::text from absurd.workers x where x.login like 'victim%'
		union all select 'claim ' || x::text from absurd.claims x join absurd.workers w using (worker_id) where w.login like 'victim%'
		union all select 'queue ' || (q.*)::text from (select queue_name, cleanup_ttl, detach_mode from absurd.queues) q`, theirs)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// difference is what one of two sorted texts of lines has and the other has not.
func difference(before, after string) string {
	var b strings.Builder
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range old {
		if !slices.Contains(now, line) {
			fmt.Fprintf(&b, "-%s\n", line)
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			fmt.Fprintf(&b, "+%s\n", line)
		}
	}
	return b.String()
}

// check looks for what is the victim's in answers, except what the call itself has given, and in what the attacker's own functions were
// given, or whether they ran with the rights of another.
func (a *attack) check(x *attacker, did, given string, answers []string) {
	a.t.Helper()
	for _, answer := range answers {
		if strings.Contains(strings.ReplaceAll(answer, given, ""), secret) && !strings.Contains(given, secret) {
			a.t.Fatalf("%s\nanswered %s", did, answer)
		}
		for _, id := range a.foreign {
			if strings.Contains(answer, id) && !strings.Contains(given, id) {
				a.t.Fatalf("%s\nanswered %s", did, answer)
			}
		}
	}
	for _, notice := range x.notices {
		_, as, _ := strings.Cut(notice, " as ")
		if strings.Contains(notice, secret) && !strings.Contains(given, secret) || as != "" && as != x.conn.Config().User && !strings.HasPrefix(as, "absurd_") {
			a.t.Fatalf("%s\ntold %s", did, notice)
		}
	}
	x.notices = x.notices[:0]
}
