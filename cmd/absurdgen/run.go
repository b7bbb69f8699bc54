package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/absurdgen"
)

// Exit codes.
const (
	exitOK    = 0
	exitWrong = 1 // mistakes in the code, or files that are not up to date
	exitUsage = 2
)

const usage = `absurdgen writes absurd_gen.go beside annotated Go code.

usage:
  absurdgen [flags] [packages]   generate; packages as for the go command, default "."
  absurdgen accept NAME -why REASON [packages]
                                 let a change of NAME pass that breaks running tasks
  absurdgen schema [-tags tags] [packages]
                                 print the JSON Schema of all payloads, as a JSON array
  absurdgen help [verb]          explain directives
  absurdgen version              print the versions of tool and generated code

flags:
`

// run is the command without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "version":
			fmt.Fprintf(stdout, "absurdgen %s, generated code ABI %d\n", version(), absurdgen.ABI)
			return exitOK
		case "help":
			return help(args[1:], stdout, stderr)
		case "schema":
			return schemas(ctx, args[1:], stdout, stderr)
		}
	}
	c := command{stdout: stdout, stderr: stderr}
	if len(args) > 1 && args[0] == "accept" && !strings.HasPrefix(args[1], "-") {
		c.accept, args = args[1], args[2:]
	} else if len(args) > 0 && args[0] == "accept" {
		fmt.Fprintln(stderr, "absurdgen: accept whose change? write absurdgen accept NAME -why REASON")
		return exitUsage
	}
	flags := flag.NewFlagSet("absurdgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&c.check, "check", false, "write nothing; fail when a file is new, changed or orphaned")
	flags.BoolVar(&c.json, "json", false, "print mistakes and changes as one JSON object")
	flags.BoolVar(&c.verbose, "v", false, "print what was written and how long each stage took")
	if c.accept != "" {
		flags.StringVar(&c.why, "why", "", "why no running task is harmed; kept in absurd.lock")
	}
	flags.StringVar(&c.tags, "tags", "", "build `tags`, separated by commas")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	c.patterns = flags.Args()
	if c.accept != "" {
		if strings.TrimSpace(c.why) == "" {
			fmt.Fprintln(stderr, "absurdgen: accept needs -why REASON")
			return exitUsage
		}
		if len(c.patterns) == 0 { // the lock is that of the whole module
			c.patterns = []string{"./..."}
		}
	}
	return c.generate(ctx)
}

func schemas(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("absurdgen schema", flag.ContinueOnError)
	flags.SetOutput(stderr)
	tags := flags.String("tags", "", "build `tags`, separated by commas")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	all, err := absurdgen.Schemas(ctx, absurdgen.Options{Patterns: flags.Args(), Tags: *tags})
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitWrong
	}
	if all == nil {
		all = []absurdgen.Schema{}
	}
	return printIndented(all, stdout, stderr)
}

func printIndented(v any, stdout, stderr io.Writer) int {
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintln(stderr, "absurdgen:", err)
		return exitWrong
	}
	return exitOK
}

func help(args []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch verb {
	case "help", "accept", "schema", "version": // the usage explains them
		fmt.Fprint(stdout, strings.TrimSuffix(usage, "\nflags:\n"))
		return exitOK
	case "":
		fmt.Fprint(stdout, strings.TrimSuffix(usage, "\nflags:\n"), "\n")
	}
	text, err := absurdgen.Help(verb)
	if err != nil {
		fmt.Fprintln(stderr, "absurdgen:", err)
		return exitUsage
	}
	fmt.Fprint(stdout, text)
	return exitOK
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown version)"
	}
	return info.Main.Version
}

type command struct {
	check, json, verbose bool
	tags                 string
	accept, why          string // a name whose breaking changes pass, and the reason
	patterns             []string
	stdout, stderr       io.Writer
}

func (c command) generate(ctx context.Context) int {
	// The first run in a module compiles all dependencies, which looks like a hang.
	slow := time.AfterFunc(2*time.Second, func() {
		fmt.Fprintln(c.stderr, "absurdgen: loading packages; the first time this compiles what they import")
	})
	defer slow.Stop()
	start := time.Now()
	opts := absurdgen.Options{Patterns: c.patterns, Tags: c.tags, Check: c.check}
	opts.Progress = func(stage string, took time.Duration) {
		slow.Stop()
		if c.verbose {
			fmt.Fprintf(c.stderr, "absurdgen: %-10s %6.1f ms\n", stage, float64(took.Microseconds())/1000)
		}
	}
	generate := absurdgen.Run
	if c.accept != "" {
		generate = func(ctx context.Context, opts absurdgen.Options) (absurdgen.Result, error) {
			return absurdgen.Accept(ctx, opts, c.accept, c.why)
		}
	}
	result, err := generate(ctx, opts)
	var mistakes absurdgen.Diagnostics
	if err != nil && !errors.As(err, &mistakes) {
		fmt.Fprintln(c.stderr, err)
		return exitWrong
	}
	if c.verbose {
		fmt.Fprintf(c.stderr, "absurdgen: %d handles in %d packages, %d files differ, %.1f ms\n",
			result.Handles, result.Packages, len(result.Changes), float64(time.Since(start).Microseconds())/1000)
	}
	if c.json {
		return c.printJSON(result, mistakes)
	}
	return c.printText(result, mistakes)
}

func (c command) printText(result absurdgen.Result, mistakes absurdgen.Diagnostics) int {
	if len(mistakes) > 0 {
		fmt.Fprintln(c.stderr, mistakes)
		return exitWrong
	}
	for _, change := range result.Shape {
		if c.verbose || change.Class == "review" {
			fmt.Fprintf(c.stderr, "absurd.lock: %s\n", change)
		}
	}
	for _, change := range result.Changes {
		switch {
		case c.check:
			fmt.Fprintf(c.stderr, "%s: %s\n", change.File, change.Kind)
		case c.verbose:
			fmt.Fprintf(c.stderr, "absurdgen: %s: %s\n", change.File, change.Kind)
		}
	}
	if c.check && len(result.Changes) > 0 {
		fmt.Fprintf(c.stderr, "generated code is not up to date; run:\n\tgo tool absurdgen %s\n", c.command())
		return exitWrong
	}
	return exitOK
}

// command is what to type to bring the files up to date.
func (c command) command() string {
	words := c.patterns
	if len(words) == 0 {
		words = []string{"."}
	}
	if c.tags != "" {
		words = append([]string{"-tags=" + c.tags}, words...)
	}
	return strings.Join(words, " ")
}

func (c command) printJSON(result absurdgen.Result, mistakes absurdgen.Diagnostics) int {
	out := struct {
		Diagnostics absurdgen.Diagnostics   `json:"diagnostics"`
		Changes     []absurdgen.Change      `json:"changes"`
		Shape       []absurdgen.ShapeChange `json:"shape"`
	}{mistakes, result.Changes, result.Shape}
	if out.Diagnostics == nil {
		out.Diagnostics = absurdgen.Diagnostics{}
	}
	if out.Changes == nil {
		out.Changes = []absurdgen.Change{}
	}
	if out.Shape == nil {
		out.Shape = []absurdgen.ShapeChange{}
	}
	if code := printIndented(out, c.stdout, c.stderr); code != exitOK {
		return code
	}
	if len(mistakes) > 0 || c.check && len(result.Changes) > 0 {
		return exitWrong
	}
	return exitOK
}
