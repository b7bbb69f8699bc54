// Package directive reads the comments that steer the generator:
//
//	//absurd:step name=orders.charge attempts=5 backoff=2s..1m
//
// A directive is a verb and words. A word is key=value; the whole word may be a Go string literal, for values with
// spaces. The verbs, their keys and the types of the values are the structs of verbs.go, and the doc comments there are
// the help text.
package directive
