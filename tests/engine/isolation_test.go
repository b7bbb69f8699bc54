package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
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

type attacker struct {
	*heard
	all     bool     // may use all tenants
	workers []string // its own
}

type function struct {
	name             string
	names, types     []string
	defaults         int // how many of the last arguments have one
	tried, succeeded int
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

// newAttacker opens a session with functions, operators and tables of its own that say what they are given, in front of everything else.
func (a *attack) newAttacker(login *pgxpool.Pool) *attacker {
	user := login.Config().ConnConfig.User
	exec(a.t, a.pool, `create schema `+user+` authorization `+user)
	x := &attacker{heard: hear(a.t, login), workers: column[string](a.t, a.pool, `select worker_id::text from absurd.workers where login = $1`, user)}
	exec(a.t, x.conn, `
		create temp table tasks as select 1 as x;
		create function `+user+`.tell(anyelement) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', $1; return true; end $$;
		grant execute on function `+user+`.tell to public; grant usage on schema `+user+` to public;
		create function `+user+`.same(anyelement, anyelement) returns boolean language plpgsql cost 0.0001
		  as $$ begin raise notice '% % as %', $1, $2, current_user; return true; end $$;
		create function `+user+`.same_uuid(uuid, uuid) returns boolean language plpgsql cost 0.0001
		  as $$ begin raise notice '% % as %', $1, $2, current_user; return true; end $$;
		create function `+user+`.same_text(text, text) returns boolean language plpgsql cost 0.0001
		  as $$ begin raise notice '% % as %', $1, $2, current_user; return true; end $$;
		create function `+user+`.same_char("char", "char") returns boolean language plpgsql cost 0.0001
		  as $$ begin raise notice '% % as %', $1, $2, current_user; return true; end $$;
		create operator `+user+`.= (leftarg = uuid, rightarg = uuid, function = `+user+`.same_uuid);
		create operator `+user+`.= (leftarg = text, rightarg = text, function = `+user+`.same_text);
		create operator `+user+`.= (leftarg = "char", rightarg = "char", function = `+user+`.same_char);
		create function `+user+`.coalesce_text(text) returns text language sql as 'select $1';
		create function `+user+`.now() returns timestamptz language sql as 'select timestamptz ''infinity''';
		create function pg_temp.jsonb_typeof(jsonb) returns text language sql as 'select ''object''';
		create function `+user+`.jsonb_typeof(jsonb) returns text language sql as 'select ''object''';
		create function `+user+`.pg_has_role(name, name, text) returns boolean language sql as 'select true'`)
	return x
}

// forgeries are what a session can try to look like another. Each is undone after the call.
func (a *attack) forgery(x *attacker) string {
	user := x.conn.Config().User
	return a.pick(
		`set absurd.tenant = '`+theirs+`'`, `set absurd.tenant = '*'`, `set absurd.tenants = '`+theirs+`'`,
		`set search_path = `+user+`, pg_catalog`, `set search_path = pg_temp, `+user+`, pg_catalog, absurd`,
		`set absurd.housekeeping = 'on'`, `set absurd.fake_now = '2999-01-01T00:00:00Z'`, `set row_security = off`,
		`set role none`, `set role `+user, `set session_replication_role = replica`, `set session authorization victim`, `set role pg_read_all_data`,
		`set role absurd_operator_`+a.pool.Config().ConnConfig.Database)
}

// call calls a random function with random arguments, now and then in a session that pretends to be another one.
func (a *attack) call(x *attacker) {
	if a.called%len(a.functions) == 0 {
		a.rand.Shuffle(len(a.functions), func(i, j int) { a.functions[i], a.functions[j] = a.functions[j], a.functions[i] })
	}
	f := a.functions[a.called%len(a.functions)]
	a.called++
	a.callFunction(x, f, a.rand.IntN(3), a.rand.IntN(2) == 0)
}

// callWithEveryID calls each function that takes an id with each of the victim's, and nothing else but what it must have.
func (a *attack) callWithEveryID(x *attacker) {
	for _, f := range a.functions {
		if slices.Contains(f.types, "uuid") || slices.Contains(f.types, "uuid[]") {
			for _, a.id = range a.foreign {
				a.callFunction(x, f, 1, false)
			}
		}
	}
	a.id = ""
}

// callFunction calls a function with random arguments, and length elements in each array.
func (a *attack) callFunction(x *attacker, f *function, length int, all bool) {
	count := len(f.types)
	if !all {
		count -= f.defaults
	}
	arguments := make([]string, count)
	for i, typ := range f.types[:len(arguments)] {
		name := ""
		if i < len(f.names) {
			name = f.names[i]
		}
		arguments[i] = a.argument(name, typ, length)
		if name == "p_worker" && len(x.workers) > 0 && a.rand.IntN(3) > 0 {
			arguments[i] = a.pick(x.workers...)
		}
	}
	if x.all && (f.name == "drop_queue" || f.name == "spawn_tasks" || f.name == "spawn_task") {
		return
	}
	forged := a.rand.IntN(8) == 0 && !x.all
	text := ""
	if forged {
		text = a.forgery(x)
		_, _ = x.conn.Exec(a.t.Context(), text)
	}
	sql := fmt.Sprintf("select (x)::text from absurd.%s(%s) x", f.name, strings.Join(arguments, ", "))
	f.tried++
	rows, err := x.conn.Query(a.t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	var answers []string
	if err == nil {
		answers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var answer pgtype.Text
			err := row.Scan(&answer)
			return answer.String, err
		})
	}
	if err == nil {
		f.succeeded++
		a.succeeded++
	} else if state := sqlState(err); state == "" || strings.HasPrefix(state, "XX") || state == "42P17" {
		a.t.Fatalf("%s: %v", sql, err)
	}
	if forged {
		exec(a.t, x.conn, `reset role`)
		exec(a.t, x.conn, `reset all`)
	}
	if !x.all {
		a.check(x, text+"; "+sql, sql, answers)
	}
}

