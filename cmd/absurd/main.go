// Command absurd operates durable workflows on PostgreSQL: it shows what they are for, runs a private server for development, and
// installs the schema.
//
//	go run github.com/absurdgen/absurdgen/cmd/absurd demo
//
// "absurd help" lists its commands, and "absurd help demo" explains one.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], std{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
