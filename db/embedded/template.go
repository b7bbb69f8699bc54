//go:build linux || darwin

package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// template returns the archive of a fresh cluster, which it makes the first time: initdb takes half a second, to
// unpack its result takes a tenth of that.
func template(ctx context.Context, acc account, bin binaries, cache string) (string, error) {
	key := append(initdbArgs(), archiveFormat, bin.dir, bin.version, strconv.Itoa(acc.uid))
	base := filepath.Join(cache, "template-"+shortHash(key...))
	archive := base + ".tar"
	now := time.Now()
	if os.Chtimes(archive, now, now) == nil { // marks it as used
		return archive, nil
	}
	lock, err := waitLock(ctx, base+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Lstat(archive); err == nil {
		return archive, nil // somebody else has made it meanwhile
	}
	building := base + ".partial"
	if err := ownDir(acc, building); err != nil {
		return "", err
	}
	defer os.RemoveAll(building)
	if err := initdb(ctx, acc, bin, building, "--no-sync"); err != nil {
		return "", err
	}
	if err := pack(building, archive); err != nil {
		return "", fmt.Errorf("pack %s: %w", archive, err)
	}
	dropUnused(cache, now)
	return archive, nil
}

// dropUnused removes templates, of PostgreSQL versions that have been replaced, that were not used for a month.
func dropUnused(cache string, now time.Time) {
	archives, _ := filepath.Glob(filepath.Join(cache, "template-*.tar"))
	for _, a := range archives {
		if fi, err := os.Lstat(a); err == nil && now.Sub(fi.ModTime()) > 30*24*time.Hour {
			os.Remove(a)
			os.Remove(strings.TrimSuffix(a, ".tar") + ".lock")
		}
	}
}

// archiveFormat changes whenever pack does.
const archiveFormat = "1"

// fullSize is the PAX record of a file's size with the zeros at its end, which are not in the archive. Fresh
// write-ahead log is little else.
const fullSize = "ABSURDGEN.size"

// lastEntry is the name of an archive's last entry, without which it is not complete.
const lastEntry = "end"

// pack writes the tree under dir into an archive that appears complete or not at all.
func pack(dir, archive string) (err error) {
	root, err := os.OpenRoot(dir) // dir belongs to the account: follow no link of its out of the tree
	if err != nil {
		return err
	}
	defer root.Close()
	out, err := os.CreateTemp(filepath.Dir(archive), "packing-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, out.Close())
		if err == nil {
			err = os.Rename(out.Name(), archive)
		}
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	tw := tar.NewWriter(out)
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700})
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		content, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Format: tar.FormatPAX}
		if trimmed := bytes.TrimRight(content, "\x00"); len(trimmed) < len(content) {
			h.PAXRecords = map[string]string{fullSize: strconv.Itoa(len(content))}
			content = trimmed
		}
		h.Size = int64(len(content))
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err = tw.Write(content)
		return err
	})
	if err == nil {
		err = tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: lastEntry})
	}
	if err == nil {
		err = tw.Close()
	}
	if err == nil {
		err = out.Sync() // an archive that a power cut has emptied would be in the way for ever
	}
	return err
}

// unpack makes the directory dir from an archive, for the account. What is above dir may belong to the account, which
// must not lead us elsewhere by a link.
func unpack(ctx context.Context, archive, dir string, acc account) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(dir)
	if err := mkdir(root, name, acc); err != nil {
		return err
	}
	for tr := tar.NewReader(in); ; {
		h, err := tr.Next()
		if err != nil {
			return damaged(archive, err)
		}
		if h.Name == lastEntry {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := filepath.Join(name, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := mkdir(root, path, acc); err != nil {
				return err
			}
			continue
		}
		err = unpackFile(tr, h, root, path, acc)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return damaged(archive, err)
		}
		if err != nil {
			return err
		}
	}
}

func damaged(archive string, err error) error {
	return fmt.Errorf("%s is damaged, remove it: %w", archive, err)
}

func mkdir(root *os.Root, path string, acc account) error {
	if err := root.Mkdir(path, 0o700); err != nil {
		return err
	}
	if !acc.other {
		return nil
	}
	return root.Lchown(path, acc.uid, acc.gid)
}

func unpackFile(content io.Reader, h *tar.Header, root *os.Root, path string, acc account) (err error) {
	f, err := root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if acc.other {
		if err := f.Chown(acc.uid, acc.gid); err != nil {
			return err
		}
	}
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if s, ok := h.PAXRecords[fullSize]; ok {
		size, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return err
		}
		return f.Truncate(size)
	}
	return nil
}
