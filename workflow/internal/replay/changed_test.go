package replay_test

import (
	"fmt"
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// A change behind Changed takes the old side for tasks that are past it, and the new side for those that are not.
func TestChanged(t *testing.T) {
	t.Parallel()
	old := func(b *replay.Branch) error {
		do(b, "a", "")
		do(b, "b", "")
		return do(b, "c", "")
	}
	edited := func(b *replay.Branch) error {
		do(b, "a", "")
		if yes, _ := b.Changed("fraud-check", nil); yes {
			do(b, "check", "")
		}
		do(b, "b", "")
		if yes, _ := b.Changed("fraud-check", nil); yes {
			do(b, "report", "")
		}
		return do(b, "c", "")
	}
	cleaned := func(b *replay.Branch) error { // the old side is gone
		do(b, "a", "")
		do(b, "check", "")
		do(b, "b", "")
		do(b, "report", "")
		return do(b, "c", "")
	}
	for done, expected := range [][]string{
		0: {"a", "check", "b", "report", "c"},
		1: {"a", "check", "b", "report", "c"},
		2: {"a", "b", "c"},
		3: {"a", "b", "c"},
	} {
		w := &world{}
		p, _ := w.run(done, old)
		p.Stop()
		for every := 1; ; every++ { // one operation a pass: the answer stays
			p, status := w.run(1, edited)
			p.Stop()
			if status == replay.Done {
				break
			}
			if status == replay.Diverged || every > 10 {
				t.Fatalf("with %d done: status %v, divergence %+v", done, status, p.Divergence())
			}
		}
		want(t, fmt.Sprintf("ran with %d done", done), w.ran, expected)
	}
	w := &world{}
	p, _ := w.run(3, edited)
	p.Stop()
	p, status := w.run(100, cleaned)
	defer p.Stop()
	if status != replay.Done {
		t.Errorf("after the call was removed: status %v, divergence %+v", status, p.Divergence())
	}
}
