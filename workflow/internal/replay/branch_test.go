package replay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// A parked branch is not handed an error, so a body cannot take suspension for a failure and go on; and what it does in
// deferred calls while it is unwound gets nowhere.
func TestSuspensionCannotBeSwallowed(t *testing.T) {
	t.Parallel()
	var after []string
	w := &world{}
	p, status := w.run(100, func(b *replay.Branch) error {
		defer func() {
			recover()
			after = append(after, "deferred")
			do(b, "side effect in a deferred call", "")
			after = append(after, "unreachable")
		}()
		for {
			func() {
				defer func() { recover() }()
				await(b, "never")
				after = append(after, "went on")
			}()
		}
	})
	if status != replay.Parked {
		t.Fatalf("status %v", status)
	}
	p.Stop()
	want(t, "what ran while unwinding", after, []string{"deferred"})
	if len(w.ran) != 0 {
		t.Errorf("side effects: %v", w.ran)
	}
}

func TestPanicIsAFailureOfTheBranch(t *testing.T) {
	t.Parallel()
	w := &world{}
	p, status := w.run(100, func(b *replay.Branch) error {
		f := fork(b, func(b *replay.Branch) error { panic("boom") })
		do(b, "a", "")
		return join(b, f)
	})
	defer p.Stop()
	_, err := p.Result()
	pe, ok := errors.AsType[*replay.PanicError](err)
	if status != replay.Done || !ok || pe.Value != "boom" || !strings.Contains(string(pe.Stack), "branch_test.go") {
		t.Errorf("status %v, error %v", status, err)
	}
}

// A workflow ends when all that it started has ended, and an outcome that nobody waited for is not lost.
func TestEndWaitsForBranches(t *testing.T) {
	t.Parallel()
	w := &world{fails: map[string]bool{"1/a": true}}
	p, status := w.run(100, func(b *replay.Branch) error {
		fork(b, func(b *replay.Branch) error { return do(b, "a", "") })
		fork(b, func(b *replay.Branch) error { do(b, "b", ""); return do(b, "c", "") })
		return nil
	})
	defer p.Stop()
	want(t, "ran", w.ran, []string{"1/a", "2/b", "2/c"})
	if f := p.Unobserved(); status != replay.Done || f == nil || f.Err() == nil || f.Err().Error() != "1/a failed" {
		t.Errorf("status %v, unobserved %+v", status, f)
	}
}

func TestForeignContextIsRefused(t *testing.T) {
	t.Parallel()
	w := &world{}
	p, status := w.run(100, func(b *replay.Branch) error {
		f := fork(b, func(*replay.Branch) error { return do(b, "with the parent's context", "") })
		return join(b, f)
	})
	defer p.Stop()
	if _, err := p.Result(); status != replay.Done || !errors.Is(err, replay.ErrForeignContext) {
		t.Errorf("status %v, error %v", status, err)
	}
	if len(w.ran) != 0 {
		t.Errorf("side effects: %v", w.ran)
	}
}

// Time is what the consumed outcomes say: each branch has its own, a join takes the later one.
func TestNow(t *testing.T) {
	t.Parallel()
	var start, inBranch, before, after time.Time
	body := func(b *replay.Branch) error {
		start = b.Now()
		f := fork(b, func(b *replay.Branch) error {
			do(b, "a", "")
			pause(b, time.Hour)
			inBranch = b.Now()
			return nil
		})
		do(b, "b", "")
		before = b.Now()
		join(b, f)
		after = b.Now()
		return nil
	}
	w := &world{}
	p, _ := w.run(3, body) // up to the sleep
	p.Stop()
	w.now = epoch.Add(2 * time.Hour)
	p, _ = w.run(100, body) // replayed, long after it
	p.Stop()
	want(t, "start", start, epoch)
	want(t, "in the branch", inBranch, epoch.Add(2*time.Second+time.Hour))
	want(t, "before the join", before, epoch.Add(time.Second))
	want(t, "after the join", after, epoch.Add(2*time.Second+time.Hour))
}

// The window of a bounded map moves on with whichever operation ends first, and a replay that lacks the slow one's record
// comes to the same operations.
func TestWaitAny(t *testing.T) {
	t.Parallel()
	body := func(b *replay.Branch) error {
		var open []*replay.Future
		for i := range 6 {
			for len(open) == 2 {
				if err := b.WaitAny(open); err != nil {
					return err
				}
				var still []*replay.Future
				for _, f := range open {
					if !f.Done() {
						still = append(still, f)
					}
				}
				open = still
			}
			f, _ := b.Start(replay.Call{Kind: replay.Step, Durable: "s", Key: fmt.Sprint(i), Arg: step("s")})
			open = append(open, f)
		}
		for _, f := range open {
			join(b, f)
		}
		return nil
	}
	w := &world{last: true} // the first stays open to the end
	p, _ := w.run(4, body)
	p.Stop()
	want(t, "recorded", names(w.records), []string{"s:1", "s:2", "s:3", "s:4"})
	p, status := w.run(100, body)
	defer p.Stop()
	if status != replay.Done || len(w.records) != 6 {
		t.Errorf("status %v, divergence %+v, recorded %v", status, p.Divergence(), names(w.records))
	}
}
