package workflow

import (
	"context"
	"sync"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// spawnGroup has spawns that come side by side share a statement and a commit. A lone spawn goes at once; what comes while
// spawnFlights calls are on their way goes together with the next. It is for tasks without options: these wait for nobody's
// lock, so that no spawn can hold up another.
type spawnGroup struct {
	spawn func(tasks []store.Spawn) ([]store.Spawned, error)

	mu      sync.Mutex
	flights int
	waiting []*groupedSpawn
}

// spawnFlights is how many calls may be on their way: while one waits for the disk, the next is carried out.
const spawnFlights = 2

// maxSpawnGroup and maxSpawnGroupBytes bound a call.
const (
	maxSpawnGroup      = 256
	maxSpawnGroupBytes = 4 << 20
)

type groupedSpawn struct {
	task    store.Spawn
	spawned store.Spawned
	err     error
	done    chan struct{}
}

// do spawns the task and returns once it is committed. When ctx ends first, the task may have been spawned or not, as with any
// statement whose answer nobody waited for.
func (g *spawnGroup) do(ctx context.Context, task store.Spawn) (store.Spawned, error) {
	if err := ctx.Err(); err != nil {
		return store.Spawned{}, err
	}
	s := &groupedSpawn{task: task, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, s)
	if g.flights < spawnFlights {
		g.flights++
		go g.fly()
	}
	g.mu.Unlock()
	select {
	case <-s.done:
		return s.spawned, s.err
	case <-ctx.Done():
		return store.Spawned{}, ctx.Err()
	}
}

// fly spawns what waits until nothing does.
func (g *spawnGroup) fly() {
	for {
		batch := g.next()
		if batch == nil {
			return
		}
		g.carry(batch)
	}
}

func (g *spawnGroup) next() []*groupedSpawn {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < min(len(g.waiting), maxSpawnGroup) && size < maxSpawnGroupBytes {
		size += len(g.waiting[n].task.Params)
		n++
	}
	if n == 0 {
		g.waiting = nil
		g.flights--
		return nil
	}
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return batch
}

// carry spawns the batch and answers every spawn in it. When the data of one is refused, each goes alone, so that only the
// culprit fails.
func (g *spawnGroup) carry(batch []*groupedSpawn) {
	tasks := make([]store.Spawn, len(batch))
	for i, s := range batch {
		tasks[i] = s.task
	}
	spawned, err := g.spawn(tasks)
	if err != nil && len(batch) > 1 && refusal(err) {
		for _, s := range batch {
			g.carry([]*groupedSpawn{s})
		}
		return
	}
	for i, s := range batch {
		if s.err = err; err == nil {
			s.spawned = spawned[i]
		}
		close(s.done)
	}
}
