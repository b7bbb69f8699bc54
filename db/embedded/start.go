//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func start(ctx context.Context, o Options) (*hold, error) {
	if o.Dir == "" {
		return startEphemeral(ctx, o)
	}
	return startPersistent(ctx, o)
}

// launch is a server on its way: its supervisor runs and PostgreSQL does not yet. From here on nothing is left
// behind if this process is killed.
type launch struct {
	*hold
	output *os.File
}

// launch starts the supervisor of a new server. lock is the place's lock.
func (p place) launch(o Options, bin binaries, lock *os.File, chosen map[string]string) (*launch, error) {
	if err := syscall.Mkfifo(p.file("live"), 0o600); err != nil {
		return nil, fmt.Errorf("make %s: %w", p.file("live"), err)
	}
	if err := p.acc.own(p.file("live")); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(p.log, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	command := append([]string{filepath.Join(bin.dir, "postgres"), "-D", p.data},
		arguments(o.Settings, chosen, p.private())...)
	h, err := p.supervise(o.Log, lock, output, 0, command...)
	if err != nil {
		output.Close()
		return nil, err
	}
	o.Log.Debug("starting PostgreSQL", "version", bin.version, "bin", bin.dir, "data", p.data)
	return &launch{hold: h, output: output}, nil
}

// private are the settings that make the socket in run the only way to the server.
func (p place) private() map[string]string {
	return map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": `"` + strings.ReplaceAll(p.run, `"`, `""`) + `"`,
		"unix_socket_permissions": "0700",
	}
}

// arguments returns settings as arguments of postgres, sorted. Of two values for one setting the later one holds.
func arguments(settings ...map[string]string) []string {
	all := map[string]string{}
	for _, m := range settings {
		for name, value := range m {
			all[strings.ToLower(name)] = value
		}
	}
	var args []string
	for name, value := range all {
		args = append(args, "--"+name+"="+value)
	}
	slices.Sort(args)
	return args
}

// start has the supervisor start PostgreSQL, and returns when that accepts connections. From here on the lock is the
// server's alone.
func (l *launch) start(ctx context.Context, lock *os.File) (*hold, error) {
	defer l.output.Close()
	lock.Close()
	err := l.tell("start")
	if err == nil {
		err = l.awaitReady(ctx)
	}
	if errors.Is(err, errDead) || errors.Is(err, errGone) {
		err = fmt.Errorf("PostgreSQL did not start: %s", lastLines(l.output))
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l.hold, nil
}
