package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
)

func devCommand() *command {
	var dir string
	return &command{
		name:  "dev",
		short: "run a private PostgreSQL with the schema, until Ctrl-C",
		usage: "[-dir DIR]",
		long: `
The server keeps its data from one time to the next. Each working directory has a server of
its own, unless -dir says where the data is. The schema is brought to the version of this
program. Standard output gets one line, to be used in other terminals:

  export DATABASE_URL='postgres://...'

Where the server runs already, in another terminal, this one shares it. With DATABASE_URL set
there is nothing to start: the schema of that database is brought up to date, and that is all.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&dir, "dir", "", "keep the data in this `DIR`")
		},
		run: func(ctx context.Context, s std, args []string) error {
			if err := noArguments(args); err != nil {
				return err
			}
			if dsn := os.Getenv("DATABASE_URL"); dsn != "" {
				if dir != "" {
					return usagef("-dir is for a private server, but DATABASE_URL is set: unset it first")
				}
				fmt.Fprintln(s.err, "DATABASE_URL is set, so that no private server is started; unset it to have one")
				return migrateUp(ctx, s, dsn)
			}
			return dev(ctx, s, dir)
		},
	}
}

func dev(ctx context.Context, s std, dir string) (err error) {
	if dir == "" {
		if dir, err = devDir(); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "starting PostgreSQL with its data in %s\n", dir)
	server, err := embedded.Start(ctx, embedded.Options{Dir: dir})
	switch {
	case ctx.Err() != nil && err != nil:
		return nil // told to stop while it was starting
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := serve(ctx, s, server.DSN()); ctx.Err() == nil {
		return err
	}
	fmt.Fprintln(s.err, "stopping; the data stays where it is")
	return nil
}

// serve makes the schema current, says where the server is, and waits until it is told to stop.
func serve(ctx context.Context, s std, dsn string) error {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := db.Install(ctx, conn); err != nil {
		return err
	}
	status, err := db.ReadStatus(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "schema absurd is at version %d; Ctrl-C stops the server\n", status.Version)
	fmt.Fprintf(s.out, "export DATABASE_URL='%s'\n", dsn)
	// Nothing is listened to: what is waited for is the end of ctx or of the server.
	if _, err := conn.WaitForNotification(ctx); ctx.Err() == nil {
		return fmt.Errorf("the server has stopped, see postgres.log beside its data: %w", err)
	}
	return nil
}

// devDir is the directory of the data for the working directory.
func devDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("the working directory is unknown, give -dir: %w", err)
	}
	home, err := dataHome()
	if err != nil {
		return "", fmt.Errorf("there is no home directory for the data, give -dir: %w", err)
	}
	sum := sha256.Sum256([]byte(wd))
	name := filepath.Base(wd) + "-" + hex.EncodeToString(sum[:4])
	return filepath.Join(home, "absurdgen", "dev", strings.TrimPrefix(name, string(filepath.Separator))), nil
}

// dataHome is where programs keep data of a user.
func dataHome() (string, error) {
	if runtime.GOOS != "linux" {
		return os.UserConfigDir()
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share"), err
}
