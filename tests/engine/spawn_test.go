package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/absurdgen/absurdgen/db"
)

func TestSpawnInATransactionThatRollsBackLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	stop := errors.New("stop")
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := db.New().SpawnTasks(t.Context(), tx, db.SpawnTasksParams{Queue: "q", Names: []string{"t"}, Params: []json.RawMessage{nil},
			Options: []json.RawMessage{raw(`{"idempotency_key": "k", "delay_ms": 5}`)}})
		return errors.Join(err, stop)
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	for _, table := range []string{"tasks", "ready", "timers", "idempotency_keys", "task_names"} {
		if n := one[int](t, pool, `select count(*) from absurd.`+table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	q := db.New()
	call := func(name string, options ...string) ([]db.SpawnedTask, error) {
		arg := db.SpawnTasksParams{Queue: "q"}
		for _, option := range options {
			arg.Names, arg.Params, arg.Options = append(arg.Names, name), append(arg.Params, nil), append(arg.Options, raw(option))
		}
		rows, err := q.SpawnTasks(t.Context(), pool, arg)
		return rows, db.Err(err)
	}
	first, err := call("t", `{"idempotency_key": "k", "fingerprint": 5}`)
	if err != nil || !first[0].Created {
		t.Fatal(first, err)
	}
	w := newWorker(t, pool)
	w.mustCommit(pass{task: w.claimOne(), action: "retry", payload: `1`, due: time.Now()})
	for _, same := range []string{`{"idempotency_key": "k", "fingerprint": 5}`, `{"idempotency_key": "k"}`, `{"idempotency_key": "k", "fingerprint": 0}`} {
		rows, err := call("t", same)
		if want := (db.SpawnedTask{Ord: 1, TaskID: first[0].TaskID, Attempt: 2}); err != nil || rows[0] != want {
			t.Errorf("%s: %+v, %v, want %+v", same, rows, err, want)
		}
	}
	_, err = call("t", "", `{"idempotency_key": "k", "fingerprint": 6}`)
	if !errors.Is(err, db.ErrKeyReused) || !strings.Contains(err.Error(), `task "t" (row 2): idempotency key "k" was used with another input`) {
		t.Errorf("another input: %v", err)
	}
	for _, other := range []struct{ name, options string }{
		{"u", `{"idempotency_key": "k", "fingerprint": 6}`}, // keys belong to a task name
		{"t", `{"idempotency_key": "k", "fingerprint": 6, "tenant": "x"}`},
	} {
		if rows, err := call(other.name, other.options); err != nil || !rows[0].Created {
			t.Errorf("%v: %+v, %v", other, rows, err)
		}
	}
	rows, err := call("t", `{"idempotency_key": "new"}`, "", `{"idempotency_key": "new"}`, `{"idempotency_key": "k"}`)
	if err != nil || !rows[0].Created || !rows[1].Created || rows[2].Created || rows[3].Created || rows[0].TaskID != rows[2].TaskID || rows[3].TaskID != first[0].TaskID {
		t.Errorf("one key twice in a call: %+v, %v", rows, err)
	}
	checkInvariants(t, pool)
}

func TestConcurrentSpawnsWithOneKeyMakeOneTask(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	const n = 16
	spawned := make([][]pgtype.UUID, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			keys := []string{`{"idempotency_key": "a"}`, `{"idempotency_key": "b"}`, `{"idempotency_key": "c"}`}
			if i%2 == 1 {
				slices.Reverse(keys)
			}
			spawned[i] = spawn(t, pool, keys...)
			if i%2 == 1 {
				slices.Reverse(spawned[i])
			}
		})
	}
	group.Wait()
	for i := range n {
		if !slices.Equal(spawned[i], spawned[0]) {
			t.Errorf("caller %d got %v, caller 0 %v", i, spawned[i], spawned[0])
		}
	}
	if tasks := one[int](t, pool, `select count(*) from absurd.tasks`); tasks != 3 {
		t.Errorf("%d tasks of 3 keys", tasks)
	}
}

func TestOptionsAreRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	for _, test := range []struct{ options, text string }{
		{`7`, `options must be a JSON object`},
		{`[]`, `options must be a JSON object`},
		{`{"max_attempt": 1}`, `option max_attempt is unknown`},
		{`{"max_attempts": 0}`, `option max_attempts must be a whole number from 1 to 1000000`},
		{`{"max_attempts": 1.5}`, `option max_attempts must be a whole number`},
		{`{"max_attempts": "5"}`, `option max_attempts must be a whole number`},
		{`{"max_attempts": 1e300}`, `option max_attempts must be`},
		{`{"priority": 101}`, `option priority must be a whole number from -100 to 100`},
		{`{"start_at": "soon"}`, `option start_at must be a finite moment`},
		{`{"start_at": "infinity"}`, `option start_at must be a finite moment`},
		{`{"start_at": 5}`, `option start_at must be a finite moment`},
		{`{"delay_ms": -1}`, `option delay_ms must be a number from 0`},
		{`{"delay_ms": 1, "start_at": "2030-01-01T00:00:00Z"}`, `exclude each other`},
		{`{"idempotency_key": ""}`, `option idempotency_key must be a text of 1 to 1000 bytes`},
		{`{"idempotency_key": 5}`, `option idempotency_key must be a text`},
		{`{"fingerprint": 0.5}`, `option fingerprint must be a whole number`},
		{`{"fingerprint": 9223372036854775808}`, `option fingerprint must be a whole number`},
		{`{"tenant": {}}`, `option tenant must be a text`},
		{`{"retry_strategy": "fixed"}`, `option retry_strategy must be a JSON object`},
		{`{"retry_strategy": {}}`, `option retry_strategy needs a kind`},
		{`{"retry_strategy": {"kind": "fast"}}`, `member kind that must be none, fixed or exponential`},
		{`{"retry_strategy": {"kind": "fixed", "base_seconds": "x"}}`, `member base_seconds that must be a number`},
		{`{"retry_strategy": {"kind": "exponential", "factor": 1e9}}`, `member factor that must be a number from 1 to 1000`},
		{`{"retry_strategy": {"kind": "none", "base": 1}}`, `member base that is unknown`},
		{`{"cancellation": {"max_delay": -5}}`, `member max_delay that must be a number`},
		{`{"cancellation": {"max_wait": 5}}`, `member max_wait that is unknown`},
	} {
		_, err := db.New().SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t", "t"},
			Params: []json.RawMessage{nil, nil}, Options: []json.RawMessage{nil, raw(test.options)}})
		err = db.Err(err)
		if !errors.Is(err, db.ErrInvalidOption) || !strings.Contains(err.Error(), `db: task "t" (row 2): `) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", test.options, err, test.text)
		}
	}
	for _, name := range []string{"", " \t", strings.Repeat("x", 1001)} {
		_, err := db.New().SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{name}, Params: []json.RawMessage{nil}})
		if !errors.Is(db.Err(err), db.ErrInvalidName) {
			t.Errorf("task name %.5q: %v", name, err)
		}
	}
	if _, err := db.New().SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t"}}); !errors.Is(db.Err(err), db.ErrInvalidOption) {
		t.Errorf("a name without params: %v", err)
	}
	if n := one[int](t, pool, `select count(*) from absurd.tasks`); n != 0 {
		t.Errorf("%d tasks were made", n)
	}
}