// read reads every relation, with a function of the reader's own in the condition.
func (a *attack) read() {
	readable := map[string]bool{}
	for _, view := range column[string](a.t, a.pool, `select oid::regclass::text from pg_class where relnamespace = 'absurd'::regnamespace and relkind = 'v'`) {
		readable[view] = true
	}
	for _, x := range a.attackers {
		for _, relation := range a.relations {
			for _, condition := range []string{"true", x.conn.Config().User + ".tell(x::text)"} {
				sql := fmt.Sprintf("select x::text from %s x where %s", relation, condition)
				rows, err := x.conn.Query(a.t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
				var answers []string
				if err == nil {
					answers, err = pgx.CollectRows(rows, pgx.RowTo[string])
				}
				if state := sqlState(err); err != nil && (state != "42501" || readable[relation]) {
					a.t.Fatalf("%s: %v", sql, err)
				}
				a.check(x, sql, "", answers)
			}
		}
	}
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

func (a *attack) pick(from ...string) string { return from[a.rand.IntN(len(from))] }

// argument is a literal for one argument, mostly something of the victim.
func (a *attack) argument(name, typ string, length int) string {
	if element, ok := strings.CutSuffix(typ, "[]"); ok {
		elements := make([]string, length)
		for i := range elements {
			elements[i] = a.argument(name, element, 0)
			if strings.HasSuffix(name, "_units") {
				elements[i] = fmt.Sprint(1 + a.rand.IntN(max(length, 1)))
			}
		}
		return "array[" + strings.Join(elements, ", ") + "]::" + typ
	}
	if a.rand.IntN(20) == 0 {
		return "null::" + typ
	}
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'::" + typ }
	switch typ {
	case "uuid":
		if a.id != "" {
			return quoted(a.id)
		}
		return quoted(a.pick(a.uuids...))
	case "integer", "bigint", "smallint":
		switch name {
		case "p_ttl_seconds", "p_retention_seconds":
			return "0::" + typ
		case "p_lease_ms", "p_claim_timeout", "p_extend_by", "p_extend_claim_by":
			return "3600000::" + typ
		case "p_limit", "p_qty", "p_examine":
			return quoted(a.pick("1", "10", "1000"))
		case "p_worker":
			return quoted(a.pick(a.workers...))
		case "p_name_nos":
			return quoted(a.pick(a.nameNos...))
		case "p_done_claims", "p_known":
			return quoted(a.pick(a.claims...))
		}
		return quoted(a.pick("0", "1", "1", "1", "2"))
	case "text", `"char"`, "name":
		switch {
		case name == "p_queue" || name == "p_queue_name":
			return quoted(a.pick("q", "q", "q", "q", "q", "q", "p", "p", "p", "nowhere"))
		case name == "p_tenant":
			return quoted(a.pick(theirs, "acme", "*", ""))
		case strings.Contains(name, "action"):
			return quoted(a.pick("record", "complete", "fail", "retry", "suspend", "block", "release", "cancel", "watch"))
		case name == "p_kind" || name == "p_kinds":
			return quoted(a.pick("step", "event", "message"))
		case strings.Contains(name, "kind"):
			return quoted(a.pick("e", "s", "c", "m"))
		case strings.Contains(name, "outcome"):
			return quoted(a.pick("v", "f", "n"))
		case name == "p_after":
			if a.rand.IntN(4) > 0 {
				return "null::text"
			}
			return quoted(`["all", "` + a.pick(a.uuids...) + `"]`)
		case strings.Contains(name, "state"):
			return quoted(a.pick("pending", "running", "sleeping", "failed", "cancelled", "completed"))
		}
		return quoted(a.pick(a.words...))
	case "jsonb":
		return quoted(a.pick(`{}`, `{"tenant": "`+theirs+`"}`, `{"idempotency_key": "`+theirs+`-record"}`, `{"tenant": "`+theirs+`", "idempotency_key": "`+theirs+`-fail"}`,
			`{"spawn_new": true}`, `{"max_attempts": 99}`, `{"cleanup_ttl": "1 second"}`, `"payload"`, `{"tenant": "acme"}`, `{"tenant": ""}`))
	case "boolean":
		return a.pick("true", "false")
	case "interval":
		return "interval '1 hour'"
	case "timestamp with time zone":
		return a.pick("absurd.current_time()", "absurd.current_time() - interval '1 hour'", "absurd.current_time() + interval '1 hour'", "'infinity'::timestamptz")
	case "regclass":
		return "'absurd.tasks'::regclass"
	}
	a.t.Fatalf("no argument of type %s for %s: teach this test one", typ, name)
	return ""
}
