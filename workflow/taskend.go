package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// A task that was just spawned here is left alone for settle, or settleBeside where the process has a worker. It is mostly being claimed, and
// to mark it as watched is a commit, in the way of the claim; and a worker of this process tells by itself what it has come to. While one
// runs the task, it is left alone for twice as long each time, up to settleMost.
const (
	settle       = 3 * time.Millisecond
	settleBeside = 10 * time.Millisecond
	settleMost   = 100 * time.Millisecond
)

// askLimit is how long to wait for the answer whether a task has ended. Over a connection whose other end has vanished it never comes, and
// nothing tells that for a quarter of an hour.
const askLimit = 10 * time.Second

// awaitEnd waits until a task has ended and returns how; nil for an unknown task. spawned is when this client has made it; zero: it did not.
func (c *Client) awaitEnd(ctx context.Context, queue string, id TaskID, spawned time.Time) (*store.Outcome, error) {
	noticed, ended, leave := c.listener.task(id)
	defer leave()
	scoped := c.options.Tenant != "" || stepTenant(ctx) != "" // the store says whether the tenant may see the task
	watched := scoped
	patience := settle
	if !watched && c.listener.works() {
		patience = settleBeside
	}
	for wait := time.Until(spawned.Add(patience)); ; {
		if wait > 0 {
			select {
			case o := <-ended:
				if !scoped {
					return o, nil
				}
			case <-noticed:
			case <-time.After(wait):
				if !watched && c.listener.runs(id) {
					patience = min(2*patience, settleMost)
					wait = patience
					continue
				}
			case <-ctx.Done():
			case <-c.listener.ctx.Done():
				return nil, errors.New("workflow: the client was closed")
			}
		}
		watched = true
		asking, enough := context.WithTimeout(ctx, askLimit)
		o, err := c.on(ctx).Watch(asking, queue, id)
		enough()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !outage(err):
			return nil, fmt.Errorf("workflow: task %s: %w", id, err)
		case err != nil:
			c.warnOutage(err)
		case o == nil || TaskState(o.State).Final():
			return o, nil
		}
		wait = jitter(c.poll())
	}
}
