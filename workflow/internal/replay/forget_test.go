package replay

import "testing"

// TestServedRecordsAreForgotten: what a pass keeps beyond the frontier does not grow with its history.
func TestServedRecordsAreForgotten(t *testing.T) {
	t.Parallel()
	history := []Record{
		{Name: "a", Kind: Step, Outcome: Value, State: make([]byte, 1000)},
		{Name: "late", Kind: Step, Outcome: Value, Superseded: true},
	}
	p := New(Config{History: history, Body: func(b *Branch) ([]byte, error) {
		for _, name := range []string{"a", "b", "late"} {
			f, err := b.Start(Call{Kind: Step, Durable: name})
			if err != nil {
				return nil, err
			}
			if err := b.Wait(f); err != nil {
				return nil, err
			}
		}
		return []byte("done"), nil
	}})
	defer p.Stop()
	if status := p.Run(); status != Parked {
		t.Fatalf("status %v, want a parked pass", status)
	}
	if len(p.history) != 1 || p.order != nil {
		t.Errorf("%d records and %d in order are kept, want the one that nobody has asked for", len(p.history), len(p.order))
	}
	p.Resolve(p.Wants()[0], Value, nil, p.now)
	if status := p.Run(); status != Done {
		t.Errorf("status %v, want the superseded record to be served when it is asked for", status)
	}
}