func TestDelaysAreClamped(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	for options, want := range map[string]string{
		`{"delay_ms": 1e15}`:                `state = 's' and available_at between now() + interval '3652 days' and now() + interval '3653 days'`,
		`{"start_at": "9999-01-01T00:00Z"}`: `state = 's' and available_at between now() + interval '3652 days' and now() + interval '3653 days'`,
		`{"start_at": "1999-01-01T00:00Z"}`: `state = 'p' and available_at > now() - interval '1 minute'`,
		`{"delay_ms": 0}`:                   `state = 'p'`,
		`{"delay_ms": 60000.5}`:             `state = 's' and available_at - enqueue_at = interval '60.0005 seconds'`,
		`{"max_attempts": null, "tenant": null, "idempotency_key": null, "headers": null, "cancellation": null, "retry_strategy": null, "start_at": null}`: `state = 'p' and max_attempts = 5 and tenant = '' and headers is null`,
	} {
		id := spawn(t, pool, options)[0]
		if !one[bool](t, pool, `select `+want+` from absurd.tasks where task_id = $1`, id) {
			t.Errorf("%s: not %s", options, want)
		}
	}
	checkInvariants(t, pool)
}

// Whatever options JSON can say: they are refused when the task is spawned, or they never make a later call raise.
func TestHostileOptionsAreHarmless(t *testing.T) {
	t.Parallel()
	pool := newEngine(t)
	w := newWorker(t, pool)
	random := rand.New(rand.NewPCG(4, 2))
	values := []string{`null`, `0`, `-1`, `0.001`, `1`, `2.5`, `5`, `1e3`, `1e18`, `1e300`, `-1e300`, `""`, `"5"`, `"x"`, `"infinity"`, `"NaN"`,
		`"2030-01-01T00:00:00Z"`, `"294277-01-01"`, `true`, `[]`, `[1]`, `{}`, `"none"`, `"fixed"`, `"exponential"`}
	keys := []string{"headers", "max_attempts", "priority", "delay_ms", "start_at", "fingerprint", "tenant"}
	inner := map[string][]string{
		"retry_strategy": {"base_seconds", "factor", "max_seconds", "kind"},
		"cancellation":   {"max_delay", "max_duration"},
	}
	one := func() string { return values[random.IntN(len(values))] }
	members := func(from []string) string {
		var text []string
		for _, key := range from {
			if random.IntN(3) == 0 {
				text = append(text, fmt.Sprintf("%q: %s", key, one()))
			}
		}
		return strings.Join(text, ", ")
	}
	accepted := 0
	for range 3000 {
		parts := []string{members(keys)}
		for key, from := range inner {
			switch random.IntN(4) {
			case 0:
				parts = append(parts, fmt.Sprintf("%q: %s", key, one()))
			case 1:
				parts = append(parts, fmt.Sprintf(`%q: {"kind": "exponential", %s}`, key, members(from)))
			case 2:
				parts = append(parts, fmt.Sprintf(`%q: {%s}`, key, members(from)))
			}
		}
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		options := strings.ReplaceAll("{"+strings.Join(parts, ", ")+"}", ", }", "}")
		_, err := w.q.SpawnTasks(t.Context(), pool, db.SpawnTasksParams{Queue: "q", Names: []string{"t"}, Params: []json.RawMessage{nil}, Options: []json.RawMessage{raw(options)}})
		if err == nil {
			accepted++
		} else if !errors.Is(db.Err(err), db.ErrInvalidOption) {
			t.Fatalf("%s: %v", options, err)
		}
	}
	if accepted < 50 {
		t.Fatalf("only %d documents were accepted: the test says little", accepted)
	}
	// Both kinds of claims, failures with their retry rules, and every timer there is, at once.
	for range 3 {
		exec(t, pool, `update absurd.timers set due_at = clock_timestamp() where kind <> 'w'`)
		for claimed := w.claim(1000); len(claimed) > 0; claimed = w.claim(1000) {
			var passes []pass
			for _, task := range claimed {
				passes = append(passes, pass{task: task, action: "fail", payload: `{}`})
			}
			w.commit(passes...)
		}
		exec(t, pool, `select absurd.retry_task('q', task_id) from absurd.tasks where state = 'f'`)
		exec(t, pool, `select absurd.fail_run('q', run_id, '{}') from absurd.claim_task('q', 'sdk', 30, 1000)`)
		sweep(t, pool, 10000)
	}
	checkInvariants(t, pool)
}
