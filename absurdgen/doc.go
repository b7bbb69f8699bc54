// Package absurdgen turns annotated Go functions into typed handles for the workflow runtime.
//
// A user writes
//
//	// charge takes the money.
//	//
//	//absurd:step attempts=5 backoff=2s..1m
//	func charge(ctx context.Context, o Order) (Receipt, error) { ... }
//
// and calls Charge.Do(ctx, order) from a workflow. Run writes the file absurd_gen.go that declares Charge, one beside the
// code of each package that has annotations.
//
// A run has six stages, each in a file of its own:
//
//   - load asks the go command for packages and export data, once for all;
//   - discover finds the directives, and with them the names that will be generated;
//   - typecheck checks the packages as if absurd_gen.go were empty, and drops the errors that only say that those
//     names are missing;
//   - shape, names and keypath check every annotated declaration and build the model;
//   - emit writes the model as Go code into memory, with codec for the payloads, and the packages are type-checked again with
//     it;
//   - write puts changed files in place and removes those of ours that are no longer produced.
//
// Between the last two, operations finds what each workflow does durably, shapehash sums it up for the generated code, and
// lockfile holds it against the module's absurd.lock, and refuses a change that running tasks would not survive.
//
// Packages of the module that are imported without being named are looked at like the others and never written, so that naming
// one package gives the same code and the same lock as naming all.
//
// All mistakes are reported at once, and nothing is written when there is one. The output holds no version, time or path,
// so the same input gives the same bytes, whatever state the old output is in.
//
// The package knows the runtime by import path alone.
package absurdgen
