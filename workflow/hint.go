package workflow

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
)

// hint says what to do about an error of the database that its user can cure.
func hint(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch pg.Code {
	case invalidSchemaName:
		return &db.SchemaError{Status: db.Status{State: db.StateNotInstalled}}
	case undefinedFunction:
		return fmt.Errorf("%w: schema absurd is older than this program, or another project's: run \"absurd migrate status\"", err)
	case insufficientPrivilege:
		return fmt.Errorf("%w: grant the login one of the roles that the function absurd.list_roles names, such as that of clients or of workers", err)
	}
	return err
}

// The SQLSTATEs of a call to a schema that is not there, to a function that it does not have, and to one that the login may not use.
const (
	invalidSchemaName     = "3F000"
	undefinedFunction     = "42883"
	insufficientPrivilege = "42501"
)
