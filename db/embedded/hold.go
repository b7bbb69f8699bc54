//go:build linux || darwin

package embedded

import (
	"context"
	_ "embed" // for the supervisor's program
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hold is this process's use of a server. The descriptors are bare numbers, as an os.File that nobody references is
// closed by the garbage collector, which would stop the server.
type hold struct {
	place
	live  int // writing end of live: the supervisor sees end of file when the last one is closed
	users int // place.run itself, share-locked: tells the last user that it is the last
	slog  *slog.Logger
}

// errGone says that a server is not there, or not any more.
var errGone = errors.New("embedded: the server is gone")

// errDead says that no process of a server is left, though nobody has stopped it.
var errDead = errors.New("embedded: the server is dead")

// errOrphan says that nobody supervises a place.
var errOrphan = errors.New("embedded: the server has lost its supervisor")

// attach makes this process a user of the server in p. The error is errGone or errOrphan where there is none to use.
func (p place) attach(log *slog.Logger) (*hold, error) {
	h := &hold{place: p, live: -1, users: -1, slog: log}
	if err := h.open(); err != nil {
		h.close()
		return nil, err
	}
	if err := h.tell("hello"); err != nil {
		h.close()
		return nil, errOrphan
	}
	// From the greeting on the supervisor knows us, unless it had made up its mind before: then live was renamed.
	var mine, named syscall.Stat_t
	if syscall.Fstat(h.live, &mine) != nil || syscall.Stat(p.file("live"), &named) != nil ||
		mine.Ino != named.Ino || mine.Dev != named.Dev {
		h.close()
		return nil, errGone
	}
	return h, nil
}

func (h *hold) open() error {
	var st syscall.Stat_t
	if err := syscall.Lstat(h.run, &st); err != nil {
		return errGone
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != h.acc.uid || st.Mode&0o077 != 0 {
		return fmt.Errorf("embedded: %s is not a private directory of %s: remove it", h.run, h.acc.name)
	}
	var err error
	if h.users, err = syscall.Open(h.run, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		return errGone
	}
	if err := syscall.Flock(h.users, syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return errGone // it is being swept, or somebody looks whether it has users: in both cases, try again
	}
	h.live, err = openLive(h.place)
	return err
}

// openLive opens the writing end. A place without a reader has lost its supervisor.
func openLive(p place) (int, error) {
	fd, err := syscall.Open(p.file("live"), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	switch err {
	case nil:
		return fd, nil
	case syscall.ENOENT:
		return -1, errGone
	case syscall.ENXIO:
		return -1, errOrphan
	default:
		return -1, fmt.Errorf("embedded: open %s: %w", p.file("live"), err)
	}
}

func (h *hold) tell(word string) error {
	_, err := syscall.Write(h.live, []byte(word+"\n"))
	return err
}

func (h *hold) close() {
	for _, fd := range []*int{&h.live, &h.users} {
		if *fd >= 0 {
			syscall.Close(*fd)
			*fd = -1
		}
	}
}

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
		return nil, fmt.Errorf("embedded: open %s: %w", p.file("live"), err)
	}
	defer reader.Close()
	file, err := p.writeScript()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	// The server's processes alone will hold alive, so that end shows when all of them are gone.
	end, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	defer end.Close()
	defer alive.Close()
	if err := p.acc.own(p.run); err != nil { // last, as from here on the account can change what is in it
		return nil, fmt.Errorf("embedded: %w", err)
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
		if p.acc.other && errors.Is(err, syscall.EPERM) {
			return nil, fmt.Errorf("embedded: cannot run PostgreSQL as %s: %w: "+
				"run as an ordinary user or set DATABASE_URL", p.acc.name, err)
		}
		return nil, fmt.Errorf("embedded: start the supervisor: %w", err)
	}
	go func() { _ = cmd.Wait() }() // keeps it from staying a zombie; how it ended does not matter
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
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.Write(script)
	return path, errors.Join(err, f.Close())
}

// adopt gives a server whose supervisors were killed a new one. Users that it has stay users, as they hold the same
// live. If the server is dead too, what it has left is swept, and the error is errDead.
func (p place) adopt(log *slog.Logger) (*hold, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
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

// awaitReady returns when the server accepts connections. The error is errDead if it has died, and errGone if it has
// stopped.
func (h *hold) awaitReady(ctx context.Context) error {
	for {
		if pm, err := h.postmaster(); err == nil && pm.ready && pm.run == h.run && h.listening() {
			return nil
		}
		if _, err := os.Lstat(h.run); err != nil {
			return errGone
		}
		if lock, err := tryLock(h.lock); err == nil {
			lock.Close()
			return errDead
		}
		if err := pause(ctx, poll); err != nil {
			return fmt.Errorf("embedded: PostgreSQL has not started yet: %w", err)
		}
	}
}

// listening reports whether somebody listens at the socket. The file postmaster.pid alone would tell of a dead server.
func (p place) listening() bool {
	conn, err := net.Dial("unix", p.file(socketFile))
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// lastLines returns the end of a log, as one line.
func lastLines(log *os.File) string {
	const most = 1000
	fi, err := log.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(fi.Size(), most))
	if _, err := log.ReadAt(b, fi.Size()-int64(len(b))); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(b)), "\n"), "; ")
}

// stopTime bounds how long release waits for a server to write everything down.
const stopTime = time.Minute

func (h *hold) release() error {
	if fd, err := openLive(h.place); err == nil {
		syscall.Close(fd)
	} else if errors.Is(err, errOrphan) {
		other, err := h.adopt(h.slog)
		if err == nil {
			other.close()
		} else if !errors.Is(err, errDead) {
			return err
		}
	}
	_, err := os.Lstat(h.file("kept"))
	kept := err == nil
	h.close()
	if kept || h.inUse() {
		return nil
	}
	for end := time.Now().Add(stopTime); ; time.Sleep(poll) {
		if _, err := os.Lstat(h.run); err != nil {
			h.slog.Debug("PostgreSQL has stopped", "data", h.data)
			return nil //nolint:nilerr // gone is what we wait for
		}
		if time.Now().After(end) {
			return fmt.Errorf("embedded: PostgreSQL in %s is still stopping after %v; it goes on without us", h.data, stopTime)
		}
	}
}

// inUse reports whether any process uses the server.
func (p place) inUse() bool {
	fd, err := syscall.Open(p.run, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// keep marks the server as one that outlives its users, and returns the command that stops it.
func (h *hold) keep() (string, error) {
	f, err := os.OpenFile(h.file("kept"), os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	return "echo stop > '" + strings.ReplaceAll(h.file("live"), "'", `'\''`) + "'", nil
}
