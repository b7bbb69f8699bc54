package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

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
