package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// BlockedTask is a task that does not go on until other code comes. [Client.Blocked] lists them.
type BlockedTask struct {
	ID       TaskID
	Workflow string    // its durable name
	Attempt  int       // the attempt that is blocked
	Reason   string    // how the code and the records disagree, or what the code lacks
	NextTry  time.Time // when the task is tried again at the latest; zero: when a worker knows the workflow
}

// Blocked lists the tasks of a queue that wait for other code: those whose records the code of a worker disagrees with, by the
// time of their next try, and then those whose workflow no worker knows. Nothing is lost of either. Blocked tasks are tried again with
// growing pauses of at most five minutes, and at once when a worker with other code joins the queue. At most 1,000 of each
// kind are returned.
func (c *Client) Blocked(ctx context.Context, queue string) ([]BlockedTask, error) {
	rows, err := c.on(ctx).Blocked(ctx, queue)
	if err != nil {
		return nil, fmt.Errorf("workflow: the blocked tasks of queue %q cannot be listed: %w", queue, hint(err))
	}
	blocked := make([]BlockedTask, len(rows))
	for i, r := range rows {
		blocked[i] = BlockedTask{ID: r.Task, Workflow: r.Name, Attempt: r.Attempt, Reason: r.Reason, NextTry: r.Due}
	}
	return blocked, nil
}

// code names what a worker runs, as far as can be told: what is registered, and the executable.
func (r *Registry) code() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(r.flows)) {
		policy := r.flows[name].flow.policy
		fmt.Fprintf(h, "workflow %s %q %s\n", name, policy.version, policy.shape)
	}
	for _, name := range slices.Sorted(maps.Keys(r.steps)) {
		fmt.Fprintf(h, "step %s\n", name)
	}
	if path, err := os.Executable(); err == nil {
		if file, err := os.Stat(path); err == nil {
			fmt.Fprintf(h, "executable %d %d\n", file.Size(), file.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
