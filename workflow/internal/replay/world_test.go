package replay_test

import (
	"errors"
	"slices"
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
