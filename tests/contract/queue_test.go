package contract

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// null is how a session shows SQL null.
const null = "∅"

// patience is how long a case waits for something that must come. It is no measure of speed.
const patience = 3 * time.Minute

// start is when the frozen clock of a case begins.
var start = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// stamp is how the server shows the moment some seconds after start.
func stamp(seconds int) string {
	return start.Add(time.Duration(seconds)*time.Second).Format("2006-01-02 15:04:05") + "+00"
}

// session is one connection and the queue of a case. Values go to the server and come back as text, so that a case reads like a
// session with psql.
type session struct {
	t       *testing.T
	dsn     string
	queue   string
	storage string // the schema with the queue's own tables, where it is partitioned; else empty
	conn    *pgx.Conn
}

// ownTables are the tables of which a partitioned queue has its own.
var ownTables = regexp.MustCompile(`\babsurd\.(tasks|runs|checkpoints|waits)\b`)

// create makes the session's queue, a partitioned one with weeks as far ahead as lookahead says.
func (s *session) create(mode, lookahead string) {
	s.t.Helper()
	s.exec("begin")
	if mode == "partitioned" {
		s.exec(`insert into absurd.queues (queue_name, queue_no, storage_mode, partition_lookahead) overriding system value
			values ({q}, -nextval(pg_get_serial_sequence('absurd.queues', 'queue_no')), $1, $2::interval)`, mode, lookahead)
	}
	s.exec("select absurd.create_queue({q}, $1)", mode)
	s.exec("commit")
	s.findStorage()
}

// findStorage lets the statements of a session that name the engine's tables mean those of its queue.
func (s *session) findStorage() {
	s.t.Helper()
	if schema := s.rows("select absurd.storage_schema(queue_no) from absurd.queues where queue_name = {q} and queue_no < 0"); len(schema) > 0 {
		s.storage = schema[0]
	}
}

// newSession connects with the clock frozen at start.
func newSession(t *testing.T, dsn, queue string) *session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	s := &session{t: t, dsn: dsn, queue: queue, conn: conn}
	s.exec("set timezone = 'UTC'")
	s.exec("set statement_timeout = '2min'")
	s.at(0)
	return s
}

// another opens a second session on the same queue.
func (s *session) another() *session {
	s.t.Helper()
	other := newSession(s.t, s.dsn, s.queue)
	other.storage = s.storage
	return other
}

// at freezes the clock some seconds after start.
func (s *session) at(seconds int) {
	s.t.Helper()
	s.exec(fmt.Sprintf("set absurd.fake_now = '%s'", stamp(seconds)))
}

