package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestHistoryLimit: a task whose history grows is warned of, once, and fails before it runs another step. More room and a retry
// take it on from there.
func TestHistoryLimit(t *testing.T) {
	for name, c := range map[string]struct {
		tight workflow.WorkerOptions
		want  string
	}{
		"records": {workflow.WorkerOptions{MaxRecords: 20}, "20 records, its limit is 20: end the generation with workflow.Continue"},
		"bytes":   {workflow.WorkerOptions{MaxHistoryBytes: 2000}, "bytes, its limit is 2000: end the generation with workflow.Continue"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			step := workflow.NewStep[int, string]("grow").KeyedBy(func(n int) string { return string(rune('a' + n)) })
			gone := workflow.NewEvent("gone", func(key string) string { return key })
			flow := workflow.NewFlow[string, int]("growing")
			runs := 0
			bindings := []workflow.Binding{
				step.Bind(func(context.Context, int) (string, error) {
					runs++
					return strings.Repeat("x", 93), nil
				}),
				flow.Bind(func(ctx workflow.Context, _ string) (int, error) {
					for n := range 25 {
						if n == 10 {
							if _, err := gone.Await(ctx, "x", 0); err != nil { // half-way, in another pass
								return 0, err
							}
						}
						if _, err := step.Do(ctx, n); err != nil {
							return 0, err
						}
					}
					return 25, nil
				}),
			}
			var log bytes.Buffer
			c.tight.Parked = -1
			c.tight.Logger = slog.New(slog.NewTextHandler(&log, nil))
			w := r.work(c.tight, bindings...)
			task := spawn(r, flow, "")
			r.awaitState(task.ID, "sleeping")
			if err := gone.Emit(r.ctx, r.client, "x"); err != nil {
				t.Fatal(err)
			}
			if failure := failed(r, task); failure.Type != "$HistoryLimit" || !strings.Contains(failure.Message, c.want) {
				t.Errorf("the task failed with %+v", failure)
			}
			w.end()
			if n := strings.Count(log.String(), "a quarter of its limit"); n != 2 { // once live, and once when it was loaded again
				t.Errorf("%d warnings:\n%s", n, &log)
			}
			before := runs
			if before < 18 || before > 20 {
				t.Errorf("%d steps ran", before)
			}
			r.work(workflow.WorkerOptions{}, bindings...)
			if err := task.Retry(r.ctx); err != nil {
				t.Fatal(err)
			}
			if got := result(r, task); got != 25 || runs != 25 {
				t.Errorf("result %d after %d runs of steps, %d of them before the limit", got, runs, before)
			}
		})
	}
}
