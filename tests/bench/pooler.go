package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pooler is a PgBouncer in transaction mode before the server.
type pooler struct {
	folder  string
	process *exec.Cmd
}

// poolSize is how many connections the pooler has to the server.
const poolSize = 20

// startPooler starts one; nil without an error where the machine has none.
func startPooler(s *server) (*pooler, error) {
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		return nil, nil //nolint:nilerr // that the machine has none is an answer
	}
	folder, err := os.MkdirTemp("", "absurd-bench-")
	if err != nil {
		return nil, err
	}
	p := &pooler{folder: folder}
	q := s.dsn.Query()
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr =
unix_socket_dir = %s
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 2000
ignore_startup_parameters = extra_float_digits
logfile = %s
`, q.Get("host"), q.Get("port"), s.dsn.User.Username(), folder, poolSize, filepath.Join(folder, "log"))
	config := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	p.process = exec.Command(binary, "-q", config)
	if p.process.SysProcAttr, err = unprivileged(); err != nil {
		return nil, err
	}
	if err := handOver(folder, p.process.SysProcAttr); err != nil {
		return nil, err
	}
	return p, p.process.Start()
}

// DSN returns the connection string of a database. A pooler in transaction mode keeps no prepared statements.
func (p *pooler) DSN(database string) string {
	return fmt.Sprintf("host=%s port=6432 user=bench dbname=%s sslmode=disable default_query_exec_mode=exec", p.folder, database)
}

func (p *pooler) stop() {
	if p == nil {
		return
	}
	if p.process.Process.Kill() == nil {
		_ = p.process.Wait() // it was killed
	}
	os.RemoveAll(p.folder)
}
