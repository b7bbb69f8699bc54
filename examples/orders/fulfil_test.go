package orders_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/workflowtest"
)

// Unit tests of the workflow: no database, fakes in the place of the steps, and days that take no time.

var large = orders.Order{ID: "o-1", Cents: orders.ApprovalLimit + 1, Items: []orders.Item{{SKU: "b"}, {SKU: "a"}}, ReminderSeconds: 3600}

// counts counts what the fakes do.
type counts struct{ charged, refunded, packed, reminded int }

func (c *counts) fakes() orders.Fakes {
	var mu sync.Mutex // items are packed in parallel
	count := func(n *int) {
		mu.Lock()
		defer mu.Unlock()
		*n++
	}
	return orders.Fakes{
		Charge: func(context.Context, orders.Order) (orders.Receipt, error) {
			count(&c.charged)
			return orders.Receipt{ChargeID: "c-1"}, nil
		},
		Refund: func(context.Context, orders.Receipt) error { count(&c.refunded); return nil },
		Pack: func(_ context.Context, it orders.Item) (orders.Bin, error) {
			count(&c.packed)
			return orders.Bin{SKU: it.SKU, Name: "bin " + it.SKU}, nil
		},
		Remind: func(context.Context, string) error { count(&c.reminded); return nil },
	}
}

func TestFulfilApproved(t *testing.T) {
	t.Parallel()
	workflowtest.Run(t, func(env *workflowtest.Env) {
		var c counts
		env.Must(c.fakes().Register(env.Registry))
		client := env.Start()
		began := time.Now()
		task, err := orders.Fulfil.Spawn(env.Context(), client, large)
		env.Must(err)
		time.Sleep(48 * time.Hour) // the clerk takes his time
		env.Must(orders.ApprovalEvent.Emit(env.Context(), client, orders.Approval{OrderID: large.ID, OK: true}))
		shipment, err := task.Result(env.Context())
		env.Must(err)
		want := orders.Shipment{ChargeID: "c-1", Bins: []orders.Bin{{SKU: "b", Name: "bin b"}, {SKU: "a", Name: "bin a"}}}
		if diff := cmp.Diff(want, shipment); diff != "" {
			env.Error(diff)
		}
		if took := time.Since(began).Round(time.Minute); took != 49*time.Hour {
			env.Errorf("it took %v, want two days for the clerk and an hour to the reminder", took)
		}
		if c.reminded != 1 {
			env.Errorf("reminded %d times", c.reminded)
		}
	})
}

func TestFulfilNobodyLooks(t *testing.T) {
	t.Parallel()
	workflowtest.Run(t, func(env *workflowtest.Env) {
		var c counts
		env.Must(c.fakes().Register(env.Registry))
		began := time.Now()
		task, err := orders.Fulfil.Spawn(env.Context(), env.Start(), large)
		env.Must(err)
		_, err = task.Result(env.Context())
		if _, failed := errors.AsType[*workflow.TaskError](err); !failed {
			env.Errorf("error %v, want a failed task", err)
		}
		if c.refunded != 1 || c.packed != 0 {
			env.Errorf("refunded %d times and packed %d items, want 1 and 0", c.refunded, c.packed)
		}
		if took := time.Since(began); took < 72*time.Hour || took > 73*time.Hour {
			env.Errorf("the clerk had %v, want three days", took)
		}
	})
}

// TestFulfilCrashes kills the worker at every commit, one test each.
func TestFulfilCrashes(t *testing.T) {
	t.Parallel()
	order := large
	order.Cents = 1
	for n := 1; ; n++ {
		over := false
		workflowtest.Run(t, func(env *workflowtest.Env) {
			var c counts
			env.Must(c.fakes().Register(env.Registry))
			env.CrashAfter(n)
			task, err := orders.Fulfil.Spawn(env.Context(), env.Start(), order)
			env.Must(err)
			shipment, err := task.Result(env.Context())
			env.Must(err)
			// A step that had ended, and was not recorded yet, runs again: at most one of the two items.
			if len(shipment.Bins) != 2 || c.charged != 1 || c.reminded != 1 || c.packed > 3 {
				env.Errorf("after a crash at commit %d: %+v, %+v", n, shipment, c)
			}
			over = env.Crashes() == 0
		})
		if over || t.Failed() {
			if n < 4 {
				t.Errorf("only %d commits", n-1)
			}
			return
		}
	}
}
