//go:build linux || darwin

package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// roomInMemory is the space that a file system in memory must have for a server to be put there.
const roomInMemory = 512 << 20

// startEphemeral starts a server that nobody else knows. Its supervisor comes first: from then on, whenever this
// process is killed, nothing is left.
func startEphemeral(ctx context.Context, o Options) (*hold, error) {
	acc, err := serverAccount(ctx)
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

func (p place) startFrom(ctx context.Context, archive string, o Options, bin binaries, chosen map[string]string) (
	*hold, error) {

	lock, err := tryLock(p.lock)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	l, err := p.launch(o, bin, lock, chosen)
	if err != nil {
		return nil, err
	}
	if err := unpack(ctx, archive, p.data, p.acc); err != nil {
		l.output.Close()
		l.close()
		return nil, fmt.Errorf("unpack a new cluster: %w", err)
	}
	return l.start(ctx, lock)
}

func ephemeralPlace(acc account, run string) place {
	return place{acc: acc, run: run, ephemeral: true, data: filepath.Join(run, "data"),
		lock: filepath.Join(run, "lock"), log: filepath.Join(run, "postgres.log")}
}
