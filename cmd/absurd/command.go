package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// std are the standard streams of the process.
type std struct{ in, out, err *os.File }

// command is one word after "absurd".
type command struct {
	name  string
	short string // one line in the list; empty: hidden, this program alone calls it
	usage string // what may follow the name
	long  string // what "absurd help name" says
	flags func(*flag.FlagSet)

	// run does the work. When a signal ends ctx, it takes down what it has started, and returns what was wrong with that.
	run func(ctx context.Context, s std, args []string) error
}

// commands returns all commands. Each call makes them anew, with flags of their own.
func commands() []*command {
	return []*command{demoCommand(), devCommand(), migrateCommand(), gatewayCommand(), workerCommand()}
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError says that the command line is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// signalError says that a signal has ended a command.
type signalError struct{ os.Signal }

func (e *signalError) Error() string { return "ended by a signal: " + e.Signal.String() }

// exitCode is 128 and the signal's number, as in a shell.
func (e *signalError) exitCode() int {
	if n, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailure
}

// run runs the command that args name and returns the exit code of the process.
func run(ctx context.Context, args []string, s std) int {
	if len(args) == 0 {
		fmt.Fprint(s.err, overview())
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(s, args)
	}
	c := find(name)
	if c == nil {
		fmt.Fprintf(s.err, "absurd: there is no command %q\nusage: absurd COMMAND [flags]\n(absurd help lists the commands)\n", name)
		return exitUsage
	}
	return c.execute(ctx, s, args)
}

func find(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

// execute parses the flags and runs the command. The first signal ends its context; the second ends the process at once.
func (c *command) execute(ctx context.Context, s std, args []string) int {
	fs := c.flagSet()
	if err := fs.Parse(args); err != nil {
		return c.report(s, &usageError{err})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case sig := <-signals:
			signal.Stop(signals)
			cancel(&signalError{sig})
		case <-ctx.Done():
		}
	}()
	err := c.run(ctx, s, fs.Args())
	if caught, ok := errors.AsType[*signalError](context.Cause(ctx)); ok {
		if err != nil && !errors.Is(err, context.Canceled) {
			c.report(s, err)
		}
		return caught.exitCode()
	}
	return c.report(s, err)
}

// report says on standard error how a command went, if not well, and returns the exit code.
func (c *command) report(s std, err error) int {
	switch _, misused := errors.AsType[*usageError](err); {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(s.out, c.help())
		return exitOK
	case misused:
		fmt.Fprintf(s.err, "absurd %s: %v\n%s\n(absurd help %s explains it)\n", c.name, err, c.synopsis(), c.name)
		return exitUsage
	}
	fmt.Fprintf(s.err, "absurd %s: %s\n", c.name, explain(err))
	return exitFailure
}

// synopsis is how the command is called.
func (c *command) synopsis() string {
	return strings.TrimSpace("usage: absurd " + c.name + " " + c.usage)
}

func (c *command) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(fs)
	}
	return fs
}

// noArguments refuses what follows the flags.
func noArguments(args []string) error {
	if len(args) > 0 {
		return usagef("%q is too much: it takes flags only", args[0])
	}
	return nil
}
