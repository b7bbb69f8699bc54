package replay_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

func TestRace(t *testing.T) {
	t.Parallel()
	var unwound []string
	body := func(b *replay.Branch) error {
		winner, _, err := b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error {
				defer func() { unwound = append(unwound, "loser") }()
				do(b, "first of the loser", "")
				return do(b, "second of the loser", "")
			},
			func(b *replay.Branch) error { return do(b, "winner", "") },
		})
		if err != nil || winner != 1 {
			return fmt.Errorf("winner %d, error %w", winner, err)
		}
		return do(b, "after", "")
	}
	w := &world{}
	p, status := w.run(100, body)
	p.Stop()
	want(t, "ran", w.ran, []string{"1/first of the loser", "2/winner", "after"})
	want(t, "unwound", unwound, []string{"loser"})
	if _, err := p.Result(); status != replay.Done || err != nil {
		t.Errorf("status %v, error %v", status, err)
	}
	// Replayed, the one whose outcome is recorded wins, with or without the decision, and what the loser recorded needs not be
	// asked for.
	whole := w.records
	for cut := 2; cut <= len(whole); cut++ {
		again := &world{records: append([]replay.Record(nil), whole[:cut]...), now: w.now}
		p, status := again.run(100, body)
		p.Stop()
		if _, err := p.Result(); status != replay.Done || err != nil {
			t.Errorf("with %d records: status %v, error %v, divergence %+v", cut, status, err, p.Divergence())
		}
	}
}

// A sleep that a replay finds ended has not won before it is known how a wait has ended whose time was up before.
func TestRaceWaitsForAnEarlierTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]int{5 * time.Second: 1, 20 * time.Second: 0, 0: 0} {
		winner := -1
		p := replay.New(replay.Config{
			History: []replay.Record{{Name: "1/$sleep", Kind: replay.Sleep, Outcome: replay.Value, Time: epoch, Wake: epoch.Add(10 * time.Second)}},
			Start:   epoch, Now: epoch.Add(time.Minute),
			Body: func(b *replay.Branch) (_ []byte, err error) {
				winner, _, err = b.Race(nil, []func(*replay.Branch) error{
					func(b *replay.Branch) error { return pause(b, 10*time.Second) },
					func(b *replay.Branch) error {
						return join(b, fork(b, func(b *replay.Branch) error {
							f, err := b.Start(replay.Call{Kind: replay.Event, Durable: "$event", Arg: event("never"), Timeout: timeout})
							return errors.Join(err, join(b, f))
						}))
					},
				})
				return nil, err
			},
		})
		status := p.Run()
		if status == replay.Parked {
			for _, op := range p.Wants() {
				p.Resolve(op, replay.Timeout, nil, op.Deadline)
			}
			status = p.Run()
		}
		if status != replay.Done || winner != want {
			t.Errorf("timeout %v: status %v, branch %d has won, want %d", timeout, status, winner, want)
		}
		p.Stop()
	}
}

// Of two branches that a replay finds ended, the one whose outcome was recorded first has won, not the one that was made first.
func TestRaceIsWonByTheEarlierRecord(t *testing.T) {
	t.Parallel()
	w := &world{now: epoch.Add(time.Minute), records: []replay.Record{
		{Name: "2/b", Kind: replay.Step, Outcome: replay.Value, Time: epoch.Add(time.Second)},
		{Name: "1/a", Kind: replay.Step, Outcome: replay.Value, Time: epoch.Add(time.Second)},
	}}
	p, status := w.run(0, func(b *replay.Branch) error {
		winner, _, err := b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error { return do(b, "a", "") },
			func(b *replay.Branch) error { return do(b, "b", "") },
		})
		if winner != 1 {
			return fmt.Errorf("winner %d, error %w", winner, err)
		}
		return nil
	})
	defer p.Stop()
	if _, err := p.Result(); status != replay.Done || err != nil {
		t.Errorf("status %v, error %v", status, err)
	}
}
