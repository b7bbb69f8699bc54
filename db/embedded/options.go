package embedded

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Options say which server to start and how. The zero value is right for tests: a server of its own for this
// process, in memory where there is room, gone when the process is.
type Options struct {
	// Dir is the directory of a persistent server: its data is in Dir/data and its log in Dir/postgres.log.
	// Processes that name the same Dir share one server, which stops when the last of them is gone. Dir is made
	// if need be, and its data is never deleted. Empty means an ephemeral server, whose data is swept when it stops.
	Dir string

	// Durable makes an ephemeral server write like a production server: to disk, with fsync and full page writes.
	// Choose it to measure. Without it a commit survives a crash of the server, not one of the machine.
	// A persistent server is always durable.
	Durable bool

	// Version is the major version of PostgreSQL wanted, such as 17. Zero takes what there is, from 14 on.
	Version int

	// Settings are further settings of the server, as in postgresql.conf. They hold from its start to its stop:
	// a process that joins a running server takes it as it is.
	Settings map[string]string

	// NoDownload forbids the download of PostgreSQL where none is installed.
	NoDownload bool

	// Announce is told, in one line, what is about to be downloaded. Nil means a line on standard error.
	Announce func(line string)

	// Log receives what happens, at levels debug and info. Nil means silence.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Version != 0 && o.Version < oldest {
		return o, fmt.Errorf("Options.Version %d: PostgreSQL %d is the oldest supported", o.Version, oldest)
	}
	for name := range o.Settings {
		if !settingName.MatchString(name) {
			return o, fmt.Errorf("Options.Settings: %q is not the name of a PostgreSQL setting", name)
		}
		if slices.Contains(reserved, strings.ToLower(name)) {
			return o, fmt.Errorf("Options.Settings: %s cannot be chosen: "+
				"a private server is reached by its socket alone, with the DSN that Server.DSN returns", name)
		}
	}
	if o.Announce == nil {
		o.Announce = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// oldest is the oldest major version of PostgreSQL that is started.
const oldest = 14

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// reserved are the settings that keep the server private and findable. Everybody who reaches its socket is its
// superuser, so it must not listen anywhere else.
var reserved = []string{
	"data_directory", "external_pid_file", "hba_file", "listen_addresses", "port", "unix_socket_directories",
	"unix_socket_permissions",
}
