package engine

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// asks are the functions with which a public function finds out what its session may use; see db/migrations/0002_session.sql.
var asks = regexp.MustCompile(`absurd\.(session_tenants?|shown_tasks?|require_all_tenants|own_worker|check_worker|find_run|lock_run|lock_own_run|lock_held_run)\(`)

// tenantless are the public functions that need not ask, and why.
var tenantless = map[string]string{
	"list_queues":        "queues belong to no tenant",
	"get_queue_policy":   "queues belong to no tenant",
	"is_housekeeping":    "no task has a part in it",
	"register_worker":    "the worker is its login's",
	"next_due":           "tells a time, of timers that every claim of the queue moves",
	"create_queue":       "with a name alone calls the one with a storage mode, which asks",
	"cleanup_all_queues": "calls cleanup_tasks and cleanup_events, which ask",
	"cleanup_queues":     "calls cleanup_tasks and cleanup_old_events, which ask",
}

// door is a function as its users meet it.
type door struct {
	Name, Kinds, Language, Source string
	Definer, Pure                 bool
	Settings, Executors           []string
}

func readDoors(t *testing.T, on querier) []door {
	t.Helper()
	rows, err := on.Query(t.Context(), `
		select p.proname, coalesce(r.kinds, ''), l.lanname, p.prosrc, p.prosecdef, absurd.is_pure(p.proname), coalesce(p.proconfig, '{}'),
		       array(select case a.grantee when 0 then 'public' else coalesce(k.letter, a.grantee::regrole::text) end
		             from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
		             left join absurd.roles() k on to_regrole(quote_ident(k.role_name)) = a.grantee
		             where a.grantee <> p.proowner order by 1)
		from pg_proc p
		join pg_language l on l.oid = p.prolang
		left join absurd.rights() r on r.function_name = p.proname
		where p.pronamespace = 'absurd'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	doors, err := pgx.CollectRows(rows, pgx.RowToStructByPos[door])
	if err != nil {
		t.Fatal(err)
	}
	return doors
}

// A function is executable by exactly those for whom rights lists it, whoever made it; what users may execute has the owner's rights, a
// search_path that nobody else can put anything into, and asks for its session's tenants.
func TestEveryDoorIsGuarded(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	exec(t, pool, `create function absurd.added_later() returns integer language sql as 'select 1'; select absurd.apply_rights()`)
	listed := map[string]bool{}
	for _, name := range column[string](t, pool, `select function_name from absurd.rights()`) {
		if listed[name] {
			t.Errorf("rights lists %s twice", name)
		}
		listed[name] = true
	}
	for _, d := range readDoors(t, pool) {
		delete(listed, d.Name)
		var want []string
		for _, kind := range d.Kinds {
			want = append(want, string(kind))
		}
		if d.Pure {
			want = []string{"c", "o", "p", "v", "w"}
		}
		slices.Sort(want)
		if diff := cmp.Diff(append([]string{}, want...), d.Executors); diff != "" {
			t.Errorf("%s may be executed by others than rights says (-want +got):\n%s", d.Name, diff)
		}
		if d.Kinds == "" || d.Pure {
			if d.Definer {
				t.Errorf("%s runs with the owner's rights, but is for nobody", d.Name)
			}
			continue
		}
		if !d.Definer || d.Language != "plpgsql" || !slices.Contains(d.Settings, "search_path=pg_catalog, pg_temp") {
			t.Errorf("%s is public, and language %s, definer %v, settings %q", d.Name, d.Language, d.Definer, d.Settings)
		}
		if !asks.MatchString(d.Source) && tenantless[d.Name] == "" {
			t.Errorf("%s is public and does not ask for the session's tenants at its door: see db/migrations/0002_session.sql", d.Name)
		}
	}
	for name := range listed {
		t.Errorf("rights lists %s, which does not exist", name)
	}
	if got := column[string](t, pool, `select function_name from absurd.rights() where kinds ~ '[^pcwov]'`); len(got) > 0 {
		t.Errorf("rights has unknown letters for %v", got)
	}
}

// Of the relations, users may read the views, the queues and the migrations. Each view looks at the tenant behind a barrier, or is a part
// of one that does; each table with rows of tenants has forced row-level security.
func TestEveryRelationIsGuarded(t *testing.T) {
	t.Parallel()
	pool := newRoles(t)
	rows, err := pool.Query(t.Context(), `
		select c.relname, c.relkind::text,
		       array(select distinct a.privilege_type from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a where a.grantee <> c.relowner),
		       c.relrowsecurity and c.relforcerowsecurity and exists (select from pg_policy y where y.polrelid = c.oid),
		       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname in ('tenant', 'task_id'))
		         and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'queue_no'),
		       coalesce(c.reloptions, '{}') @> '{security_barrier=true}' and pg_get_viewdef(c.oid) ~ 'my_tenants\(\)|my_task\(' ,
		       c.relkind = 'v' and pg_get_viewdef(c.oid) ~ 'FROM absurd\.(reader|stored)_\w+\s+WHERE'
		from pg_class c
		where c.relnamespace = 'absurd'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition`)
	if err != nil {
		t.Fatal(err)
	}
	type relation struct {
		Name, Kind               string
		Rights                   []string
		Wall, Rows, Asks, Queues bool
	}
	relations, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil || len(relations) < 20 {
		t.Fatal(len(relations), err)
	}
	for _, r := range relations {
		readable := r.Kind == "v" || r.Name == "queues" || r.Name == "migrations"
		if want := []string{"SELECT"}; readable && !slices.Equal(r.Rights, want) || !readable && len(r.Rights) > 0 {
			t.Errorf("users have the rights %v on %s", r.Rights, r.Name)
		}
		if r.Kind == "v" && !r.Asks && !r.Queues {
			t.Errorf("view %s does not look at the tenant behind a barrier", r.Name)
		}
		if r.Kind != "v" && r.Rows && !r.Wall {
			t.Errorf("table %s has no forced row-level security", r.Name)
		}
	}
}
