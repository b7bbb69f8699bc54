package workflow

import (
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// TestParkedBounds: passes leave in the order in which they were parked when there are too many, or they hold too much, and one that alone
// holds too much is not kept at the cost of all others.
func TestParkedBounds(t *testing.T) {
	t.Parallel()
	k := newParked(3, 4*(branchBytes+100))
	pass := func(id byte, bytes int) *pass {
		return &pass{
			claimed: store.Claimed{Task: store.ID{id}, Attempt: 1}, history: history{bytes: bytes},
			replay: replay.New(replay.Config{Body: func(*replay.Branch) ([]byte, error) { return nil, nil }}),
		}
	}
	kept := func() (ids []byte) {
		for e := k.oldest.Front(); e != nil; e = e.Next() {
			ids = append(ids, e.Value.(parkedPass).claimed.Task[0])
		}
		return ids
	}
	for _, step := range []struct {
		id    byte
		bytes int
		want  string
	}{
		{1, 100, "\x01"}, {2, 100, "\x01\x02"}, {3, 100, "\x01\x02\x03"},
		{4, 100, "\x02\x03\x04"},                   // one too many
		{5, 100 + branchBytes, "\x03\x04\x05"},     // all the room that there is
		{6, 101 + 2*branchBytes, "\x06"},           // needs three places
		{7, 101 + 3*(branchBytes+100) + 0, "\x06"}, // more than there is
		{6, 100, "\x06"},                           // the same task again, now smaller
		{8, 100, "\x06\x08"},
	} {
		for _, out := range k.add(pass(step.id, step.bytes)) {
			out.replay.Stop()
		}
		if got := string(kept()); got != step.want {
			t.Errorf("after pass %d: %q are kept, want %q", step.id, got, step.want)
		}
	}
	if p := k.take(store.Claimed{Task: store.ID{6}, Token: 1, Attempt: 1}); p == nil {
		t.Error("a parked pass is not found")
	}
	k.close()
	if k.bytes != 0 || k.oldest.Len() != 0 {
		t.Errorf("an empty store holds %d bytes of %d passes", k.bytes, k.oldest.Len())
	}
}
