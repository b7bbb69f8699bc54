package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// chain is a workflow of ten steps, each of which has an effect and takes a moment after it, so that a crash can come between
// the effect and its record. The result is the numbers of the effects that the records tell of.

const chainLength = 10

type link struct {
	Chain int `json:"chain"`
	Link  int `json:"link"`
}

var (
	// The attempts outlast a crash of the server, which the steps share with the engine.
	chainStep = workflow.NewStep[link, int64]("chain.link", workflow.Attempts(100), workflow.Backoff(10*time.Millisecond, 200*time.Millisecond)).
			KeyedBy(func(l link) string { return strconv.Itoa(l.Link) })
	chain = workflow.NewFlow[int, []int64]("chain")
)

func chainBindings(world effects, process string) []workflow.Binding {
	return []workflow.Binding{
		chainStep.Bind(func(ctx context.Context, l link) (int64, error) {
			id, err := world.happen(ctx, process, fmt.Sprintf("%d.%d", l.Chain, l.Link))
			if err != nil {
				return 0, err
			}
			_, err = world.pool.Exec(ctx, `select pg_sleep(0.01)`)
			return id, err
		}),
		chain.Bind(func(ctx workflow.Context, n int) ([]int64, error) {
			var ids []int64
			for i := range chainLength {
				id, err := chainStep.Do(ctx, link{n, i})
				if err != nil {
					return nil, err
				}
				ids = append(ids, id)
			}
			return ids, nil
		}),
	}
}

// checkChains checks that all tasks have completed with what their records say, that each step was recorded once, and that an
// effect which happened more than once repeated its idempotency key. It returns how many were repeated.
func (r *rig) checkChains(tasks []workflow.Task[[]int64]) (repeated int) {
	r.Helper()
	seen := make(map[int64]bool)
	for n, task := range tasks {
		ids := result(r, task)
		if len(ids) != chainLength {
			r.Errorf("chain %d has the result %v, want %d numbers", n, ids, chainLength)
		}
		for _, id := range ids {
			if seen[id] {
				r.Errorf("chain %d: the effect %d belongs to two steps", n, id)
			}
			seen[id] = true
		}
		recorded := one[[]int64](r, `
			select array_agg(state::bigint order by seq) from absurd.checkpoints where task_id = $1 and outcome = 'v'`, uuid(task.ID))
		if !slices.Equal(recorded, ids) {
			r.Errorf("chain %d has the result %v, but its steps are recorded with %v", n, ids, recorded)
		}
	}
	if n := one[int](r, `select count(*) from absurd.checkpoints`); n != len(tasks)*chainLength {
		r.Errorf("%d records, want %d", n, len(tasks)*chainLength)
	}
	if n := one[int](r, `select count(*) from public.overwritten`); n != 0 {
		r.Errorf("%d records were overwritten or removed", n)
	}
	// A key a step: what happened twice can be told by its key, and nothing else has the key.
	if keys := one[int](r, `select count(distinct key) from public.effects`); keys != len(tasks)*chainLength {
		r.Errorf("the effects have %d idempotency keys, want %d", keys, len(tasks)*chainLength)
	}
	if n := one[int](r, `select count(*) from (select from public.effects group by key having count(distinct note) > 1) x`); n != 0 {
		r.Errorf("%d idempotency keys were used for different steps", n)
	}
	return one[int](r, `select count(*) - count(distinct key) from public.effects`)
}
