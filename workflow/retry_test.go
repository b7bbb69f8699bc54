package workflow

import (
	"errors"
	"math"
	"testing"
	"time"
)

// TestBackoff: the pause doubles from the lower bound to the upper one, and is spread by a fifth to either side.
func TestBackoff(t *testing.T) {
	t.Parallel()
	p := stepPolicy([]StepOption{Backoff(time.Second, 10*time.Second)})
	now := time.Now()
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 99: 10 * time.Second} {
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 1000 {
			d := p.next(errors.New("no"), attempt, now).Sub(now)
			least, most = min(least, d), max(most, d)
		}
		// Of a thousand draws some come near both ends; that none does has a chance of one in 10^45.
		if least < want*8/10 || least > want*84/100 || most > want*12/10 || most < want*116/100 {
			t.Errorf("after attempt %d: %v to %v, want about %v and a fifth either way", attempt, least, most, want)
		}
	}
}

// TestBackoffOfWhatAsks: what an error asks for is taken as it is, within reason.
func TestBackoffOfWhatAsks(t *testing.T) {
	t.Parallel()
	p := stepPolicy(nil)
	now := time.Now()
	no := errors.New("no")
	for name, tt := range map[string]struct {
		err  error
		want time.Time
	}{
		"at":             {RetryAt(no, now.Add(time.Hour)), now.Add(time.Hour)},
		"after":          {RetryAfter(no, time.Minute), now.Add(time.Minute)},
		"too far":        {RetryAfter(no, math.MaxInt64), now.Add(farthest)},
		"the outer mark": {RetryAfter(RetryAfter(no, time.Hour), time.Minute), now.Add(time.Minute)},
	} {
		if got := p.next(tt.err, 1, now); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", name, got.Sub(now), tt.want.Sub(now))
		}
	}
}
