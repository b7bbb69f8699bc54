// Command absurdgen generates the typed handles of annotated workflows, steps and events.
//
//	//go:generate go tool absurdgen ./...
//
// Run "absurdgen help" for its use and "absurdgen help step" for the words of one directive.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
