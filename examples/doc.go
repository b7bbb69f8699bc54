// Package examples holds small programs, each with its generated code committed and a test that runs it.
//
//   - [github.com/absurdgen/absurdgen/examples/orders]: charge, approval, packing in parallel, a reminder later.
package examples

//go:generate go tool absurdgen ./...
