package runtime

import (
	"context"

	"github.com/absurdgen/absurdgen/workflow"
)

// handover is a workflow whose second step holds on to its run in a worker process, and ends at once elsewhere.
var (
	handoverFirst = workflow.NewStep[string, string]("handover.first")
	handoverHeld  = workflow.NewStep[string, string]("handover.held")
	handover      = workflow.NewFlow[string, []string]("handover")
)

func handoverBindings(world effects, process string, hold bool) []workflow.Binding {
	return []workflow.Binding{
		handoverFirst.Bind(func(ctx context.Context, _ string) (string, error) {
			_, err := world.happen(ctx, process, "first")
			return process, err
		}),
		handoverHeld.Bind(func(ctx context.Context, how string) (string, error) {
			if _, err := world.happen(ctx, process, "begun"); err != nil {
				return "", err
			}
			if how == "hold" && hold {
				<-ctx.Done()
				if _, err := world.happen(ctx, process, "told: "+context.Cause(ctx).Error()); err != nil {
					return "", err
				}
			}
			return process, nil
		}),
		handover.Bind(func(ctx workflow.Context, how string) ([]string, error) {
			first, err := handoverFirst.Do(ctx, how)
			if err != nil {
				return nil, err
			}
			held, err := handoverHeld.Do(ctx, how)
			return []string{first, held}, err
		}),
	}
}
