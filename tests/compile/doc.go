// Package compile shows that mistakes do not compile. Each test adds one wrong file to a copy of an example's package, generated
// code included, and compares what the compiler says about it, with its position.
package compile
