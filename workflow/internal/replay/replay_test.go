package replay_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world performs what a pass wants, one operation a turn, and remembers what it recorded and which steps it ran.
type world struct {
	records []replay.Record
	ran     []string
	now     time.Time
	fails   map[string]bool // steps, by checkpoint name, that fail
	emitted map[string]bool // events, by checkpoint name, that have come
	last    bool            // perform the newest want first instead of the oldest
}

type step string
type sleep time.Duration
type event string

func do(b *replay.Branch, name, input string) error {
	f, err := b.Start(replay.Call{Kind: replay.Step, Durable: name, Arg: step(name), Fingerprint: print(input)})
	if err != nil {
		return err
	}
	return join(b, f)
}

func join(b *replay.Branch, f *replay.Future) error {
	if err := b.Wait(f); err != nil {
		return err
	}
	if op := f.Op(); op != nil && op.Outcome == replay.Failure {
		return errors.New(string(op.State))
	}
	return f.Err()
}

func pause(b *replay.Branch, d time.Duration) error {
	f, err := b.Start(replay.Call{Kind: replay.Sleep, Durable: "$sleep", Arg: sleep(d)})
	if err != nil {
		return err
	}
	return join(b, f)
}

func await(b *replay.Branch, name string) error {
	f, err := b.Start(replay.Call{Kind: replay.Event, Durable: "$event:" + name, Arg: event(name)})
	if err != nil {
		return err
	}
	return join(b, f)
}

func print(input string) int64 {
	if input == "" {
		return 0
	}
	n := int64(1)
	for _, c := range input {
		n = n*31 + int64(c)
	}
	return n
}

// run performs at most limit operations of one pass. It returns the pass and where it stands.
func (w *world) run(limit int, body func(*replay.Branch) error) (*replay.Pass, replay.Status) {
	if w.now.IsZero() {
		w.now = epoch
	}
	p := replay.New(replay.Config{
		History: append([]replay.Record(nil), w.records...), Start: epoch, Now: w.now,
		Body: func(b *replay.Branch) ([]byte, error) { return nil, body(b) },
	})
	var open []*replay.Op
	for {
		status := p.Run()
		w.records = append(w.records, p.Decisions()...)
		for _, op := range p.Abandoned() {
			open = slices.DeleteFunc(open, func(o *replay.Op) bool { return o == op })
		}
		if status != replay.Parked {
			return p, status
		}
		open = append(open, p.Wants()...)
		var op *replay.Op
		for i := range open {
			if w.last {
				i = len(open) - 1 - i
			}
			if e, ok := open[i].Arg.(event); ok && !w.emitted[string(e)] {
				continue
			}
			op = open[i]
			open = append(open[:i:i], open[i+1:]...)
			break
		}
		if limit == 0 || op == nil && !w.skip(p) {
			return p, status
		}
		if op == nil {
			continue
		}
		limit--
		w.now = w.now.Add(time.Second)
		rec := replay.Record{Name: op.Name, Kind: op.Kind, Outcome: replay.Value, Fingerprint: op.Fingerprint, Time: w.now}
		if d, ok := op.Arg.(sleep); ok {
			rec.Wake = op.Asked.Add(time.Duration(d))
			w.records = append(w.records, rec)
			p.StartSleep(op, rec.Wake)
			continue
		}
		if w.fails[op.Name] {
			rec.Outcome, rec.State = replay.Failure, []byte(op.Name+" failed")
		}
		if op.Kind == replay.Step {
			w.ran = append(w.ran, op.Name)
		}
		w.records = append(w.records, rec)
		p.Resolve(op, rec.Outcome, rec.State, rec.Time)
	}
}

