//go:build linux || darwin

package embedded

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxTarball bounds what is read from a registry, maxUnpacked what comes out of it. Real ones are 24 and 60 MB.
const (
	maxTarball  = 128 << 20
	maxUnpacked = 512 << 20
)

// download fetches one release into the cache.
type download struct {
	release
	cache    string
	registry string
	announce func(string)
	client   *http.Client
}

func newDownload(r release, cache string, announce func(string)) download {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	return download{release: r, cache: cache, registry: registry(os.Environ(), os.ReadFile), announce: announce,
		client: &http.Client{Transport: transport}}
}

// run fetches the release unless it is there. Of several processes one does the work.
func (d download) run(ctx context.Context) error {
	target := d.dir(d.cache)
	lock, err := waitLock(ctx, target+".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	address := d.registry + scope + "/" + d.platform + "/-/" + d.platform + "-" + d.version + ".tgz"
	d.announce(fmt.Sprintf("embedded: PostgreSQL %d is not installed here: downloading it (24 MB, once) from %s into %s",
		d.major, redacted(address), target))

	tarball, err := os.CreateTemp(d.cache, "download-*")
	if err != nil {
		return err
	}
	defer os.Remove(tarball.Name())
	defer tarball.Close()
	if err := d.fetch(ctx, address, tarball); err != nil {
		return err
	}
	building := target + ".partial"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	defer os.RemoveAll(building)
	if _, err := tarball.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := unpackRelease(tarball, building); err != nil {
		return fmt.Errorf("unpack %s: %w", redacted(address), err)
	}
	return os.Rename(building, target)
}

// stall is how long a registry may send nothing.
const stall = 30 * time.Second

// fetch writes what is at the address to w, and checks that it is what the release's sum says.
func (d download) fetch(ctx context.Context, address string, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stall, func() { cancel(fmt.Errorf("%s has sent nothing for %v", redacted(address), stall)) })
	defer stalled.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", redacted(address), resp.Status)
	}
	sum := sha512.New()
	body := progress{io.LimitReader(resp.Body, maxTarball+1), stalled}
	n, err := io.Copy(io.MultiWriter(w, sum), body)
	if err != nil {
		return fmt.Errorf("%s broke off after %d bytes: %w", redacted(address), n, interrupted(ctx, err))
	}
	if n > maxTarball {
		return fmt.Errorf("%s is larger than %d bytes", redacted(address), maxTarball)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != d.sum {
		return fmt.Errorf("%s is not the expected file and was thrown away: sha512 is %s, pinned is %s",
			redacted(address), got, d.sum)
	}
	return nil
}

// progress puts a timer off whenever something is read.
type progress struct {
	io.Reader
	stalled *time.Timer
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.stalled.Reset(stall)
	return n, err
}

// interrupted returns why ctx ended, if it did, and otherwise err without the address it repeats.
func interrupted(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// redacted is an address without a password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the registry"
	}
	return u.Redacted()
}

// unpackRelease writes the package's directory native as dir, and makes the links that npm packages cannot hold.
func unpackRelease(tarball io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	zr, err := gzip.NewReader(tarball)
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/native/")
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("more than %d bytes", maxUnpacked)
		}
		if err := writeFile(root, name, tr, h.FileInfo().Mode().Perm()&0o111|0o644); err != nil {
			return err
		}
	}
	return errors.Join(makeLinks(root), openDirs(root))
}

func writeFile(root *os.Root, name string, content io.Reader, perm os.FileMode) (err error) {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(perm))
}

// openDirs lets everybody enter the directories: root's servers run as another user, and our umask may be strict.
func openDirs(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return root.Chmod(name, 0o755)
	})
}

// makeLinks makes what the package lists in pg-symlinks.json. Without them the server does not find its libraries.
func makeLinks(root *os.Root) error {
	b, err := root.ReadFile("pg-symlinks.json")
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(b, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source, sourceOK := strings.CutPrefix(l.Source, "native/")
		target, targetOK := strings.CutPrefix(l.Target, "native/")
		rel, err := filepath.Rel(filepath.Dir(target), source)
		if !sourceOK || !targetOK || err != nil {
			return fmt.Errorf("pg-symlinks.json: link from %q to %q", l.Target, l.Source)
		}
		if err := root.Symlink(rel, target); err != nil {
			return err
		}
	}
	return nil
}
