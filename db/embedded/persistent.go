//go:build linux || darwin

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rootData is where the data is when root starts a server in a directory that the server's account cannot enter.
const rootData = "/var/lib/absurdgen"

// persistent is a directory of Options.Dir.
//
//	start.lock    held while somebody starts or joins the server
//	lock          held by the server's processes: who holds it knows that no server runs
//	run           link to the run directory of the server
//	data          PostgreSQL's data directory, or root's link to it
//	postgres.log  the log since the last start; the one before in postgres.log.old
type persistent struct {
	acc account
	dir string
}

func (d persistent) path(name string) string { return filepath.Join(d.dir, name) }

func (d persistent) place(run string) place {
	data, err := filepath.EvalSymlinks(d.path("data"))
	if err != nil {
		data = d.path("data")
	}
	return place{acc: d.acc, run: run, data: data, lock: d.path("lock"), log: d.path("postgres.log")}
}

// startPersistent joins the server of o.Dir or starts it.
func startPersistent(ctx context.Context, o Options) (*hold, error) {
	acc, err := serverAccount(ctx)
	if err != nil {
		return nil, err
	}
	d, err := openDir(acc, o.Dir)
	if err != nil {
		return nil, err
	}
	starting, err := waitLock(ctx, d.path("start.lock"))
	if errors.Is(err, fs.ErrPermission) {
		return nil, d.notOurs(d.dir)
	}
	if err != nil {
		return nil, err
	}
	defer starting.Close()

	for end := time.Now().Add(stopTime); ; {
		h, lock, err := d.attachOrLock(ctx, o)
		switch {
		case err == nil && h != nil:
			return h, nil
		case err == nil:
			return d.startServer(ctx, o, lock)
		case !errors.Is(err, errGone):
			return nil, err
		case time.Now().After(end): // a server that is stopping holds the lock until it is done
			return nil, fmt.Errorf("a server without users in %s has not stopped for %v: see %s",
				d.dir, stopTime, d.path("postgres.log"))
		}
		if err := pause(ctx, poll); err != nil {
			return nil, fmt.Errorf("wait for the server in %s to stop: %w", d.dir, err)
		}
	}
}

func openDir(acc account, dir string) (persistent, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return persistent{}, err
	}
	perm := fs.FileMode(0o700)
	if acc.other {
		perm = 0o755 // the account must be able to pass
	}
	if err := os.MkdirAll(abs, perm); err != nil {
		return persistent{}, err
	}
	if _, err := os.Lstat(filepath.Join(abs, "PG_VERSION")); err == nil {
		return persistent{}, fmt.Errorf("%s is a data directory of PostgreSQL itself: Options.Dir is the directory "+
			"that holds one, named data", abs)
	}
	return persistent{acc: acc, dir: abs}, nil
}

func (d persistent) notOurs(path string) error {
	who := "somebody else"
	if fi, err := os.Stat(path); err == nil {
		who = userName(owner(fi))
	}
	return fmt.Errorf("%s belongs to %s, and PostgreSQL would run as %s: choose another Options.Dir, "+
		"or change its owner", path, who, d.acc.name)
}

// attachOrLock returns a hold on the running server, or the lock that proves that none runs. The error errGone
// means that a server is stopping.
func (d persistent) attachOrLock(ctx context.Context, o Options) (*hold, *os.File, error) {
	if run, err := os.Readlink(d.path("run")); err == nil {
		h, err := d.attach(ctx, run, o)
		if err == nil {
			o.Log.Debug("joined a running PostgreSQL", "dir", d.dir)
			return h, nil, nil
		}
		if !errors.Is(err, errGone) && !errors.Is(err, errDead) {
			return nil, nil, err
		}
	}
	lock, err := tryLock(d.path("lock"))
	if errors.Is(err, errLocked) {
		return nil, nil, errGone
	}
	return nil, lock, err
}

