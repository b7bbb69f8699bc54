//go:build linux || darwin

package embedded

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// place is where one server has its things.
type place struct {
	acc       account
	run       string // private directory of the socket, short; the supervisor sweeps it
	data      string // what PostgreSQL calls PGDATA; for an ephemeral server inside run
	lock      string // held by every process of the server
	log       string
	ephemeral bool
}

const (
	// socketFile is the longest name that PostgreSQL makes in run.
	socketFile = ".s.PGSQL." + port
	// maxSocketPath is the shortest limit of the supported systems: 107 bytes on Linux, 103 on macOS.
	maxSocketPath = 103
)

// runPrefix begins the names of run directories, ephemeralPrefix those of ephemeral servers.
const (
	runPrefix       = "absurd-pg-"
	ephemeralPrefix = runPrefix + "tmp-"
)

// file returns the path of a file in run: live, the FIFO whose writers are the users, or kept, which is there if the
// server outlives them.
func (p place) file(name string) string { return filepath.Join(p.run, name) }

// makeRun makes a run directory in the first of the parents where a socket's path is short enough and the account
// can go. It stays this process's own until a supervisor is started. What others have left there is swept.
func makeRun(ctx context.Context, acc account, log *slog.Logger, prefix string, parents ...string) (string, error) {
	var errs []error
	for _, parent := range parents {
		if len(parent)+len("/")+len(prefix)+len("4294967295/")+len(socketFile) > maxSocketPath {
			errs = append(errs, fmt.Errorf("%s is too long for the path of a socket", parent))
			continue
		}
		if ok, err := acc.reaches(ctx, parent); err != nil {
			return "", err
		} else if !ok {
			errs = append(errs, fmt.Errorf("%s cannot be entered by %s, which the server runs as", parent, acc.name))
			continue
		}
		sweepStale(parent, acc, log)
		dir, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("no place for the server's socket: %w", errors.Join(errs...))
}

// temporaries are the parents of run directories that hold little or must be on disk.
func temporaries() []string {
	if tmp := filepath.Clean(os.TempDir()); tmp != "/tmp" {
		return []string{tmp, "/tmp"}
	}
	return []string{"/tmp"}
}

// postmaster is what a server says about itself in postmaster.pid.
type postmaster struct {
	pid   int
	run   string
	ready bool
}

func (p place) postmaster() (postmaster, error) {
	f, err := os.Open(filepath.Join(p.data, "postmaster.pid"))
	if err != nil {
		return postmaster{}, err
	}
	defer f.Close()
	var pm postmaster
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		switch line := lines.Text(); n {
		case 1:
			if pm.pid, err = strconv.Atoi(line); err != nil || pm.pid <= 1 {
				return postmaster{}, fmt.Errorf("%s does not begin with a process id", f.Name())
			}
		case 5:
			pm.run = line
		case 8:
			pm.ready = strings.TrimSpace(line) == "ready"
		}
	}
	return pm, lines.Err()
}

// shortHash names a thing by all that makes it different.
func shortHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}
