package runtime

import (
	"context"
	"fmt"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestDurableBeforeNextEffect has every step look, through a connection of its own, whether the outcomes that its workflow has
// seen so far are committed.
func TestDurableBeforeNextEffect(t *testing.T) {
	const workflows, branches, steps = 20, 4, 5
	r := newRig(t)
	world := r.newEffects()

	// The input names the records of what was done before; the output is the name of the step's own record.
	look := workflow.NewStep[[]string, string]("look", workflow.Attempts(1))
	branch := workflow.Func[int, string](func(ctx workflow.Context, _ int) (last string, err error) {
		var before []string
		for range steps {
			if last, err = look.Do(ctx, before); err != nil {
				return "", err
			}
			before = append(before, last)
		}
		return last, nil
	})
	flow := workflow.NewFlow[int, string]("careful")
	r.work(workflow.WorkerOptions{},
		look.Bind(func(ctx context.Context, before []string) (string, error) {
			info, _ := workflow.InfoOf(ctx)
			var committed int
			err := world.pool.QueryRow(ctx, everywhere(`select count(*) from absurd.checkpoints where task_id = $1 and checkpoint_name = any ($2)`),
				uuid(info.Task), before).Scan(&committed)
			if err == nil && committed != len(before) {
				err = fmt.Errorf("%s runs when %d of the %d outcomes before it are committed", info.Checkpoint, committed, len(before))
			}
			return info.Checkpoint, err
		}),
		flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
			ends, err := workflow.Map(ctx, make([]int, branches), branch)
			if err != nil {
				return "", err
			}
			return look.Do(ctx, ends) // a join: the ends of all branches are before it
		}))

	var tasks []workflow.Task[string]
	for n := range workflows {
		tasks = append(tasks, spawn(r, flow, n))
	}
	for _, task := range tasks {
		result(r, task)
	}
	if n := one[int](r, `select count(*) from absurd.checkpoints`); n != workflows*(branches*steps+1) {
		t.Errorf("%d records, want %d", n, workflows*(branches*steps+1))
	}
}
