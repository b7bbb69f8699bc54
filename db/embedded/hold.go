//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// hold is this process's use of a server. The descriptors are bare numbers, as an os.File that nobody references is
// closed by the garbage collector, which would stop the server.
type hold struct {
	place
	live       int             // writing end of live: the supervisor sees end of file when the last one is closed
	users      int             // place.run itself, share-locked: tells the last user that it is the last
	supervisor <-chan struct{} // closed when the supervisor has ended, nil if it is not our child
	slog       *slog.Logger
}

// errGone says that a server is not there, or not any more.
var errGone = errors.New("the server is gone")

// errDead says that no process of a server is left, though nobody has stopped it.
var errDead = errors.New("the server is dead")

// errOrphan says that nobody supervises a place.
var errOrphan = errors.New("the server has lost its supervisor")

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
		return fmt.Errorf("%s is not a private directory of %s: remove it", h.run, h.acc.name)
	}
	var err error
	if h.users, err = syscall.Open(h.run, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		return errGone
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); { // waits at most until somebody has looked whether there are users
		err = syscall.Flock(h.users, syscall.LOCK_SH)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", h.run, err)
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
		return -1, fmt.Errorf("open %s: %w", p.file("live"), err)
	}
}

func (h *hold) tell(word string) error {
	_, err := syscall.Write(h.live, []byte(word+"\n"))
	return err
}

// close lets go. The lock is given back first, as a child that this process is just forking may for a moment have a
// copy of the descriptor.
func (h *hold) close() {
	if h.users >= 0 {
		syscall.Flock(h.users, syscall.LOCK_UN)
		syscall.Close(h.users)
	}
	if h.live >= 0 {
		syscall.Close(h.live)
	}
	h.users, h.live = -1, -1
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
			return fmt.Errorf("PostgreSQL has not started yet: %w", err)
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
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "; ")
}

// stopTime bounds how long release waits for a server to write everything down.
const stopTime = time.Minute

// release ends this process's use of the server, and waits for the server's end if there is no other user.
func (h *hold) release() error {
	if !h.supervised() {
		other, err := h.adopt(h.slog)
		switch {
		case err == nil:
			other.close()
		case errors.Is(err, errDead), errors.Is(err, errGone): // is being swept
		default:
			h.close()
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
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("PostgreSQL in %s is still stopping after %v; it goes on without us", h.data, stopTime)
		}
	}
	if h.supervisor != nil {
		<-h.supervisor
	}
	h.slog.Debug("PostgreSQL has stopped", "data", h.data)
	return nil
}

// inUse reports whether any process uses the server.
func (p place) inUse() bool {
	fd, err := syscall.Open(p.run, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	defer syscall.Flock(fd, syscall.LOCK_UN) // see close
	return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// keep marks the server as one that outlives its users, and returns the command that stops it.
func (h *hold) keep() (string, error) {
	f, err := os.OpenFile(h.file("kept"), os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return "echo stop > '" + strings.ReplaceAll(h.file("live"), "'", `'\''`) + "'", nil
}