// try runs one statement, in which {t} and its like stand for the queue's relations, and {q} for its name as a literal. It returns
// one string a row, the columns joined by "|".
func (s *session) try(sql string, args ...any) ([]string, error) {
	for _, prefix := range []string{"t", "r", "c", "e", "w", "i"} {
		sql = strings.ReplaceAll(sql, "{"+prefix+"}", "absurd."+pgx.Identifier{prefix + "_" + s.queue}.Sanitize())
	}
	sql = strings.ReplaceAll(sql, "{q}", "'"+strings.ReplaceAll(s.queue, "'", "''")+"'")
	if s.storage != "" {
		sql = ownTables.ReplaceAllString(sql, s.storage+".$1")
	}
	values := make([][]byte, len(args))
	for i, arg := range args {
		if arg != nil {
			values[i] = []byte(fmt.Sprint(arg))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result := s.conn.PgConn().ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([]string, 0, len(result.Rows))
	for _, columns := range result.Rows {
		texts := make([]string, len(columns))
		for i, column := range columns {
			texts[i] = null
			if column != nil {
				texts[i] = string(column)
			}
		}
		rows = append(rows, strings.Join(texts, "|"))
	}
	return rows, nil
}

// rows runs a statement that must succeed.
func (s *session) rows(sql string, args ...any) []string {
	s.t.Helper()
	rows, err := s.try(sql, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// exec runs a statement for its effect.
func (s *session) exec(sql string, args ...any) {
	s.t.Helper()
	s.rows(sql, args...)
}

// one is the only row of a statement's result.
func (s *session) one(sql string, args ...any) string {
	s.t.Helper()
	rows := s.rows(sql, args...)
	if len(rows) != 1 {
		s.t.Fatalf("%s: %d rows, want 1: %q", sql, len(rows), rows)
	}
	return rows[0]
}

// want compares the rows of a statement, each "|"-joined, with those wanted.
func (s *session) want(want, sql string, args ...any) {
	s.t.Helper()
	if got := strings.Join(s.rows(sql, args...), "\n"); got != want {
		s.t.Errorf("%s %v:\n got %s\nwant %s", sql, args, got, want)
	}
}

// refused runs a statement that must raise code, with a message that contains fact, in any case of letters.
func (s *session) refused(code, fact, sql string, args ...any) {
	s.t.Helper()
	rows, err := s.try(sql, args...)
	var raised *pgconn.PgError
	switch {
	case err == nil:
		s.t.Errorf("%s %v: no error but rows %q, want SQLSTATE %s", sql, args, rows, code)
	case !errors.As(err, &raised):
		s.t.Fatalf("%s %v: %v", sql, args, err)
	case raised.Code != code:
		s.t.Errorf("%s %v: SQLSTATE %s (%s), want %s", sql, args, raised.Code, raised.Message, code)
	case !strings.Contains(strings.ToLower(raised.Message), strings.ToLower(fact)):
		s.t.Errorf("%s %v: message %q does not say %q", sql, args, raised.Message, fact)
	}
}

// P0001 is the code of an exception without one of its own.
const P0001 = "P0001"

// spawn makes a task and returns its id.
func (s *session) spawn(options string) string {
	s.t.Helper()
	return s.one("select task_id from absurd.spawn_task({q}, 'work', '{}', $1)", options)
}

// claim takes one run for worker w1, for 30 seconds, and returns its id.
func (s *session) claim() string {
	s.t.Helper()
	return s.one("select run_id from absurd.claim_task({q}, 'w1', 30)")
}

// running makes a task and claims its run.
func (s *session) running(options string) (task, run string) {
	s.t.Helper()
	task = s.spawn(options)
	run = s.claim()
	if run != task {
		s.t.Fatalf("claimed run %s, want the first run of task %s", run, task)
	}
	return task, run
}

// states is the states of a task and of its runs, oldest attempt first: "pending: failed pending".
func (s *session) states(task string) string {
	s.t.Helper()
	return s.one("select state || ':' || (select string_agg(' ' || r.state, '' order by r.attempt) from {r} r where r.task_id = t.task_id) from {t} t where task_id = $1", task)
}

// wantStates compares states.
func (s *session) wantStates(want, task string) {
	s.t.Helper()
	if got := s.states(task); got != want {
		s.t.Errorf("task and runs are %q, want %q", got, want)
	}
}

// inTransaction runs fn between begin and rollback, and so undoes what it does.
func (s *session) inTransaction(fn func()) {
	s.t.Helper()
	s.exec("begin")
	defer s.exec("rollback")
	fn()
}

// background runs fn, which is expected to wait for a lock, and returns once its session waits. The function that it returns
// waits for fn's end.
func (s *session) background(fn func() error) (wait func() error) {
	s.t.Helper()
	done := make(chan error, 1)
	watcher := s.another()
	go func() { done <- fn() }()
	deadline := time.Now().Add(patience)
	for {
		select {
		case err := <-done:
			s.t.Errorf("the call ended (%v) and did not wait for a lock", err)
			return func() error { return err }
		default:
		}
		if watcher.one("select count(*) from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'", s.conn.PgConn().PID()) == "1" {
			return func() error { return <-done }
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the call neither ended nor waited for a lock")
		}
	}
}
