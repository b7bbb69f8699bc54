package workflow

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// TestInterruptedSteps: when the shutdown deadline comes together with the ends of steps, what a step has come to is kept, and one that has
// returned because it was told to has made no attempt, although it may be the last.
func TestInterruptedSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"returned", nil, []string{"step v"}},
		{"was told to end", context.Canceled, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 32 { // what a pass looks at first is up to chance
				var got []string
				for _, r := range interruptedStep(t, tt.err) {
					got = append(got, r.Name+" "+string(rune(r.Outcome)))
				}
				if !slices.Equal(got, tt.want) {
					t.Fatalf("recorded is %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// interruptedStep runs a pass of one step, which ends with err just when the shutdown deadline is over, and returns what is recorded of it.
func interruptedStep(t *testing.T, err error) []replay.Record {
	t.Helper()
	stepCtx, giveUp := context.WithCancelCause(t.Context())
	stop := make(chan struct{})
	s := &session{
		registry: NewRegistry(), log: slog.New(slog.DiscardHandler), clock: new(engineClock), stepSlots: make(chan struct{}, 1),
		stop: stop, lost: t.Context(), stepCtx: stepCtx, giveUp: giveUp, ended: func(TaskID, store.Action, []byte) {},
		history: history{DefaultMaxRecords, DefaultMaxHistoryBytes},
	}
	step, flow := NewStepOnly("step", Attempts(1)), NewFlow[None, None]("flow")
	body := flow.Bind(func(ctx Context, _ None) (None, error) { return None{}, step.Do(ctx) })
	if err := s.registry.Add(body, step.Bind(func(context.Context) error { return err })); err != nil {
		t.Fatal(err)
	}
	q := &claimer{session: s, committer: newCommitter(nil, "", nil, s.log)}
	p := newPass(s, q, store.Claimed{Task: store.ID{1}, Attempt: 1, Token: 1, Name: "flow", Params: []byte("null")}, body, nil)
	defer p.close()

	p.steps = p.ctx
	p.replay.Advance(s.clock.now())
	p.replay.Run()
	p.plan()
	p.startSteps()
	<-p.returned.some
	poke(p.returned.some)
	close(stop)
	giveUp(ErrShutdown)

	ended := make(chan struct{})
	go func() { defer close(ended); p.run() }()
	var records []replay.Record
	for {
		select {
		case c := <-q.committer.in:
			if records = append(records, c.unit.Records...); c.unit.Action == store.Fail {
				t.Fatal("the task has failed")
			}
			c.answer <- committed{answer: store.OK}
		case <-ended:
			return records
		}
	}
}

// TestLookWaitsForTheCommit: a pass that is to look at its waits sleeps while a commit is on its way, however long that takes, because it
// could not look before the answer.
func TestLookWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := &pass{
		session: &session{lost: t.Context()}, ctx: t.Context(), returned: returned{some: make(chan struct{}, 1)}, answer: make(chan committed, 1),
		waiting: map[string]*replay.Op{"event": {}}, running: map[*replay.Op]running{{}: {}},
		lookAt: now.Add(-time.Minute), committing: true,
	}
	time.AfterFunc(50*time.Millisecond, func() { p.answer <- committed{answer: store.OK} })
	if !p.await(now, time.Time{}, false, false) || p.committing {
		t.Error("the pass has not waited for the answer")
	}
}