// skip moves the clock on to the end of the earliest sleep, if any.
func (w *world) skip(p *replay.Pass) bool {
	var wake time.Time
	for _, op := range p.Open() {
		if at := op.Wake(); !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	if wake.IsZero() {
		return false
	}
	w.now = wake
	p.Advance(w.now)
	return true
}

func names(records []replay.Record) []string {
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
	}
	return names
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func fork(b *replay.Branch, body func(*replay.Branch) error) *replay.Future {
	f, err := b.Fork(body)
	if err != nil {
		panic(err)
	}
	return f
}

func TestNamesComeFromPosition(t *testing.T) {
	t.Parallel()
	body := func(b *replay.Branch) error {
		do(b, "a", "")
		one := fork(b, func(b *replay.Branch) error {
			do(b, "a", "")
			inner := fork(b, func(b *replay.Branch) error { return do(b, "a", "") })
			do(b, "a", "")
			return join(b, inner)
		})
		two := fork(b, func(b *replay.Branch) error { return do(b, "a", "") })
		join(b, one)
		join(b, two)
		f, _ := b.Start(replay.Call{Kind: replay.Step, Durable: "k", Key: "x#2", Arg: step("k")})
		join(b, f)
		return do(b, "a", "")
	}
	expected := map[string]bool{"a": true, "1/a": true, "1/a#2": true, "1.1/a": true, "2/a": true, "k:x##2": true, "a#2": true}
	for _, last := range []bool{false, true} {
		w := &world{last: last}
		p, status := w.run(100, body)
		defer p.Stop()
		if status != replay.Done {
			t.Fatalf("status %v", status)
		}
		got := map[string]bool{}
		for _, n := range names(w.records) {
			got[n] = true
		}
		want(t, fmt.Sprintf("names, newest first %v", last), got, expected)
	}
}

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

func TestPendingRecordIsNoOutcome(t *testing.T) {
	t.Parallel()
	w := &world{records: []replay.Record{{Name: "a", Kind: replay.Step, Outcome: replay.Pending, State: []byte("2 attempts")}}}
	p := replay.New(replay.Config{History: w.records, Body: func(b *replay.Branch) ([]byte, error) { return nil, do(b, "a", "") }})
	defer p.Stop()
	if s := p.Run(); s != replay.Parked {
		t.Fatalf("status %v", s)
	}
	wants := p.Wants()
	if len(wants) != 1 || wants[0].Prior == nil || string(wants[0].Prior.State) != "2 attempts" {
		t.Errorf("wants %+v", wants)
	}
	// A pending record that the code does not reach is no divergence either: nothing has been done under it.
	q := replay.New(replay.Config{History: w.records, Body: func(*replay.Branch) ([]byte, error) { return nil, nil }})
	defer q.Stop()
	if s := q.Run(); s != replay.Done {
		t.Errorf("status %v", s)
	}
}

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
	if status != replay.Done || !ok || pe.Value != "boom" || !strings.Contains(string(pe.Stack), "replay_test.go") {
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

func TestLongKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := &world{}
	p, _ := w.run(1, func(b *replay.Branch) error {
		_, err := b.Start(replay.Call{Kind: replay.Step, Durable: "a", Key: strings.Repeat("k", replay.MaxName)})
		return err
	})
	defer p.Stop()
	if _, err := p.Result(); err == nil || !strings.Contains(err.Error(), "shorten its key") {
		t.Errorf("error %v", err)
	}
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

// What was recorded because of a failure is served when the code comes there again, and not missed when it does not.
func TestSupersededRecords(t *testing.T) {
	t.Parallel()
	body := func(b *replay.Branch) error {
		if err := do(b, "charge", ""); err != nil {
			return errors.Join(err, do(b, "refund", ""))
		}
		return nil
	}
	for _, fails := range []bool{false, true} {
		w := &world{fails: map[string]bool{"charge": fails}, records: []replay.Record{
			{Name: "refund", Kind: replay.Step, Outcome: replay.Value, Superseded: true, Time: epoch},
		}}
		p, status := w.run(100, body)
		p.Stop()
		if status != replay.Done {
			t.Errorf("charge fails %v: status %v, divergence %+v", fails, status, p.Divergence())
		}
		want(t, fmt.Sprintf("ran when charge fails %v", fails), w.ran, []string{"charge"})
	}
}
