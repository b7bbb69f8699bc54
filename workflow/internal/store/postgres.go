package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// postgres is the Engine over the stored procedures.
type postgres struct {
	pool    *pgxpool.Pool
	worker  int64
	queue   string
	names   map[int32]string
	nameNos []int32
}

// Join lets the worker take the named tasks of a queue.
func Join(ctx context.Context, pool *pgxpool.Pool, worker int64, queue string, names []string) (Engine, error) {
	rows, err := db.New().JoinQueue(ctx, pool, db.JoinQueueParams{Worker: worker, Queue: queue, Names: names})
	if err != nil {
		return nil, db.Err(err)
	}
	p := &postgres{pool: pool, worker: worker, queue: queue, names: make(map[int32]string, len(rows))}
	for _, r := range rows {
		p.names[r.NameNo] = r.TaskName
		p.nameNos = append(p.nameNos, r.NameNo)
	}
	return p, nil
}

func (p *postgres) Claim(ctx context.Context, limit int, done []int64) ([]Claimed, error) {
	rows, err := db.New().ClaimTasks(ctx, p.pool, db.ClaimTasksParams{
		Queue: p.queue, Worker: p.worker, MaxTasks: int32(limit), NameNos: p.nameNos, DoneClaims: notNil(done),
	})
	if err != nil {
		return nil, db.Err(err)
	}
	claimed := make([]Claimed, len(rows))
	for i, r := range rows {
		claimed[i] = Claimed{
			ClaimNo:      r.ClaimNo,
			Task:         r.TaskID.Bytes,
			Name:         p.names[r.NameNo],
			Token:        r.Token,
			Attempt:      int(r.Attempt),
			Generation:   int(r.Generation),
			HasRecords:   r.HasRecords,
			FirstStarted: r.FirstStartedAt.UTC(),
			Claimed:      r.ClaimedAt.UTC(),
			Params:       r.Params,
			Headers:      r.Headers,
		}
	}
	return claimed, nil
}

func (p *postgres) ReleaseUnknown(ctx context.Context, known []int64) error {
	_, err := db.New().ReleaseClaims(ctx, p.pool, db.ReleaseClaimsParams{Worker: p.worker, Queue: p.queue, Known: notNil(known)})
	return db.Err(err)
}

func (p *postgres) Load(ctx context.Context, tasks []ID, records map[ID][]replay.Record) error {
	if len(tasks) == 0 {
		return nil
	}
	rows, err := db.New().LoadRecords(ctx, p.pool, db.LoadRecordsParams{Queue: p.queue, Tasks: uuids(tasks)})
	if err != nil {
		return db.Err(err)
	}
	collect(rows, records)
	return nil
}

func (p *postgres) LoadNamed(ctx context.Context, names []Named, records map[ID][]replay.Record) error {
	if len(names) == 0 {
		return nil
	}
	arg := db.LoadNamedRecordsParams{Queue: p.queue, Tasks: make([]pgtype.UUID, len(names)), Names: make([]string, len(names))}
	for i, n := range names {
		arg.Tasks[i], arg.Names[i] = pgtype.UUID{Bytes: n.Task, Valid: true}, n.Name
	}
	rows, err := db.New().LoadNamedRecords(ctx, p.pool, arg)
	if err != nil {
		return db.Err(err)
	}
	collect(rows, records)
	return nil
}

func collect(rows []db.Record, records map[ID][]replay.Record) {
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
func (p *postgres) Commit(ctx context.Context, units []*Unit, resend bool) ([]Answer, error) {
	n := len(units)
	a := db.CommitPassesParams{
		Queue: p.queue, Worker: p.worker, Resend: resend,
		Tasks:    make([]pgtype.UUID, n),
		Tokens:   make([]int32, n),
		Actions:  make([]string, n),
		Payloads: make([]json.RawMessage, n),
		Due:      make([]pgtype.Timestamptz, n),

		RecordUnits: []int32{}, RecordNames: []string{}, RecordKinds: []string{}, RecordOutcomes: []string{},
		RecordFingerprints: []int64{}, RecordTimes: []pgtype.Timestamptz{}, RecordStates: []json.RawMessage{},
		WaitUnits: []int32{}, WaitNames: []string{}, WaitEvents: []string{}, WaitTimeouts: []pgtype.Timestamptz{},
		RemovedUnits: []int32{}, RemovedNames: []string{},
	}
	for i, u := range units {
		unit := int32(i + 1)
		a.Tasks[i] = pgtype.UUID{Bytes: u.Task, Valid: true}
		a.Tokens[i] = u.Token
		a.Actions[i] = string(u.Action)
		a.Payloads[i] = u.Payload
		a.Due[i] = optional(u.Due)
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
			a.WaitEvents = append(a.WaitEvents, w.Event)
			a.WaitTimeouts = append(a.WaitTimeouts, optional(w.Timeout))
		}
		for _, name := range u.Removed {
			a.RemovedUnits = append(a.RemovedUnits, unit)
			a.RemovedNames = append(a.RemovedNames, name)
		}
	}
	rows, err := db.New().CommitPasses(ctx, p.pool, a)
	if err != nil {
		return nil, db.Err(err)
	}
	answers := make([]Answer, n)
	for _, r := range rows {
		answers[r.Unit-1] = Answer(r.Answer)
	}
	return answers, nil
}

func (p *postgres) NextDue(ctx context.Context) (time.Time, error) {
	due, err := db.New().NextDue(ctx, p.pool, p.queue)
	if err != nil || due == nil {
		return time.Time{}, db.Err(err)
	}
	return due.UTC(), nil
}

func (p *postgres) SetIdle(ctx context.Context, idle bool) error {
	return db.Err(db.New().SetIdle(ctx, p.pool, db.SetIdleParams{Worker: p.worker, Queue: p.queue, Idle: idle}))
}

// Register makes a worker with a lease and returns its id.
func Register(ctx context.Context, conn db.DBTX, name string, lease time.Duration) (int64, error) {
	id, err := db.New().RegisterWorker(ctx, conn, db.RegisterWorkerParams{Name: name, LeaseMs: int32(lease.Milliseconds())})
	return id, db.Err(err)
}

// Renew extends the lease. alive is false when the worker has lost it.
func Renew(ctx context.Context, conn db.DBTX, worker int64, lease time.Duration) (alive bool, err error) {
	end, err := db.New().RenewWorker(ctx, conn, db.RenewWorkerParams{Worker: worker, LeaseMs: int32(lease.Milliseconds())})
	return end != nil, db.Err(err)
}

// Retire hands back what the worker still holds and removes it.
func Retire(ctx context.Context, conn db.DBTX, worker int64) error {
	_, err := db.New().RetireWorker(ctx, conn, worker)
	return db.Err(err)
}

// Swept is what a sweep took from a worker whose lease had ended.
type Swept struct {
	Worker             int64
	Requeued, Poisoned int
}

// Sweep takes runs from workers whose lease has ended, at most limit of them.
func Sweep(ctx context.Context, conn db.DBTX, limit int) ([]Swept, error) {
	rows, err := db.New().Sweep(ctx, conn, int32(limit))
	if err != nil {
		return nil, db.Err(err)
	}
	swept := make([]Swept, len(rows))
	for i, r := range rows {
		swept[i] = Swept{Worker: r.WorkerID, Requeued: int(r.Requeued), Poisoned: int(r.Poisoned)}
	}
	return swept, nil
}

func uuids(ids []ID) []pgtype.UUID {
	u := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		u[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return u
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
