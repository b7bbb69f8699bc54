// Package store is what the runtime asks of the engine, in Go types. A client spawns tasks and waits for their ends through a
// [Store]; a worker registers with its [Workers] and joins queues; and for each of these an [Engine] claims runs, loads their
// records, and commits what passes did. Package postgres has the one that matters, package memory one for tests.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/absurdgen/absurdgen/db"
)

// Producer makes things known to the engine. In PostgreSQL that can also happen within a transaction of the caller's.
type Producer interface {
	// Spawn makes tasks, all of them or none, and answers in their order.
	Spawn(ctx context.Context, queue string, tasks []Spawn) ([]Spawned, error)

	// Emit makes events known, all of them or none. The first emit of a name stays. Where it would wait longer than patience for
	// another transaction it is refused with 55P03; 0: it waits.
	Emit(ctx context.Context, queue string, events []Event, patience time.Duration) error

	// Send sends messages, all in one transaction, and answers in their order.
	Send(ctx context.Context, queue string, messages []Message) ([]Sent, error)
}

// Event is one emit of an event.
type Event struct {
	Name    string
	Payload []byte // nil: null
}

// Store is what the runtime asks of the engine. It is safe for concurrent use.
//
// What the engine refuses comes as an error that wraps a *pgconn.PgError with its SQLSTATE, whichever store it is (see
// db.Err); any other error means that there was no answer.
type Store interface {
	Producer

	// For returns the store as one tenant may use it: what it makes is that tenant's, tasks of others are unknown to it, and workers
	// that join through it claim no others. Queues and workers belong to no tenant. Nobody calls For on what it returned.
	For(tenant string) Store

	// CreateQueue creates a queue, unless it is there.
	CreateQueue(ctx context.Context, name string) error

	// Watch returns where a task stands, and has its end notified if it has not ended. It returns nil for an unknown task.
	Watch(ctx context.Context, queue string, task ID) (*Outcome, error)

	// Look returns where a task stands. It returns nil for an unknown task.
	Look(ctx context.Context, queue string, task ID) (*Outcome, error)

	// Notes returns a task's tags, attributes and published state. It returns nil for an unknown task.
	Notes(ctx context.Context, queue string, task ID) (*Notes, error)

	// ListTasks returns a page of the tasks of a queue, as the function of package db does.
	ListTasks(ctx context.Context, page db.ListTasksParams) ([]db.ListedTask, error)

	// Conn returns what the other lists of package db are read on; nil: nothing, there is no database.
	Conn() db.DBTX

	// Blocked returns what does not go on in a queue until other code comes: blocked tasks, and tasks whose name no worker knows.
	Blocked(ctx context.Context, queue string) ([]BlockedTask, error)

	// Terminate cancels an open task and its descendants at once. A task that has ended stays as it is. known is false for an
	// unknown task.
	Terminate(ctx context.Context, queue string, task ID) (known bool, err error)

	// RequestCancel asks an open task and its children to end within the given time; 0: the default, a minute. known is false for
	// an unknown task.
	RequestCancel(ctx context.Context, queue string, task ID, within time.Duration) (known bool, err error)

	// Retry gives a failed task another attempt. known is false for an unknown task.
	Retry(ctx context.Context, queue string, task ID) (known bool, err error)

	// Listen calls listening when notifications begin to come, then heard with each of them, until ctx ends or there is no
	// more to come. A notification is [ReadyNotice], [EndedNotice] or [WorkerNotice].
	Listen(ctx context.Context, listening func(), heard func(notice string)) error

	// Transactions returns how many steps may have a transaction at once. 0: none, as where there are no transactions.
	Transactions() int

	// Open returns what a worker on the given number of queues works with.
	Open(ctx context.Context, queues int) (Workers, error)
}

// WorkerNotice is the notification that a worker should renew its lease now, because it is told of tasks then.
func WorkerNotice(worker int64) string { return "w:" + strconv.FormatInt(worker, 10) }

// ReadyNotice is the notification that a queue has work, sent while a worker on it is idle.
func ReadyNotice(queue string) string { return "q:" + noticeOf(queue) }

// EndedNotice is the notification that a watched task has ended. id is the text form of the task's id.
func EndedNotice(id string) string { return "t:" + noticeOf(id) }

// noticeOf stands for a name in a notification, which any login of the database may hear.
func noticeOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// Workers is the workers' side of a store: in PostgreSQL, a worker's connections of its own.
type Workers interface {
	// Status returns whether the store fits this program.
	Status(ctx context.Context) (db.Status, error)

	// Register makes a worker with a lease and returns its id.
	Register(ctx context.Context, name string, lease time.Duration) (int64, error)

	// Renew extends the lease. alive is false when the worker has lost it. noticed are tasks that have been cancelled or asked to
	// end while the worker held them; each is told for a while.
	Renew(ctx context.Context, worker int64, lease time.Duration) (alive bool, noticed []ID, err error)

	// Retire hands back what the worker still holds and removes it.
	Retire(ctx context.Context, worker int64) error

	// Sweep takes runs from workers whose lease has ended, at most limit of them, and moves what is due.
	Sweep(ctx context.Context, limit int) ([]Swept, error)

	// Join lets the worker take the named tasks of a queue. Tasks that other code than the named one has blocked are tried again.
	Join(ctx context.Context, worker int64, queue string, names []string, code string) (Engine, error)

	Close()
}

// Swept is what a sweep took from a worker whose lease had ended.
type Swept struct {
	Worker             int64
	Requeued, Poisoned int
}

// BlockedTask is a task that does not go on until other code comes.
type BlockedTask struct {
	Task    ID
	Name    string
	State   State // blocked, or pending where no worker knows the name
	Attempt int
	Reason  string
	Due     time.Time // when it is tried again; zero: when a worker knows it
}

// MaxBlocked is how many blocked tasks, and how many of unknown names, Blocked returns at most.
const MaxBlocked = 1000
