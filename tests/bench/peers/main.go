// Command peers runs the trials of other systems for the benchmark, in a module of its own so that users of ours never see
// their dependencies.
package main

import "github.com/absurdgen/absurdgen/tests/bench/trial"

func main() {
	trial.Main(map[string]trial.Work{})
}
