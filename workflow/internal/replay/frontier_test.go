package replay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// The table of edits: each changes a workflow whose first two of three steps are recorded.
func TestEdits(t *testing.T) {
	t.Parallel()
	steps := func(calls ...string) func(*replay.Branch) error {
		return func(b *replay.Branch) error {
			for _, c := range calls {
				name, input, _ := strings.Cut(c, "=")
				var err error
				if name == "$sleep" {
					err = pause(b, time.Hour)
				} else {
					err = do(b, name, input)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	original := steps("a=1", "b=2", "c=3")
	for _, c := range []struct {
		edit     string
		body     func(*replay.Branch) error
		diverges bool
	}{
		{"none", original, false},
		{"remove a finished step", steps("b=2", "c=3"), true},
		{"rename a finished step", steps("a=1", "bb=2", "c=3"), true},
		{"insert before a finished step", steps("a=1", "new=9", "b=2", "c=3"), true},
		{"insert a sleep before a finished step", steps("a=1", "$sleep", "b=2", "c=3"), true},
		{"move a finished step behind the frontier", steps("a=1", "c=3", "b=2"), true},
		{"end before a finished step", steps("a=1"), true},
		{"change the kind", func(b *replay.Branch) error {
			f, _ := b.Start(replay.Call{Kind: replay.Event, Durable: "a", Arg: event("a")})
			return join(b, f)
		}, true},
		{"move a finished step into a branch", func(b *replay.Branch) error {
			do(b, "a", "1")
			return join(b, fork(b, func(b *replay.Branch) error { return do(b, "b", "2") }))
		}, true},
		{"swap finished steps", steps("b=2", "a=1", "c=3"), false},
		{"append", steps("a=1", "b=2", "c=3", "d=4"), false},
		{"change after the frontier", steps("a=1", "b=2", "x=9"), false},
		{"another input of a finished step", steps("a=7", "b=2", "c=3"), false},
	} {
		t.Run(c.edit, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			p, _ := w.run(2, original)
			p.Stop()
			w.ran = nil
			p, status := w.run(100, c.body)
			defer p.Stop()
			if diverged := status == replay.Diverged; diverged != c.diverges {
				t.Errorf("diverged: %v, want %v (%+v)", diverged, c.diverges, p.Divergence())
			}
			if c.diverges && len(w.ran) > 0 {
				t.Errorf("side effects before the divergence: %v", w.ran)
			}
		})
	}
}

func TestDivergenceNamesBothSides(t *testing.T) {
	t.Parallel()
	w := &world{}
	p, _ := w.run(2, func(b *replay.Branch) error { do(b, "a", ""); return do(b, "b", "") })
	p.Stop()
	p, status := w.run(1, func(b *replay.Branch) error { do(b, "a", ""); return do(b, "bb", "") })
	defer p.Stop()
	if status != replay.Diverged {
		t.Fatalf("status %v", status)
	}
	d := p.Divergence()
	want(t, "recorded", names(d.Recorded), []string{"b"})
	if len(d.Reached) != 1 || d.Reached[0].Name != "bb" {
		t.Errorf("reached: %+v", d.Reached)
	}
}

// Under a repeated name operations are paired by order: another input there is a mix-up.
func TestRepeatWithAnotherInputDiverges(t *testing.T) {
	t.Parallel()
	loop := func(inputs ...string) func(*replay.Branch) error {
		return func(b *replay.Branch) error {
			for _, in := range inputs {
				do(b, "a", in)
			}
			return do(b, "end", "")
		}
	}
	w := &world{}
	p, _ := w.run(2, loop("x", "y"))
	p.Stop()
	p, status := w.run(1, loop("y", "x"))
	defer p.Stop()
	if status != replay.Diverged || p.Divergence().Name != "a#2" {
		t.Errorf("status %v, divergence %+v", status, p.Divergence())
	}
}
