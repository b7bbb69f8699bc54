package replay_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// A workflow of every kind of operation, stopped after each number of operations and taken up again until it is done: every
// step runs to its record once, and the records are those of the uninterrupted run.
func TestAnyCrashGivesTheSameRecords(t *testing.T) {
	t.Parallel()
	body := func(b *replay.Branch) error {
		if err := do(b, "charge", "order"); err != nil {
			do(b, "refund", "order")
		}
		var packed []*replay.Future
		for i := range 3 {
			packed = append(packed, fork(b, func(b *replay.Branch) error {
				for range i + 1 {
					do(b, "pack", fmt.Sprint(i))
				}
				return pause(b, time.Duration(i)*time.Second)
			}))
		}
		if err := await(b, "approved"); err != nil {
			return err
		}
		for _, f := range packed {
			if err := join(b, f); err != nil {
				return err
			}
		}
		winner, end, err := b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error {
				return errors.Join(do(b, "slow", ""), do(b, "slow", ""), pause(b, time.Hour))
			},
			func(b *replay.Branch) error {
				return errors.Join(do(b, "quick", ""), join(b, fork(b, func(b *replay.Branch) error { return do(b, "nested", "") })))
			},
			func(b *replay.Branch) error { return await(b, "never") },
		})
		if err != nil || winner != 1 || join(b, end) != nil {
			return fmt.Errorf("winner %d, error %w", winner, err)
		}
		return do(b, "ship", "order")
	}
	fresh := func(last bool) *world {
		return &world{fails: map[string]bool{"charge": true}, emitted: map[string]bool{"approved": true}, last: last}
	}
	for _, last := range []bool{false, true} {
		whole := fresh(last)
		p, status := whole.run(1000, body)
		p.Stop()
		if status != replay.Done {
			t.Fatalf("the uninterrupted run: status %v", status)
		}
		for every := 1; every < len(whole.records); every++ {
			w := fresh(last)
			for passes := 0; ; passes++ {
				p, status := w.run(every, body)
				d := p.Divergence()
				p.Stop()
				if status == replay.Diverged {
					t.Fatalf("stopped every %d: diverged: %+v", every, d)
				}
				if status == replay.Done {
					break
				}
				if passes > len(whole.records) {
					t.Fatalf("stopped every %d: not done after %d passes", every, passes)
				}
				w.now = w.now.Add(time.Minute)
			}
			count := map[string]int{}
			for _, n := range w.ran {
				if count[n]++; count[n] > 1 {
					t.Errorf("stopped every %d: step %s ran %d times", every, n, count[n])
				}
			}
			// How far the losers of the race came depends on timing.
			loser := func(name string) bool { return strings.HasPrefix(name, "4/") || strings.HasPrefix(name, "6/") }
			got, expected := map[string]bool{}, map[string]bool{}
			for _, n := range slices.DeleteFunc(names(w.records), loser) {
				got[n] = true
			}
			for _, n := range slices.DeleteFunc(names(whole.records), loser) {
				expected[n] = true
			}
			want(t, fmt.Sprintf("records when stopped every %d", every), got, expected)
		}
	}
}
