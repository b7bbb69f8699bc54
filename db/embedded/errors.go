package embedded

import (
	"fmt"
	"strings"
)

// NotFoundError says that no PostgreSQL server program can be had. Its text lists what was tried and what to do.
type NotFoundError struct {
	Version int      // the major version wanted, 0: any
	Tried   []string // where it was looked for, and what was wrong there
	Install string   // the command that installs PostgreSQL on this system
	Err     error    // why the download did not work, nil if none was allowed
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	b.WriteString("no PostgreSQL server found")
	if e.Version != 0 {
		fmt.Fprintf(&b, " of version %d", e.Version)
	}
	b.WriteString("\ntried:\n")
	for _, t := range e.Tried {
		fmt.Fprintf(&b, "  %s\n", t)
	}
	fmt.Fprintf(&b, "do one of:\n  %s\n", e.Install)
	b.WriteString("  set PG_BIN to the directory that holds postgres and initdb\n")
	b.WriteString("  set DATABASE_URL to a server that you run")
	return b.String()
}

// Unwrap returns the reason why the download did not work, if one was tried.
func (e *NotFoundError) Unwrap() error { return e.Err }

// VersionError says that the PostgreSQL at hand is of another major version than the one that made a data directory,
// which is left as it is, or than the one that Options.Version asks for.
type VersionError struct {
	Data string // the data directory, empty if Options.Version is what is not met
	Want int    // the major version that made it, or that is asked for
	Bin  string // where the other version is
	Have int    // that version
}

func (e *VersionError) Error() string {
	if e.Data == "" {
		return fmt.Sprintf("Options.Version asks for PostgreSQL %d, but PG_BIN is %s, which holds PostgreSQL %d: "+
			"change one of them", e.Want, e.Bin, e.Have)
	}
	return fmt.Sprintf("%s was made by PostgreSQL %d, but %s holds PostgreSQL %d: install PostgreSQL %d "+
		"or set PG_BIN to its directory, or move the data with pg_dumpall into another Options.Dir",
		e.Data, e.Want, e.Bin, e.Have, e.Want)
}
