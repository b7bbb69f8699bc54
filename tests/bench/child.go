package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/jackc/pgx/v5"

	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

// outcome is one trial's.
type outcome struct {
	trial.Report
	cost
}

// run runs one trial in a child process, on a database of its own.
func (b *benchmark) run(ctx context.Context, s trial.Spec) (o outcome, err error) {
	admin, err := pgx.Connect(ctx, b.server.DSN("postgres"))
	if err != nil {
		return o, err
	}
	defer admin.Close(ctx)
	b.trials++
	name := fmt.Sprintf("trial_%d", b.trials)
	if _, err := admin.Exec(ctx, "create database "+name); err != nil {
		return o, err
	}
	defer func() {
		_, dropped := admin.Exec(ctx, "drop database "+name+" with (force)")
		err = errors.Join(err, dropped)
	}()
	s.DSN = b.server.DSN(name)
	if b.pooler != nil {
		s.Pooler = b.pooler.DSN(name)
	}

	command := b.command(s.System)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return o, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := command.Start(); err != nil {
		return o, err
	}
	defer func() {
		in.Close()
		if ctx.Err() != nil {
			_ = command.Process.Kill() // it may have ended already
		}
		err = errors.Join(err, command.Wait())
	}()
	return b.converse(ctx, admin, name, s, in, bufio.NewReader(out))
}

func (b *benchmark) converse(ctx context.Context, admin *pgx.Conn, database string, s trial.Spec, in io.Writer, out *bufio.Reader) (o outcome, err error) {
	if err := json.NewEncoder(in).Encode(s); err != nil {
		return o, err
	}
	line, err := out.ReadBytes('\n')
	if err != nil {
		return o, fmt.Errorf("%s said nothing: %w", s.System, err)
	}
	if string(line) != "\"ready\"\n" { // it cannot do it
		return o, json.Unmarshal(line, &o.Report)
	}
	own, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return o, err
	}
	defer own.Close(ctx)
	if _, err := own.Exec(ctx, "analyze"); err != nil {
		return o, err
	}
	if _, err := admin.Exec(ctx, "checkpoint"); err != nil {
		return o, err
	}
	before, err := b.server.read(ctx, admin, database)
	if err != nil {
		return o, err
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		return o, err
	}
	if line, err = out.ReadBytes('\n'); err != nil {
		return o, fmt.Errorf("%s did not report: %w", s.System, err)
	}
	after, err := b.server.read(ctx, admin, database)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(line, &o.Report); err != nil {
		return o, err
	}
	if o.cost, err = b.server.between(ctx, admin, before, after); err != nil || !b.statements {
		return o, err
	}
	return o, errors.Join(showStatements(ctx, admin, database), showWAL(ctx, admin, before, after, o.Units))
}

// command returns the child of a system: this very program for ours, the nested module for peers.
func (b *benchmark) command(system string) *exec.Cmd {
	if system == ourName {
		return exec.Command(os.Args[0], childFlag)
	}
	return exec.Command(b.peers)
}
