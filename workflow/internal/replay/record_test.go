package replay_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

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
