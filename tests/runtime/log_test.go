package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// TestLogIsSilentOnReplay: each line of a workflow is logged once, in the pass in which its place is new, and names the task.
func TestLogIsSilentOnReplay(t *testing.T) {
	r := newRig(t)
	step := workflow.NewStep[string, string]("step")
	flow := workflow.NewFlow[string, string]("flow")
	var log bytes.Buffer
	bodies := 0
	w := r.work(workflow.WorkerOptions{Parked: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		step.Bind(func(ctx context.Context, in string) (string, error) {
			workflow.StepLog(ctx).Info("step", "in", in)
			return in, nil
		}),
		flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			bodies++
			log := workflow.Log(ctx).With("by", "body").WithGroup("g")
			log.Info("line", "at", "start")
			for _, name := range []string{"one", "two"} {
				if _, err := step.Do(ctx, name); err != nil {
					return "", err
				}
				log.Info("line", "at", "after "+name)
				if _, err := signal.Await(ctx, name, 0); err != nil {
					return "", err
				}
				log.Info("line", "at", "woken by "+name)
			}
			return "", nil
		}))
	task := spawn(r, flow, "")
	for _, name := range []string{"one", "two"} {
		r.eventually("the task waits for "+name, func() bool {
			return one[int](r, `select count(*) from absurd.tasks t join absurd.waits w using (task_id) where t.state = 's' and w.event_name = $1`, "signal:"+name) == 1
		})
		if err := signal.Emit(r.ctx, r.client, named{name, ""}); err != nil {
			t.Fatal(err)
		}
	}
	result(r, task)
	w.end()
	if bodies != 3 {
		t.Fatalf("%d passes, want 3", bodies)
	}
	var lines []string
	for _, m := range regexp.MustCompile(`msg=line .*task=(\S+) workflow=flow by=body g.at="?([^"\n]+)`).FindAllStringSubmatch(log.String(), -1) {
		if m[1] != task.ID.String() {
			t.Errorf("a line of task %s", m[1])
		}
		lines = append(lines, m[2])
	}
	if diff := cmp.Diff([]string{"start", "after one", "woken by one", "after two", "woken by two"}, lines); diff != "" {
		t.Errorf("%s\n%s", diff, &log)
	}
	if n := len(regexp.MustCompile(`msg=step .*step="?step.* attempt=1 in=`).FindAllString(log.String(), -1)); n != 2 {
		t.Errorf("%d lines of steps:\n%s", n, &log)
	}
}
