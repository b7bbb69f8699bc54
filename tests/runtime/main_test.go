package runtime

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// TestMain runs the tests, or plays a worker process for one of them.
func TestMain(m *testing.M) {
	if asked := os.Getenv(processVariable); asked != "" {
		os.Exit(runProcess(asked))
	}
	// The tests wait more than they compute.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(8, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	os.Exit(pgtest.Run(m))
}
