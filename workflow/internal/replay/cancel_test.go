package replay_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

var errCut = errors.New("cut short")

// durable makes a durable call and says whether it was cut short.
func durable(b *replay.Branch, kind replay.Kind, name string, shielded bool) error {
	f, err := b.Start(replay.Call{Kind: kind, Durable: name, Arg: event(name), Shielded: shielded})
	if err != nil {
		return err
	}
	if err := b.Wait(f); err != nil {
		return err
	}
	if f.Op().Outcome == replay.Cut {
		return errCut
	}
	return nil
}

// A workflow of two branches, one of which cleans up when it is cut short.
func cleaner(seen *[]string) func(*replay.Branch) error {
	return func(b *replay.Branch) error {
		note := func(what string, err error) error {
			if err != nil {
				what += ": " + err.Error()
			}
			*seen = append(*seen, what)
			return err
		}
		side := fork(b, func(b *replay.Branch) error { return note("side", durable(b, replay.Event, "side", false)) })
		if err := note("first", durable(b, replay.Event, "first", false)); err != nil {
			return err
		}
		if err := note("child", durable(b, replay.Child, "child", false)); err != nil {
			_ = note("more", durable(b, replay.Event, "more", false))
			_ = note("undo", durable(b, replay.Event, "undo", true))
			_ = b.Wait(side)
			return err
		}
		return nil
	}
}

func named(ops []*replay.Op) []string {
	var names []string
	for _, op := range ops {
		names = append(names, op.Name)
	}
	return names
}

// A cancel cuts short what is open and what follows, but not what cleans up; and so does its record in every replay, whatever is
// recorded for it later.
func TestCancel(t *testing.T) {
	t.Parallel()
	outcome := func(name string, kind replay.Kind, o replay.Outcome) replay.Record {
		return replay.Record{Name: name, Kind: kind, Outcome: o, Time: epoch}
	}
	history := []replay.Record{outcome("first", replay.Event, replay.Value), outcome("child", replay.Child, replay.Pending)}
	var seen []string
	p := replay.New(replay.Config{History: history, Start: epoch, Now: epoch,
		Body: func(b *replay.Branch) ([]byte, error) { return nil, cleaner(&seen)(b) }})
	if status := p.Run(); status != replay.Parked {
		t.Fatalf("status %v", status)
	}
	want(t, "open", named(p.Wants()), []string{"child", "1/side"})
	at := epoch.Add(time.Minute)
	p.Cancel(at, func(*replay.Op) bool { return false })
	want(t, "abandoned", named(p.Abandoned()), []string{"child", "1/side"})
	p.Run()
	want(t, "seen", seen, []string{"first", "child: cut short", "more: cut short", "side: cut short"})
	want(t, "wanted now", named(p.Wants()), []string{"undo"})
	decisions := p.Decisions()
	if len(decisions) != 1 || decisions[0].Kind != replay.Cancel || decisions[0].Name != "$cancel" || !decisions[0].Time.Equal(at) {
		t.Fatalf("recorded %+v", decisions)
	}
	var cut []string
	if err := json.Unmarshal(decisions[0].State, &cut); err != nil {
		t.Fatal(err)
	}
	want(t, "cut short", cut, []string{"child", "1/side"})
	p.Stop()

	// The outcomes of both come after all: they do not count.
	history = slices.Concat(history[:1], decisions, []replay.Record{
		outcome("child", replay.Child, replay.Value), outcome("1/side", replay.Event, replay.Value), outcome("undo", replay.Event, replay.Value),
	})
	before := slices.Clone(seen)
	seen = nil
	p = replay.New(replay.Config{History: history, Start: epoch, Now: at,
		Body: func(b *replay.Branch) ([]byte, error) { return nil, cleaner(&seen)(b) }})
	defer p.Stop()
	status := p.Run()
	if _, err := p.Result(); status != replay.Done || !errors.Is(err, errCut) || !p.Cancelled() {
		t.Errorf("status %v, error %v, divergence %+v", status, err, p.Divergence())
	}
	want(t, "seen again", slices.Sorted(slices.Values(seen)), slices.Sorted(slices.Values(append(before, "undo"))))
}

// A step that runs is not cut short before it has returned.
func TestCancelKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	p := replay.New(replay.Config{Start: epoch, Now: epoch, Body: func(b *replay.Branch) ([]byte, error) {
		if err := durable(b, replay.Step, "kept", false); err != nil {
			return nil, err
		}
		return nil, durable(b, replay.Step, "cut", false)
	}})
	defer p.Stop()
	p.Run()
	kept := p.Wants()[0]
	p.Cancel(epoch, func(op *replay.Op) bool { return op == kept })
	if status := p.Run(); status != replay.Parked || kept.Outcome != 0 {
		t.Fatalf("status %v, outcome %v", status, kept.Outcome)
	}
	p.Resolve(kept, replay.Value, nil, epoch)
	if status := p.Run(); status != replay.Done {
		t.Fatalf("status %v", status)
	}
	if _, err := p.Result(); !errors.Is(err, errCut) {
		t.Errorf("error %v, want that of the second step", err)
	}
}

// A workflow that does not mind ends all the same.
func TestDeafWorkflow(t *testing.T) {
	t.Parallel()
	p := replay.New(replay.Config{Start: epoch, Now: epoch, Body: func(b *replay.Branch) ([]byte, error) {
		for {
			_ = durable(b, replay.Event, "e", false)
		}
	}})
	defer p.Stop()
	p.Run()
	p.Cancel(epoch, func(*replay.Op) bool { return false })
	status := p.Run()
	if _, err := p.Result(); status != replay.Done || !errors.Is(err, replay.ErrDeaf) {
		t.Errorf("status %v, error %v", status, err)
	}
}

// A child that is under way is a record: code that does not come to it any more diverges; code that does waits for it.
func TestChildUnderWay(t *testing.T) {
	t.Parallel()
	history := []replay.Record{{Name: "$child:a", Kind: replay.Child, Outcome: replay.Pending, Time: epoch, State: []byte(`{}`)}}
	for ask, status := range map[string]replay.Status{"$child:a": replay.Parked, "$child:b": replay.Diverged} {
		p := replay.New(replay.Config{History: history, Start: epoch, Now: epoch, Body: func(b *replay.Branch) ([]byte, error) {
			return nil, durable(b, replay.Child, ask, false)
		}})
		if got := p.Run(); got != status {
			t.Errorf("asked for %s: status %v, want %v", ask, got, status)
		}
		if status == replay.Parked && p.Wants()[0].Prior == nil {
			t.Error("the child would be made again")
		}
		p.Stop()
	}
}

// A workflow may end before what is detached.
func TestDetached(t *testing.T) {
	t.Parallel()
	for _, detached := range []bool{false, true} {
		p := replay.New(replay.Config{Start: epoch, Now: epoch, Body: func(b *replay.Branch) ([]byte, error) {
			_, err := b.Start(replay.Call{Kind: replay.Child, Durable: "c", Detached: detached})
			return nil, err
		}})
		if status := p.Run(); (status == replay.Done) != detached {
			t.Errorf("detached %v: status %v", detached, status)
		}
		want(t, "wanted", named(p.Wants()), []string{"c"})
		p.Stop()
	}
}
