package runtime

import (
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestCloseTwice: closing a client that never listened a second time does nothing.
func TestCloseTwice(t *testing.T) {
	r := newRig(t)
	c := workflow.NewClient(r.pool, workflow.ClientOptions{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Close()
		c.Close()
	}()
	receive(r, "the end of the second Close", done)
}
