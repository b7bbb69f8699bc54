package postgres

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// engine is one queue as a worker that has joined it sees it.
type engine struct {
	pool    *pgxpool.Pool
	client  *pgxpool.Pool
	claims  db.DBTX
	worker  int64
	queue   string
	names   map[int32]string
	nameNos []int32
}

func (e *engine) Claim(ctx context.Context, limit int, done []int64) ([]store.Claimed, error) {
	rows, err := db.New().ClaimTasks(ctx, e.claims, db.ClaimTasksParams{
		Queue: e.queue, Worker: e.worker, MaxTasks: int32(limit), NameNos: e.nameNos, DoneClaims: notNil(done),
	})
	if err != nil {
		return nil, db.Err(err)
	}
	claimed := make([]store.Claimed, len(rows))
	for i, r := range rows {
		claimed[i] = store.Claimed{
			ClaimNo:      r.ClaimNo,
			Task:         r.TaskID.Bytes,
			Name:         e.names[r.NameNo],
			Token:        r.Token,
			Attempt:      int(r.Attempt),
			Generation:   int(r.Generation),
			HasRecords:   r.HasRecords,
			FirstStarted: r.FirstStartedAt.UTC(),
			Claimed:      r.ClaimedAt.UTC(),
			Params:       r.Params,
			Headers:      r.Headers,
			Tenant:       r.Tenant,

			CancelRequested: r.CancelRequested,
		}
	}
	return claimed, nil
}

func (e *engine) ReleaseUnknown(ctx context.Context, known []int64) error {
	_, err := db.New().ReleaseClaims(ctx, e.pool, db.ReleaseClaimsParams{Worker: e.worker, Queue: e.queue, Known: notNil(known)})
	return db.Err(err)
}

func (e *engine) Load(ctx context.Context, tasks []store.ID, records map[store.ID][]replay.Record) error {
	if len(tasks) == 0 {
		return nil
	}
	rows, err := db.New().LoadRecords(ctx, e.pool, db.LoadRecordsParams{Queue: e.queue, Tasks: uuids(tasks)})
	if err != nil {
		return db.Err(err)
	}
	collect(rows, records)
	return nil
}

func (e *engine) LoadNamed(ctx context.Context, names []store.Named, records map[store.ID][]replay.Record) error {
	if len(names) == 0 {
		return nil
	}
	arg := db.LoadNamedRecordsParams{Queue: e.queue, Tasks: make([]pgtype.UUID, len(names)), Names: make([]string, len(names))}
	for i, n := range names {
		arg.Tasks[i], arg.Names[i] = uuid(n.Task), n.Name
	}
	rows, err := db.New().LoadNamedRecords(ctx, e.pool, arg)
	if err != nil {
		return db.Err(err)
	}
	collect(rows, records)
	return nil
}

func collect(rows []db.Record, records map[store.ID][]replay.Record) {
	for _, r := range rows {
		rec := replay.Record{
			Name:        r.CheckpointName,
			Kind:        replay.Kind(r.Kind[0]),
			Outcome:     replay.Outcome(strings.ToLower(r.Outcome)[0]),
			Superseded:  r.Outcome != strings.ToLower(r.Outcome),
			Fingerprint: r.Fingerprint,
			Time:        r.RecordedAt.UTC(),
			State:       r.State,
		}
		if rec.Kind == replay.Sleep && json.Unmarshal(r.State, &rec.Wake) != nil {
			rec.Wake = time.Time{} // the replay refuses it, for this task alone
		}
		records[r.TaskID.Bytes] = append(records[r.TaskID.Bytes], rec)
	}
}

