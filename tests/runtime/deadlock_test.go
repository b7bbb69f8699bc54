package runtime

import (
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestNothingCanWake: a workflow whose branches wait for each other, and for nothing else, does not sleep for ever in silence.
func TestNothingCanWake(t *testing.T) {
	for name, body := range map[string]func(workflow.Context){
		"branches that wait for each other": func(ctx workflow.Context) {
			var other *workflow.Future[int]
			one := workflow.Go(ctx, func(ctx workflow.Context) (int, error) { return other.Await(ctx) })
			other = workflow.Go(ctx, func(ctx workflow.Context) (int, error) { return one.Await(ctx) })
		},
		"a race of nobody": func(ctx workflow.Context) { _, _, _ = workflow.Race[int](ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			flow := workflow.NewFlow[int, string]("stuck")
			r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, _ int) (string, error) {
				body(ctx)
				return "", nil
			}))
			task := spawn(r, flow, 0)
			if reason := r.awaitState(task.ID, "blocked"); !strings.Contains(reason, "nothing can wake") {
				t.Errorf("blocked because %q", reason)
			}
		})
	}
}
