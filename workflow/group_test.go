package workflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Spawns that come while a call is on its way share the next call, and each gets its own answer.
func TestSpawnsShareACall(t *testing.T) {
	t.Parallel()
	const n = 50
	var mu sync.Mutex
	var sizes []int
	entered, release := make(chan struct{}, n), make(chan struct{})
	g := &group[store.Spawn, store.Spawned]{size: func(store.Spawn) int { return 1 }, send: func(_ context.Context, tasks []store.Spawn, _ bool) ([]store.Spawned, error) {
		mu.Lock()
		sizes = append(sizes, len(tasks))
		mu.Unlock()
		entered <- struct{}{}
		<-release
		spawned := make([]store.Spawned, len(tasks))
		for i, s := range tasks {
			spawned[i].ID[0] = s.Params[0]
		}
		return spawned, nil
	}}
	var all sync.WaitGroup
	spawn := func(i byte) {
		all.Go(func() {
			got, err := g.do(t.Context(), store.Spawn{Params: []byte{i}})
			if err != nil || got.ID[0] != i {
				t.Errorf("spawn %d got the answer of %d (%v)", i, got.ID[0], err)
			}
		})
	}
	spawn(0)
	<-entered
	for i := byte(1); i < n; i++ {
		spawn(i)
	}
	for waiting := 0; waiting < n-1; {
		g.mu.Lock()
		waiting = len(g.waiting)
		g.mu.Unlock()
	}
	close(release)
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(sizes) != fmt.Sprint([]int{1, n - 1}) {
		t.Errorf("calls of %v tasks, want one alone and the rest together", sizes)
	}
	for flights := 1; flights > 0; { // the last one looks whether anybody comes back
		g.mu.Lock()
		flights = g.flights
		g.mu.Unlock()
	}
}

// Only the request that is refused fails, one that has to wait for somebody holds nobody up, and a caller that gives up does
// not wait.
func TestRequestsFailAndWaitAlone(t *testing.T) {
	t.Parallel()
	refused, locked := &pgconn.PgError{Code: "22P05"}, &pgconn.PgError{Code: "55P03"}
	free := make(chan struct{})
	g := &group[string, string]{size: func(string) int { return 1 }, send: func(ctx context.Context, batch []string, patient bool) ([]string, error) {
		for _, in := range batch {
			switch {
			case in == "bad":
				return nil, refused
			case in == "locked" && !patient:
				return nil, locked
			case in == "locked":
				select {
				case <-free:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		return batch, nil
	}}
	var waits sync.WaitGroup
	for range 4 {
		waits.Go(func() {
			if out, err := g.do(t.Context(), "locked"); out != "locked" || err != nil {
				t.Errorf("what waited got %q, %v", out, err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	waits.Go(func() {
		if _, err := g.do(gone, "locked"); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that has gone got %v", err)
		}
	})
	var all sync.WaitGroup
	for _, in := range []string{"good", "bad", "fine"} {
		all.Go(func() {
			out, err := g.do(t.Context(), in)
			if in == "bad" {
				if !errors.Is(err, refused) {
					t.Errorf("bad: %v", err)
				}
			} else if out != in || err != nil {
				t.Errorf("%s: %q, %v", in, out, err)
			}
		})
	}
	all.Wait()
	cancel()
	if _, err := g.do(gone, "good"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone got %v", err)
	}
	close(free)
	waits.Wait()
}

// A batch that gets no answer ends with an error that says so: its callers have set no deadline of their own.
func TestBatchWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &group[int, int]{size: func(int) int { return 1 }, send: func(ctx context.Context, _ []int, _ bool) ([]int, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		_, err := g.do(t.Context(), 1)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 1m0s") {
			t.Errorf("error %v", err)
		}
	})
}
