package memory

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/db"
)

// refuse returns an error as the engine would give it.
func refuse(code, format string, args ...any) error {
	return db.Err(&pgconn.PgError{Severity: "ERROR", Code: code, Message: fmt.Sprintf(format, args...)})
}

func checkName(what, name string) error {
	if strings.TrimSpace(name) == "" || len(name) > 1000 {
		return refuse("AB006", "%s name %.100q is not valid: it must have 1 to 1000 bytes that are not all blank", what, name)
	}
	return nil
}

// escapedNUL finds the one character that JSON can hold and jsonb cannot.
var escapedNUL = regexp.MustCompile(`(^|[^\\])(\\\\)*\\u0000`)

// checkJSON refuses what jsonb would; no data at all is null.
func checkJSON(data []byte) error {
	switch {
	case data == nil:
		return nil
	case !json.Valid(data):
		return refuse("22P02", "invalid input syntax for type json")
	case escapedNUL.Match(data):
		return refuse("22P05", "unsupported Unicode escape sequence")
	}
	return nil
}

func orNull(data []byte) []byte {
	if data == nil {
		return []byte("null")
	}
	return data
}

func headersJSON(headers map[string]string) []byte {
	if len(headers) == 0 {
		return nil
	}
	data, err := json.Marshal(headers)
	if err != nil { // texts only
		panic(err)
	}
	return data
}
