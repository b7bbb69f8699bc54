package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// Spawns that come while two calls are on their way share the next call, and each gets its own answer.
func TestSpawnsShareACall(t *testing.T) {
	t.Parallel()
	const n = 50
	var mu sync.Mutex
	var sizes []int
	entered, release := make(chan struct{}, n), make(chan struct{})
	g := &spawnGroup{spawn: func(tasks []store.Spawn) ([]store.Spawned, error) {
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
	for i := range byte(spawnFlights) {
		spawn(i)
		<-entered
	}
	for i := byte(spawnFlights); i < n; i++ {
		spawn(i)
	}
	for waiting := 0; waiting < n-spawnFlights; {
		g.mu.Lock()
		waiting = len(g.waiting)
		g.mu.Unlock()
	}
	close(release)
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(sizes) != fmt.Sprint([]int{1, 1, n - spawnFlights}) {
		t.Errorf("calls of %v tasks, want two alone and the rest together", sizes)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flights != 0 {
		t.Errorf("%d flights are left", g.flights)
	}
}

// Only the spawn whose data is refused fails, and a caller that gives up does not wait.
func TestSpawnsFailAlone(t *testing.T) {
	t.Parallel()
	refused := &pgconn.PgError{Code: "22P05"}
	g := &spawnGroup{spawn: func(tasks []store.Spawn) ([]store.Spawned, error) {
		for _, s := range tasks {
			if string(s.Params) == "bad" {
				return nil, refused
			}
		}
		return make([]store.Spawned, len(tasks)), nil
	}}
	batch := []*groupedSpawn{}
	for _, params := range []string{"good", "bad", "fine"} {
		batch = append(batch, &groupedSpawn{task: store.Spawn{Params: []byte(params)}, done: make(chan struct{})})
	}
	g.carry(batch)
	for _, s := range batch {
		<-s.done
		if bad := string(s.task.Params) == "bad"; bad != errors.Is(s.err, refused) {
			t.Errorf("%s: %v", s.task.Params, s.err)
		}
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.do(gone, store.Spawn{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone got %v", err)
	}
}
