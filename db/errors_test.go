package db

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestErr(t *testing.T) {
	t.Parallel()
	for code, sentinel := range map[string]error{
		"AB001": ErrCancelled, "AB002": ErrRunFailed, "AB004": ErrUnknownQueue, "AB005": ErrInvalidOption,
		"AB006": ErrInvalidName, "AB007": ErrKeyReused, "AB008": ErrWorkerLost,
	} {
		cause := &pgconn.PgError{Code: code, Message: "what and why", Hint: "do this"}
		err := Err(fmt.Errorf("query: %w", cause))
		var typed *Error
		var pg *pgconn.PgError
		if !errors.Is(err, sentinel) || !errors.As(err, &typed) || typed.Code != code || typed.Hint != "do this" || !errors.As(err, &pg) || pg != cause {
			t.Errorf("%s: %#v", code, err)
		}
		if err.Error() != "db: what and why" {
			t.Errorf("%s: %q", code, err)
		}
		if again := Err(err); again != err { //nolint:errorlint // the very same error
			t.Errorf("%s: wrapped twice: %v", code, again)
		}
	}
	for _, other := range []error{nil, errors.New("other"), &pgconn.PgError{Code: "40001"}} {
		if err := Err(other); err != other { //nolint:errorlint // the very same error
			t.Errorf("%v became %v", other, err)
		}
	}
}
