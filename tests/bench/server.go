package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/db/embedded"
)

// server is a private PostgreSQL that writes as carefully as a real one.
type server struct {
	*embedded.Server
	dsn     *url.URL
	pid     int
	Version string
}

// settings are those of a modest production server. Nothing of durability is given up: embedded's Durable leaves fsync,
// synchronous_commit and full_page_writes on.
var settings = map[string]string{
	"max_connections": "400", "shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min",
	"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top", "log_min_messages": "fatal",
}

// startServer starts one in the folder for temporary files, which must be on a disk. Settings in extra win.
func startServer(ctx context.Context, extra map[string]string) (*server, error) {
	chosen := make(map[string]string)
	for _, all := range []map[string]string{settings, extra} {
		for name, value := range all {
			chosen[name] = value
		}
	}
	started, err := embedded.Start(ctx, embedded.Options{Durable: true, Settings: chosen})
	if err != nil {
		return nil, err
	}
	s := &server{Server: started}
	if err := s.inspect(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// inspect prepares what the counters need and finds out where the server lives.
func (s *server) inspect(ctx context.Context) (err error) {
	if s.dsn, err = url.Parse(s.Server.DSN()); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.Server.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, name := range []string{"pg_stat_statements", "pg_walinspect"} {
		if _, err := conn.Exec(ctx, "create extension "+name); err != nil {
			return fmt.Errorf("the contrib modules of PostgreSQL 15 or later are needed: %w", err)
		}
	}
	var folder, pid string
	err = conn.QueryRow(ctx, `select current_setting('server_version'), current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\n', 1)`).
		Scan(&s.Version, &folder, &pid)
	if err != nil {
		return err
	}
	if inMemory(folder) {
		return fmt.Errorf("%s is kept in memory, where a commit costs nothing: name a folder on a disk with -dir", folder)
	}
	s.pid, err = strconv.Atoi(pid)
	return err
}

// DSN returns the connection string of a database.
func (s *server) DSN(database string) string {
	u := *s.dsn
	u.Path = "/" + database
	return u.String()
}

// inMemory reports whether a folder is on a file system in memory.
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