func (d persistent) attach(ctx context.Context, run string, o Options) (*hold, error) {
	p := d.place(run)
	h, err := p.attach(o.Log)
	if errors.Is(err, errOrphan) {
		h, err = p.adopt(o.Log)
	}
	if err != nil {
		return nil, err
	}
	if err := h.awaitReady(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// startServer starts the server of a directory, whose lock it takes over.
func (d persistent) startServer(ctx context.Context, o Options, lock *os.File) (*hold, error) {
	defer lock.Close()
	made, err := d.madeBy()
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	bin, err := d.find(ctx, o, cache, made)
	if err != nil {
		return nil, err
	}
	if made == 0 {
		err = d.initialize(ctx, bin)
	} else {
		err = d.dropStalePid()
	}
	if err != nil {
		return nil, err
	}
	run, err := makeRun(ctx, d.acc, o.Log, runPrefix, temporaries()...)
	if err != nil {
		return nil, err
	}
	h, err := d.startIn(ctx, run, o, bin, lock)
	if err != nil {
		os.RemoveAll(run) // in case there was no supervisor yet
		return nil, err
	}
	return h, nil
}

func (d persistent) startIn(ctx context.Context, run string, o Options, bin binaries, lock *os.File) (*hold, error) {
	p := d.place(run)
	_ = os.Rename(p.log, p.log+".old") // there is none at the first start
	os.Remove(d.path("run"))
	if err := os.Symlink(run, d.path("run")); err != nil {
		return nil, err
	}
	l, err := p.launch(o, bin, lock, nil)
	if err != nil {
		return nil, err
	}
	return l.start(ctx, lock)
}

// madeBy returns the major version that made the data, 0 if there is none yet.
func (d persistent) madeBy() (int, error) {
	data := d.path("data")
	fi, err := os.Stat(data)
	if errors.Is(err, fs.ErrNotExist) {
		if target, err := os.Readlink(data); err == nil {
			return 0, fmt.Errorf("the data of %s should be in %s, which is gone: remove the link %s to begin anew",
				d.dir, target, data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if owner(fi) != d.acc.uid {
		return 0, d.notOurs(data)
	}
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is there, but is no data directory of PostgreSQL: choose another Options.Dir", data)
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || major <= 0 {
		return 0, fmt.Errorf("%s says %q: versions before %d are not supported",
			filepath.Join(data, "PG_VERSION"), strings.TrimSpace(string(b)), oldest)
	}
	return major, nil
}

// find returns binaries that fit the data, which that major version made, 0 if there is none yet.
func (d persistent) find(ctx context.Context, o Options, cache string, made int) (binaries, error) {
	want := o.Version
	if made != 0 {
		want = made
	}
	if o.Version != 0 && o.Version != want {
		return binaries{}, fmt.Errorf("Options.Version is %d, but %s was made by PostgreSQL %d: "+
			"leave Version out, or move the data with pg_dumpall into another Options.Dir", o.Version, d.path("data"), made)
	}
	bin, err := newSearch(d.acc, want).find(ctx, o, cache)
	if mismatch := (*VersionError)(nil); made != 0 && errors.As(err, &mismatch) {
		mismatch.Data = d.path("data")
	}
	return bin, err
}

// initialize makes the data directory. It appears complete or not at all.
func (d persistent) initialize(ctx context.Context, bin binaries) error {
	building, data := d.path("data.partial"), d.path("data")
	reached, err := d.acc.reaches(ctx, d.dir)
	if err != nil {
		return err
	}
	if !reached {
		home, err := trustedDir(rootData)
		if err != nil {
			return err
		}
		name := filepath.Join(home, shortHash(d.dir))
		building, data = name+".partial", name+"-"+strings.ToLower(rand.Text()[:8])
	}
	if err := ownDir(d.acc, building); err != nil {
		return err
	}
	if err := initdb(ctx, d.acc, bin, building); err != nil {
		return errors.Join(err, os.RemoveAll(building))
	}
	if err := os.Rename(building, data); err != nil {
		return err
	}
	if !reached {
		return os.Symlink(data, d.path("data"))
	}
	return nil
}

// dropStalePid removes the postmaster.pid that a killed server of ours has left. The lock tells that no process of
// such a server lives; PostgreSQL goes by the process id, and would refuse because of a zombie or of whoever has that
// id now, which is common in containers. The file of a server that was started by other means names another socket.
func (d persistent) dropStalePid() error {
	run, err := os.Readlink(d.path("run"))
	if err != nil {
		return nil //nolint:nilerr // no server of ours has been here
	}
	p := d.place(run)
	if pm, err := p.postmaster(); err != nil || pm.run != run {
		return nil //nolint:nilerr // no file, or not one of ours
	}
	return (os.Remove(filepath.Join(p.data, "postmaster.pid")))
}
