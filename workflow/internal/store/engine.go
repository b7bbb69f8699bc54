package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// ID is a task's id.
type ID = [16]byte

// Claimed is a run that this worker has just got.
type Claimed struct {
	ClaimNo      int64 // the claim call it came with; see Engine.Claim
	Task         ID
	Name         string
	Token        int32
	Attempt      int
	MaxAttempts  int // 0: no limit
	Generation   int
	HasRecords   bool
	FirstStarted time.Time
	Claimed      time.Time // the engine's time of the claim
	Params       []byte
	Headers      []byte
	Tenant       string

	CancelRequested bool // the task was asked to end
}

// Action says what becomes of a run when a unit is committed.
type Action string

// The actions.
const (
	Record   Action = "record"   // nothing: the pass goes on
	Watch    Action = "watch"    // nothing, and Waits are stored: the answer is News when one of them has an outcome
	Complete Action = "complete" // the task has its result
	Fail     Action = "fail"     // the task has failed for good
	Retry    Action = "retry"    // the attempt has failed, another follows at Due
	Suspend  Action = "suspend"  // the run sleeps until Due or until one of Waits ends
	Block    Action = "block"    // the code and the records disagree; looked at again at Due
	Release  Action = "release"  // the run is handed back as it is
	Cancel   Action = "cancel"   // the task was asked to end, and has; the payload says why, if there is more to say
	Continue Action = "continue" // the task begins anew, with the payload as its input
)

// Wait is an open wait.
type Wait struct {
	Name    string // the checkpoint that will hold the outcome
	Kind    replay.Kind
	Event   string    // the event's stored name, or the inbox's
	Timeout time.Time // zero: none
}

// Unit is one pass's share of a commit.
type Unit struct {
	Task    ID
	Token   int32
	Action  Action
	Payload []byte    // complete: the result; fail, retry, block: the reason
	Due     time.Time // zero: none
	Records []replay.Record
	Renews  bool     // its Records may have names that are recorded; else that is an error (23505) of the whole commit
	Waits   []Wait   // in the order of asking
	Removed []string // records that a retry removes

	// Notes, as JSON objects whose members replace those of the same name; nil: none. An attribute that is null goes.
	Attributes, Published []byte

	Children []Child  // to be made; their pending records are among Records
	Unwanted []string // records of children that are to end, because nobody waits for them any more
}

// Child is a task that a pass makes. Its id is fixed by the record that goes with it: a commit that is sent again makes no second
// one.
type Child struct {
	Name     string // of its record
	ID       ID
	Queue    string
	Workflow string
	Params   []byte
	Options  SpawnOptions
	Abandon  bool // it outlives its parent
}

// Size returns about how many bytes of payload the unit holds.
func (u *Unit) Size() int {
	size := len(u.Payload) + len(u.Attributes) + len(u.Published)
	for _, r := range u.Records {
		size += len(r.State)
	}
	for i := range u.Children {
		size += len(u.Children[i].Params)
	}
	return size
}

// Answer is what became of a unit.
type Answer string

// The answers.
const (
	OK        Answer = "ok"
	Requested Answer = "requested" // ok, and the task was asked to end
	News      Answer = "news"      // ok, and a wait has an outcome
	Busy      Answer = "busy"      // a row was locked by somebody else; send the unit again
	Lost      Answer = "lost"      // the run is no longer ours; nothing was written
	Gone      Answer = "cancelled" // the task was cancelled; nothing was written
)

// Named is a record of a task by its name.
type Named struct {
	Task ID
	Name string
}

// Held names a run by the claim that its worker holds it under.
type Held struct {
	Task  ID
	Token int32
}

// Recorded is what became of a step's record: the answer as to a unit, and the outcome that is recorded, if one is.
type Recorded struct {
	Answer  Answer
	Outcome *replay.Record
}

// ErrUnknownCommit is what Transact returns when the connection was lost while the transaction committed.
var ErrUnknownCommit = errors.New("the connection was lost while the transaction was committed")

// Engine is the store of one queue as a worker sees it.
type Engine interface {
	// Claim takes up to limit runs. done are claim numbers whose runs have all ended.
	Claim(ctx context.Context, limit int, done []int64) ([]Claimed, error)

	// ReleaseUnknown hands back the runs that the database believes to be ours and that came with none of the known claims:
	// those of a claim whose answer was lost with its connection.
	ReleaseUnknown(ctx context.Context, known []int64) error

	// Load adds the records of the tasks to records, each task's in the order of recording.
	Load(ctx context.Context, tasks []ID, records map[ID][]replay.Record) error

	// LoadNamed adds those of the named records that exist.
	LoadNamed(ctx context.Context, names []Named, records map[ID][]replay.Record) error

	// Commit writes the units in one transaction and answers for each. After an error it is not known whether it took
	// effect: send the same units again with resend set.
	Commit(ctx context.Context, units []*Unit, resend bool) ([]Answer, error)

	// Transact runs work in a transaction of its own and records the value it returns as the transaction's last statement: both are
	// there, or neither. The outcome of the answer is what is recorded: another one where somebody came first, and then the
	// transaction was rolled back. A failure of work is returned as it is. After ErrUnknownCommit ask FindStep.
	Transact(ctx context.Context, run Held, work func(pgx.Tx) (replay.Record, error)) (Recorded, error)

	// FindStep returns what is recorded for the step of rec, when no transaction that records it is on its way any more. OK without
	// an outcome: nothing.
	FindStep(ctx context.Context, run Held, rec replay.Record) (Recorded, error)

	// NextDue returns when the queue's earliest timer is due; the zero time when there is none.
	NextDue(ctx context.Context) (time.Time, error)

	// SetIdle raises or lowers the flag that asks producers to notify.
	SetIdle(ctx context.Context, idle bool) error
}
