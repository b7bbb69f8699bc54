package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
)

// Server is a PostgreSQL server that this process uses. It is used until Stop is called or the process ends.
// A Server that is no longer referenced is still used.
type Server struct {
	dsn string

	mu   sync.Mutex
	hold *hold // nil: stopped, or the server of DATABASE_URL, which is not ours to stop
}

// Open returns the server that the environment variable DATABASE_URL names, or, where it is not set, starts one as
// Start does. Programs and tests that can run on any server call Open.
func Open(ctx context.Context, o Options) (*Server, error) {
	if dsn := os.Getenv("DATABASE_URL"); dsn != "" {
		return &Server{dsn: dsn}, nil
	}
	return Start(ctx, o)
}

// Start starts a private PostgreSQL server, or joins the one that already runs in o.Dir, and returns when it accepts
// connections. The context bounds the start, not the life of the server.
//
// The error wraps a *NotFoundError where no PostgreSQL can be had, and a *VersionError where what there is does not
// fit the data in o.Dir.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	h, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return &Server{dsn: socketDSN(h.run), hold: h}, nil
}

// DSN returns the connection string of the server's database "postgres", as a URL with user, database, host, port
// and sslmode written out, so that no PG* variable of the environment decides any of them.
func (s *Server) DSN() string { return s.dsn }

// Stop ends this process's use of the server. If it was the last user, Stop returns when the server has stopped and,
// if it was ephemeral, all its files are gone. It does nothing to a server of DATABASE_URL, and nothing when called
// again.
//
// A process that just ends, or is killed, leaves no server behind either.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil {
		return nil
	}
	h := s.hold
	s.hold = nil
	if err := h.release(); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

// Keep makes the server outlive all its users, and returns the shell command that stops it. The command is empty for
// a server of DATABASE_URL, and for one that this process has stopped.
func (s *Server) Keep() (command string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil {
		return "", nil
	}
	if command, err = s.hold.keep(); err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	return command, nil
}

// superuser is the name of the role and of the database that initdb makes.
const superuser = "postgres"

// port is part of the name of the socket only. Each server has a directory of its own for it.
const port = "5432"

func socketDSN(dir string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + superuser}
	u.RawQuery = url.Values{"host": {dir}, "port": {port}, "sslmode": {"disable"}}.Encode()
	return u.String()
}
