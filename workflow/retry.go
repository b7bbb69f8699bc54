package workflow

import (
	"fmt"
	"time"
)

// PermanentError marks an error that another attempt cannot cure: a step that returns one is not tried again. See [Permanent].
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the marked error.
func (e *PermanentError) Unwrap() error { return e.Err }

// Permanent marks err as one that another attempt cannot cure. Permanent(nil) is nil. Where an error carries several marks,
// of this kind or of [Retry], the outermost counts.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Err: err}
}

// Fail returns a permanent error with the given text, formatted as by [fmt.Errorf].
func Fail(format string, args ...any) error {
	return &PermanentError{Err: fmt.Errorf(format, args...)}
}

// IsPermanent reports whether the outermost mark of err is that of [Permanent]. What a workflow gets from a step carries no mark: see
// [StepError].
func IsPermanent(err error) bool {
	permanent, _ := mark(err)
	return permanent
}

// RetryError marks an error that another attempt may cure, and says when to make it. See [Retry], [RetryAt] and [RetryAfter].
type RetryError struct {
	Err   error
	At    time.Time     // when to try again; zero: see After
	After time.Duration // how long after this attempt to try again, if At is zero; 0: as the backoff says
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the marked error.
func (e *RetryError) Unwrap() error { return e.Err }

// Retry marks err as one that another attempt may cure, whatever it wraps: a step that returns it is tried again as its backoff
// says, until its attempts are used up. Errors without a mark are treated in the same way; Retry is for those that wrap a
// permanent one. Retry(nil) is nil.
func Retry(err error) error { return retryError(RetryError{Err: err}) }

// RetryAt is as [Retry], with the next attempt at t instead of after the backoff. A time that has passed does not wait.
func RetryAt(err error, t time.Time) error { return retryError(RetryError{Err: err, At: t}) }

// RetryAfter is as [Retry], with the next attempt after d instead of after the backoff: what an API answers that is asked too
// often, for example.
func RetryAfter(err error, d time.Duration) error { return retryError(RetryError{Err: err, After: d}) }

func retryError(e RetryError) error {
	if e.Err == nil {
		return nil
	}
	return &e
}

// AsRetry returns the mark of [Retry], [RetryAt] or [RetryAfter], if that is err's outermost one.
func AsRetry(err error) (*RetryError, bool) {
	_, retry := mark(err)
	return retry, retry != nil
}

// mark returns the outermost mark of err.
func mark(err error) (permanent bool, retry *RetryError) {
	switch e := err.(type) { //nolint:errorlint // the walk itself unwraps, and stops at the first
	case nil:
		return false, nil
	case *PermanentError:
		return true, nil
	case *RetryError:
		return false, e
	case interface{ Unwrap() error }:
		return mark(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, next := range e.Unwrap() {
			if permanent, retry := mark(next); permanent || retry != nil {
				return permanent, retry
			}
		}
	}
	return false, nil
}

// farthest bounds what a step or a workflow may ask for.
const farthest = 10 * 365 * 24 * time.Hour

// next returns when to try again what failed with err at the given attempt.
func (p *policy) next(err error, attempt int, now time.Time) time.Time {
	at := now.Add(jitter(p.delay(attempt)))
	if retry, ok := AsRetry(err); ok {
		switch {
		case !retry.At.IsZero():
			at = retry.At
		case retry.After > 0:
			at = now.Add(retry.After)
		}
	}
	if limit := now.Add(farthest); at.After(limit) {
		return limit
	}
	return at
}
