package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a private PostgreSQL that writes as carefully as a real one: fsync and synchronous_commit are on.
type server struct {
	folder  string
	process *exec.Cmd
	Version string
}

// settings are those of a modest production server. Nothing of durability is given up.
var settings = []string{
	"listen_addresses=", "max_connections=400",
	"fsync=on", "synchronous_commit=on", "full_page_writes=on",
	"shared_buffers=2GB", "max_wal_size=8GB", "checkpoint_timeout=30min",
	"shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=top",
	"log_min_messages=fatal",
}

// startServer starts one in a new folder under dir. extra are more settings, which win.
func startServer(ctx context.Context, dir string, extra []string) (*server, error) {
	binary, err := exec.LookPath("postgres")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well formed
		if len(found) == 0 {
			return nil, errors.New("no PostgreSQL found: install it, or put its postgres into PATH")
		}
		binary = found[len(found)-1]
	}
	folder, err := os.MkdirTemp(dir, "absurd-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder}
	if inMemory(folder) {
		return nil, errors.Join(fmt.Errorf("%s is kept in memory, so a commit would cost nothing: choose another -dir", folder), s.stop())
	}
	if err := s.start(ctx, binary, extra); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) start(ctx context.Context, binary string, extra []string) error {
	account, err := unprivileged()
	if err != nil {
		return err
	}
	if err := handOver(s.folder, account); err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(filepath.Dir(binary), "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = s.folder, account
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-D", data, "-k", s.folder}
	for _, o := range append(settings, extra...) {
		args = append(args, "-c", o)
	}
	s.process = exec.Command(binary, args...)
	s.process.Dir, s.process.SysProcAttr, s.process.Stderr = s.folder, account, os.Stderr
	if err := s.process.Start(); err != nil {
		return err
	}
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			defer conn.Close(ctx)
			for _, name := range []string{"pg_stat_statements", "pg_walinspect"} {
				if _, err := conn.Exec(ctx, "create extension "+name); err != nil {
					return fmt.Errorf("the contrib modules of PostgreSQL 15 or later are needed: %w", err)
				}
			}
			return conn.QueryRow(ctx, "show server_version").Scan(&s.Version)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// DSN returns the connection string of a database.
func (s *server) DSN(database string) string {
	return fmt.Sprintf("host=%s port=5432 user=postgres dbname=%s sslmode=disable", s.folder, database)
}

// stop stops the server, if it runs, and removes its folder.
func (s *server) stop() error {
	if s.process != nil && s.process.Process != nil {
		if err := s.process.Process.Signal(os.Interrupt); err == nil {
			_ = s.process.Wait() // it was told to end; how it did does not matter
		}
	}
	return os.RemoveAll(s.folder)
}

// inMemory reports whether a folder is on a tmpfs.
func inMemory(folder string) bool {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return false
	}
	best, kind := "", ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 2 && len(f[1]) >= len(best) && (f[1] == "/" || folder == f[1] || strings.HasPrefix(folder, f[1]+"/")) {
			best, kind = f[1], f[2]
		}
	}
	return kind == "tmpfs" || kind == "ramfs"
}