// Commit flattens the units into the parallel arrays of commit_passes.
func (e *engine) Commit(ctx context.Context, units []*store.Unit, resend bool) ([]store.Answer, error) {
	n, records := len(units), 0
	for _, u := range units {
		records += len(u.Records)
	}
	a := db.CommitPassesParams{
		Queue: e.queue, Worker: e.worker, Resend: resend,
		Tasks:    make([]pgtype.UUID, n),
		Tokens:   make([]int32, n),
		Actions:  make([]string, n),
		Payloads: make([]json.RawMessage, n),
		Due:      make([]pgtype.Timestamptz, n),

		RecordUnits:        make([]int32, 0, records),
		RecordNames:        make([]string, 0, records),
		RecordKinds:        make([]string, 0, records),
		RecordOutcomes:     make([]string, 0, records),
		RecordFingerprints: make([]int64, 0, records),
		RecordTimes:        make([]pgtype.Timestamptz, 0, records),
		RecordStates:       make([]json.RawMessage, 0, records),

		WaitUnits: []int32{}, WaitNames: []string{}, WaitKinds: []string{}, WaitEvents: []string{}, WaitTimeouts: []pgtype.Timestamptz{},
		RemovedUnits: []int32{}, RemovedNames: []string{},
	}
	for i, u := range units {
		unit := int32(i + 1)
		a.Tasks[i] = uuid(u.Task)
		a.Tokens[i] = u.Token
		a.Actions[i] = string(u.Action)
		a.Payloads[i] = u.Payload
		a.Due[i] = optional(u.Due)
		a.Renews = a.Renews || u.Renews
		for _, r := range u.Records {
			a.RecordUnits = append(a.RecordUnits, unit)
			a.RecordNames = append(a.RecordNames, r.Name)
			a.RecordKinds = append(a.RecordKinds, string(rune(r.Kind)))
			a.RecordOutcomes = append(a.RecordOutcomes, string(rune(r.Outcome)))
			a.RecordFingerprints = append(a.RecordFingerprints, r.Fingerprint)
			a.RecordTimes = append(a.RecordTimes, optional(r.Time))
			a.RecordStates = append(a.RecordStates, r.State)
		}
		for _, w := range u.Waits {
			a.WaitUnits = append(a.WaitUnits, unit)
			a.WaitNames = append(a.WaitNames, w.Name)
			a.WaitKinds = append(a.WaitKinds, string(rune(w.Kind)))
			a.WaitEvents = append(a.WaitEvents, w.Event)
			a.WaitTimeouts = append(a.WaitTimeouts, optional(w.Timeout))
		}
		if u.Attributes != nil || u.Published != nil {
			if u.Action == store.Record {
				a.Actions[i] = "note"
			}
			a.NoteUnits = append(a.NoteUnits, unit)
			a.Attributes = append(a.Attributes, u.Attributes)
			a.Published = append(a.Published, u.Published)
		}
		for i := range u.Children {
			c := &u.Children[i]
			options, err := childDocument(c)
			if err != nil {
				return nil, err
			}
			a.ChildUnits = append(a.ChildUnits, unit)
			a.ChildNames = append(a.ChildNames, c.Name)
			a.ChildIds = append(a.ChildIds, uuid(c.ID))
			a.ChildQueues = append(a.ChildQueues, c.Queue)
			a.ChildWorkflows = append(a.ChildWorkflows, c.Workflow)
			a.ChildParams = append(a.ChildParams, c.Params)
			a.ChildOptions = append(a.ChildOptions, options)
		}
		for _, name := range u.Unwanted {
			a.UnwantedUnits = append(a.UnwantedUnits, unit)
			a.UnwantedNames = append(a.UnwantedNames, name)
		}
		for _, name := range u.Removed {
			a.RemovedUnits = append(a.RemovedUnits, unit)
			a.RemovedNames = append(a.RemovedNames, name)
		}
	}
	rows, err := db.New().CommitPasses(ctx, e.pool, a)
	if err != nil {
		return nil, db.Err(err)
	}
	answers := make([]store.Answer, n)
	for _, r := range rows {
		answers[r.Unit-1] = store.Answer(r.Answer)
	}
	return answers, nil
}

func (e *engine) NextDue(ctx context.Context) (time.Time, error) {
	due, err := db.New().NextDue(ctx, e.pool, e.queue)
	if err != nil || due == nil {
		return time.Time{}, db.Err(err)
	}
	return due.UTC(), nil
}

func (e *engine) SetIdle(ctx context.Context, idle bool) error {
	return db.Err(db.New().SetIdle(ctx, e.pool, db.SetIdleParams{Worker: e.worker, Queue: e.queue, Idle: idle}))
}

func optional(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

// notNil keeps an empty array from becoming a null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
