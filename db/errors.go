package db

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// What the engine's functions refuse with a SQLSTATE of their own. Err makes them visible to errors.Is.
var (
	ErrCancelled     = errors.New("task is cancelled")                           // AB001
	ErrRunFailed     = errors.New("run has already failed")                      // AB002
	ErrUnknownQueue  = errors.New("unknown queue")                               // AB004
	ErrInvalidOption = errors.New("invalid option")                              // AB005
	ErrInvalidName   = errors.New("invalid name")                                // AB006
	ErrKeyReused     = errors.New("idempotency key was used with another input") // AB007
	ErrWorkerLost    = errors.New("worker is unknown or its lease has expired")  // AB008
	ErrNotUnique     = errors.New("a task with this unique key is open")         // AB009
	ErrTaskEnded     = errors.New("task has ended")                              // AB010
	ErrRunKept       = errors.New("workflow run cannot be updated")              // AB011
)

// Error is a refusal by one of the engine's functions. It wraps the sentinel of its code and the driver's error.
type Error struct {
	Code    string // the SQLSTATE, such as AB004
	Message string // what is wrong, with the queue, the task and what to do
	Hint    string

	sentinel error
	cause    *pgconn.PgError
}

// Error gives the engine's text.
func (e *Error) Error() string { return "db: " + e.Message }

// Unwrap gives the sentinel and the driver's error.
func (e *Error) Unwrap() []error { return []error{e.sentinel, e.cause} }

// Err turns an error of the driver that carries one of the engine's codes into an *Error. Every other error, nil and
// what is already an *Error come back as they are.
func Err(err error) error {
	var done *Error
	var pg *pgconn.PgError
	if errors.As(err, &done) || !errors.As(err, &pg) {
		return err
	}
	sentinel := sentinelOf(pg.Code)
	if sentinel == nil {
		return err
	}
	return &Error{Code: pg.Code, Message: pg.Message, Hint: pg.Hint, sentinel: sentinel, cause: pg}
}

func sentinelOf(code string) error {
	switch code {
	case "AB001":
		return ErrCancelled
	case "AB002":
		return ErrRunFailed
	case "AB004":
		return ErrUnknownQueue
	case "AB005":
		return ErrInvalidOption
	case "AB006":
		return ErrInvalidName
	case "AB007":
		return ErrKeyReused
	case "AB008":
		return ErrWorkerLost
	case "AB009":
		return ErrNotUnique
	case "AB010":
		return ErrTaskEnded
	case "AB011":
		return ErrRunKept
	default:
		return nil
	}
}
