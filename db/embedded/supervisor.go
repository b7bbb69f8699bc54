//go:build linux || darwin

package embedded

import (
	"context"
	_ "embed" // for the supervisor's program
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// script is what the supervisor runs. A shell needs no program of ours to be installed and no hook in the user's
// main, so it is the same for binaries, tests and go run.
//
//go:embed supervise.sh
var script []byte

// supervise starts a supervisor for p and returns the first hold on the server: with pid 0 it waits for the line
// start and then runs the command, otherwise it takes over the server of that pid.
func (p place) supervise(log *slog.Logger, lock, output *os.File, pid int, command ...string) (*hold, error) {
	reader, err := openReader(p.file("live")) // must be there before a writing end can be opened
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.file("live"), err)
	}
	defer reader.Close()
	file, err := p.writeScript()
	if err != nil {
		return nil, err
	}
	// The server's processes alone will hold alive, so that end shows when all of them are gone.
	end, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	defer alive.Close()
	if err := p.acc.own(p.run); err != nil { // last, as from here on the account can change what is in it
		return nil, err
	}
	h, err := p.attach(log)
	if err != nil {
		return nil, err
	}
	kind := "persistent"
	if p.ephemeral {
		kind = "ephemeral"
	}
	args := append([]string{file, p.run, p.data, kind, strconv.Itoa(pid)}, command...)
	// Its life is its own: no context, and a session that a terminal's Ctrl-C does not reach.
	cmd := p.acc.command(context.Background(), "/bin/sh", args...)
	cmd.SysProcAttr.Setsid = true
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{reader, lock, end, alive}
	if err := cmd.Start(); err != nil {
		h.close()
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	ended := make(chan struct{})
	h.supervisor = ended
	go func() {
		_ = cmd.Wait() // how it ended does not matter
		close(ended)
	}()
	return h, nil
}

// openReader opens the reading end of a FIFO, which must be one.
func openReader(path string) (*os.File, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st syscall.Stat_t
	if err = syscall.Fstat(fd, &st); err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		err = errors.New("not a FIFO")
	}
	if err == nil {
		err = syscall.SetNonblock(fd, false) // the shell could not read otherwise
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// writeScript puts the supervisor's program into run, where ps shows its name instead of its text.
func (p place) writeScript() (string, error) {
	path := p.file("supervise.sh")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(script)
	return path, errors.Join(err, f.Chmod(0o644), f.Close()) // readable for the account, whatever our umask is
}

// adopt gives a server whose supervisors were killed a new one. Users that it has stay users, as they hold the same
// live. If the server is dead too, what it has left is swept, and the error is errDead.
func (p place) adopt(log *slog.Logger) (*hold, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	lock, err := tryLock(p.lock)
	if err == nil {
		lock.Close()
		h, err := p.supervise(log, null, null, 0) // one that is never told to start sweeps
		if err != nil {
			return nil, err
		}
		h.close()
		return nil, errDead
	}
	pm, err := p.postmaster()
	if err != nil {
		return nil, errGone
	}
	log.Info("a PostgreSQL has lost its supervisor and gets a new one", "data", p.data, "pid", pm.pid)
	return p.supervise(log, null, null, pm.pid)
}

// supervised reports whether somebody reads live, or closing, which it is called while the server stops.
func (p place) supervised() bool {
	for _, name := range []string{"live", "closing"} {
		fd, err := syscall.Open(p.file(name), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		if err == nil {
			syscall.Close(fd)
			return true
		}
	}
	return false
}

// sweepStale gives new supervisors to ephemeral servers whose own were killed, and so removes them if their users are
// gone too. An orphaned persistent server that still runs is left to the next one who starts it.
func sweepStale(parent string, acc account, log *slog.Logger) {
	runs, _ := filepath.Glob(filepath.Join(parent, runPrefix+"*"))
	for _, run := range runs {
		fi, err := os.Lstat(run)
		if err != nil || !fi.IsDir() || (owner(fi) != acc.uid && owner(fi) != os.Geteuid()) {
			continue
		}
		if time.Since(fi.ModTime()) < time.Minute { // may have been made just now, and its supervisor be about to start
			continue
		}
		p := ephemeralPlace(acc, run)
		persistent := !strings.HasPrefix(filepath.Base(run), ephemeralPrefix)
		if p.supervised() || persistent && p.listening() {
			continue
		}
		h, err := p.adopt(log)
		switch {
		case err == nil:
			h.close()
		case errors.Is(err, errDead): // swept
		default: // killed before there was anything to supervise
			if lock, err := tryLock(p.lock); err == nil {
				os.RemoveAll(run)
				lock.Close()
			}
		}
	}
}
