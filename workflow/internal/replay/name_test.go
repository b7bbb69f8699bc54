package replay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

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
