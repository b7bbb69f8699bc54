package replay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

func begin(b *replay.Branch, name string) *replay.Future {
	f, err := b.Start(replay.Call{Kind: replay.Step, Durable: name, Arg: step(name)})
	if err != nil {
		panic(err)
	}
	return f
}

// What failed in a branch that has lost a race is no failure of the workflow, in the pass that decides as in a replay.
func TestFailureOfALoserIsNotUnobserved(t *testing.T) {
	t.Parallel()
	body := func(b *replay.Branch) error {
		_, _, err := b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error {
				begin(b, "fails")
				fork(b, func(*replay.Branch) error { return errors.New("lost too") })
				return await(b, "never")
			},
			func(b *replay.Branch) error { return do(b, "winner", "") },
		})
		return err
	}
	w := &world{fails: map[string]bool{"1/fails": true}}
	for _, pass := range []string{"live", "replay"} {
		p, status := w.run(100, body)
		if f := p.Unobserved(); status != replay.Done || f != nil {
			t.Errorf("%s: status %v, unobserved %v, want done and none", pass, status, f)
		}
		p.Stop()
	}
}

// A branch of a loser that had ended leaves nothing running either.
func TestStepsOfEndedBranchesOfALoserAreAbandoned(t *testing.T) {
	t.Parallel()
	p := replay.New(replay.Config{Start: epoch, Now: epoch, Body: func(b *replay.Branch) ([]byte, error) {
		_, _, err := b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error {
				fork(b, func(b *replay.Branch) error { begin(b, "left behind"); return nil })
				return await(b, "never")
			},
			func(b *replay.Branch) error { return do(b, "winner", "") },
		})
		return nil, err
	}})
	defer p.Stop()
	p.Run()
	for _, op := range p.Wants() {
		if op.Name == "2/winner" {
			p.Resolve(op, replay.Value, nil, epoch)
		}
	}
	if status := p.Run(); status != replay.Done || len(p.Abandoned()) != 2 {
		t.Errorf("status %v, want done: open are %v", status, len(p.Open()))
	}
}

// Records of a branch that has lost a race were not left unserved by what is asked now.
func TestChangedAfterARace(t *testing.T) {
	t.Parallel()
	var answer bool
	body := func(ask bool) func(b *replay.Branch) error {
		return func(b *replay.Branch) error {
			_, _, err := b.Race(nil, []func(*replay.Branch) error{
				func(b *replay.Branch) error { return errors.Join(do(b, "loser", ""), await(b, "never")) },
				func(b *replay.Branch) error { return do(b, "winner", "") },
			})
			if ask {
				answer, _ = b.Changed("new", nil)
			}
			return errors.Join(err, await(b, "never"))
		}
	}
	w := &world{}
	p, _ := w.run(100, body(false))
	p.Stop()
	p, _ = w.run(0, body(true))
	p.Stop()
	if !answer {
		t.Errorf("a task that was not past the change takes the old side; its records are %v", names(w.records))
	}
}

// The branch whose last outcome came first wins, also when it takes more turns to end.
func TestRaceWaitsForNestedBranches(t *testing.T) {
	t.Parallel()
	w := &world{now: epoch.Add(time.Minute), records: []replay.Record{
		{Name: "2.1/b", Kind: replay.Step, Outcome: replay.Value, Time: epoch.Add(time.Second)},
		{Name: "1/a", Kind: replay.Step, Outcome: replay.Value, Time: epoch.Add(5 * time.Second)},
	}}
	got := -1
	p, _ := w.run(0, func(b *replay.Branch) (err error) {
		got, _, err = b.Race(nil, []func(*replay.Branch) error{
			func(b *replay.Branch) error { return do(b, "a", "") },
			func(b *replay.Branch) error {
				return join(b, fork(b, func(b *replay.Branch) error { return do(b, "b", "") }))
			},
		})
		return err
	})
	p.Stop()
	if got != 1 {
		t.Errorf("branch %d has won, want 1, whose outcome was recorded first", got)
	}
}
