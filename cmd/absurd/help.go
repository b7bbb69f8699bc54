package main

import (
	"flag"
	"fmt"
	"strings"
)

// help serves "absurd help [COMMAND]".
func help(s std, args []string) int {
	if len(args) == 0 || args[0] == "help" {
		fmt.Fprint(s.out, overview())
		return exitOK
	}
	c := find(args[0])
	if c == nil || c.short == "" {
		fmt.Fprintf(s.err, "absurd help: there is no command %q\n(absurd help lists the commands)\n", args[0])
		return exitUsage
	}
	fmt.Fprint(s.out, c.help())
	return exitOK
}

// overview is the list of commands.
func overview() string {
	var b strings.Builder
	b.WriteString("absurd operates durable workflows on PostgreSQL.\n\nusage: absurd COMMAND [flags]\n\n")
	for _, c := range commands() {
		if c.short != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.short)
		}
	}
	fmt.Fprintf(&b, "  %-9s %s\n", "help", "explain a command: absurd help demo")
	b.WriteString(`
environment:
  DATABASE_URL  the server to use, such as postgres://user:password@host:5432/database;
                without it, demo and dev start a private one
  PG_BIN        the directory of the PostgreSQL programs for a private server, where they
                are not found by themselves
`)
	return b.String()
}

// help is what is said about one command.
func (c *command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "absurd %s: %s\n\n%s\n\n%s\n", c.name, c.short, c.synopsis(), strings.Trim(c.long, "\n"))
	var flags strings.Builder
	c.flagSet().VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(&flags, "  %-20s  %s\n", strings.TrimSpace("-"+f.Name+" "+value), text)
	})
	if flags.Len() > 0 {
		b.WriteString("\nflags:\n" + flags.String())
	}
	return b.String()
}
