package runtime

import (
	"os"
	"testing"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// TestMain runs the tests, or plays a worker process for one of them.
func TestMain(m *testing.M) {
	if asked := os.Getenv(processVariable); asked != "" {
		os.Exit(runProcess(asked))
	}
	os.Exit(pgtest.Run(m))
}
