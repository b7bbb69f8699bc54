package workflow_test

import (
	"errors"
	"fmt"

	"github.com/absurdgen/absurdgen/workflow"
)

// A workflow shows how far it is, and anybody who knows its id can look, also when it has ended.
func ExampleState() {
	progress := workflow.NewState[string]("import.progress")
	load := workflow.NewFlow[int, int]("import")
	ctx, client, stop := start(load.Bind(func(ctx workflow.Context, rows int) (int, error) {
		for row := range rows {
			if err := progress.Set(ctx, fmt.Sprintf("%d of %d", row+1, rows)); err != nil {
				return row, err
			}
		}
		return rows, nil
	}))
	defer stop()
	task, err := load.Spawn(ctx, client, 3)
	check(err)
	_, err = task.Result(ctx)
	check(err)
	fmt.Println(progress.Get(ctx, client, task.ID))
	// Output: 3 of 3 <nil>
}

// What was never set is no zero value.
func ExampleErrNotSet() {
	progress := workflow.NewState[int]("import.progress")
	silent := workflow.NewFlowOnly("import")
	ctx, client, stop := start(silent.Bind(func(workflow.Context) error { return nil }))
	defer stop()
	task, err := silent.Spawn(ctx, client)
	check(err)
	_, err = progress.Get(ctx, client, task.ID)
	fmt.Println(errors.Is(err, workflow.ErrNotSet))
	// Output: true
}

// Attributes are known when a task has come some way, tags when it is spawned. Both are searched by operators' tools.
func ExampleSetAttributes() {
	runOnce(func(ctx workflow.Context) error {
		err := workflow.SetAttributes(ctx, map[string]string{"carrier": "post", "country": "IT"})
		if err != nil {
			return err
		}
		err = workflow.SetAttributes(ctx, map[string]string{"country": ""}) // takes one away
		fmt.Println(err)
		return err
	})
	// Output: <nil>
}
