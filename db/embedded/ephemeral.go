//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// roomInMemory is the space that a file system in memory must have for a server to be put there.
const roomInMemory = 512 << 20

// startEphemeral starts a server that nobody else knows. Its supervisor comes first: from then on, whenever this
// process is killed, nothing is left.
func startEphemeral(ctx context.Context, o Options) (*hold, error) {
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	bin, err := newSearch(acc, o.Version).find(ctx, o, cache)
	if err != nil {
		return nil, err
	}
	archive, err := template(ctx, acc, bin, cache)
	if err != nil {
		return nil, err
	}

	chosen := map[string]string{}
	parents := temporaries()
	if !o.Durable {
		// A commit is still written to the kernel before it is acknowledged.
		chosen["fsync"], chosen["full_page_writes"] = "off", "off"
		if memory, ok := memoryDir(roomInMemory); ok {
			parents = append([]string{memory}, parents...)
			// Otherwise a killed server would leave shared memory in /dev/shm.
			chosen["dynamic_shared_memory_type"] = "mmap"
		}
	}
	run, err := makeRun(ctx, acc, o.Log, ephemeralPrefix, parents...)
	if err != nil {
		return nil, err
	}
	h, err := ephemeralPlace(acc, run).startFrom(ctx, archive, o, bin, chosen)
	if err != nil {
		os.RemoveAll(run) // in case there was no supervisor yet
		return nil, err
	}
	return h, nil
}

func (p place) startFrom(ctx context.Context, archive string, o Options, bin binaries, chosen map[string]string) (*hold, error) {
	lock, err := tryLock(p.lock)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	defer lock.Close()
	l, err := p.launch(o, bin, lock, chosen)
	if err != nil {
		return nil, err
	}
	if err := unpack(ctx, archive, p.data, p.acc); err != nil {
		l.output.Close()
		l.close()
		return nil, fmt.Errorf("embedded: unpack a new cluster: %w", err)
	}
	return l.start(ctx, lock)
}

func ephemeralPlace(acc account, run string) place {
	return place{acc: acc, run: run, ephemeral: true, data: filepath.Join(run, "data"),
		lock: filepath.Join(run, "lock"), log: filepath.Join(run, "postgres.log")}
}

// sweepStale removes what servers have left whose users and supervisors were all killed. An orphaned persistent server
// that still runs is left to the next one who starts it.
func sweepStale(parent string, acc account, log *slog.Logger) {
	runs, _ := filepath.Glob(filepath.Join(parent, runPrefix+"*"))
	for _, run := range runs {
		fi, err := os.Lstat(run)
		// A young one may have been made just now, and its user not be known yet.
		if err != nil || !fi.IsDir() || (owner(fi) != acc.uid && owner(fi) != os.Geteuid()) || time.Since(fi.ModTime()) < time.Minute {
			continue
		}
		p := ephemeralPlace(acc, run)
		persistent := !strings.HasPrefix(filepath.Base(run), ephemeralPrefix)
		if p.inUse() || p.supervised() || persistent && p.listening() {
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
