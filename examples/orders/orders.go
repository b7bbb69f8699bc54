// Package orders fulfils paid orders: it charges the customer, has a clerk approve a large order, packs the items in parallel,
// and sends a reminder some time later. Every step runs to its record once, whatever crashes in between.
package orders

import (
	"context"
	"errors"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// ApprovalLimit is the amount in cents above which a clerk has to approve an order.
const ApprovalLimit = 100_000

// Order is what a customer has ordered.
type Order struct {
	ID              string `json:"id"`
	Cents           int64  `json:"cents"`
	Items           []Item `json:"items"`
	ReminderSeconds int    `json:"reminder_seconds"` // 0: no reminder
}

// Item is one line of an order.
type Item struct {
	SKU string `json:"sku"`
}

// Receipt proves a charge.
type Receipt struct {
	ChargeID string `json:"charge_id"`
}

// Bin is where an item was put.
type Bin struct {
	SKU  string `json:"sku"`
	Name string `json:"name"`
}

// Shipment is a fulfilled order.
type Shipment struct {
	ChargeID string `json:"charge_id"`
	Bins     []Bin  `json:"bins"`
}

// Approval arrives when a clerk has looked at a large order.
//
//absurd:event name=order.approved key=OrderID
type Approval struct {
	OrderID string `json:"order_id"`
	OK      bool   `json:"ok"`
}

// Gateway moves money. A repeat of an idempotency key has no effect and answers as the first call did.
type Gateway interface {
	Charge(ctx context.Context, key string, cents int64) (Receipt, error)
	Refund(ctx context.Context, key string, r Receipt) error
}

// Payments charges and refunds customers.
type Payments struct{ Gateway Gateway }

// charge takes the money.
//
//absurd:step name=orders.charge attempts=5 backoff=2s..1m timeout=30s
func (p *Payments) charge(ctx context.Context, o Order) (Receipt, error) {
	return p.Gateway.Charge(ctx, workflow.IdempotencyKey(ctx), o.Cents)
}

// refund gives the money back.
//
//absurd:step name=orders.refund attempts=20 backoff=2s..10m timeout=30s
func (p *Payments) refund(ctx context.Context, r Receipt) error {
	return p.Gateway.Refund(ctx, workflow.IdempotencyKey(ctx), r)
}

// Shelves is the warehouse. A repeat of an idempotency key has no effect and answers as the first call did.
type Shelves interface {
	Reserve(ctx context.Context, key string, it Item) (Bin, error)
}

// Warehouse packs items.
type Warehouse struct{ Shelves Shelves }

// pack reserves one item.
//
//absurd:step name=orders.pack key=SKU timeout=30s
func (w *Warehouse) pack(ctx context.Context, it Item) (Bin, error) {
	return w.Shelves.Reserve(ctx, workflow.IdempotencyKey(ctx), it)
}

// Mail writes to customers. A repeat of an idempotency key sends nothing.
type Mail interface {
	Remind(ctx context.Context, key string, orderID string) error
}

// Office writes to customers.
type Office struct{ Mail Mail }

// remind asks the customer how it went.
//
//absurd:step name=orders.remind timeout=30s
func (f *Office) remind(ctx context.Context, orderID string) error {
	return f.Mail.Remind(ctx, workflow.IdempotencyKey(ctx), orderID)
}

// fulfil charges an order, has a clerk approve a large one, packs it, and reminds the customer later.
//
//absurd:workflow name=orders.fulfil queue=orders
func fulfil(ctx workflow.Context, o Order) (Shipment, error) {
	receipt, err := Charge.Do(ctx, o)
	if err != nil {
		return Shipment{}, err
	}
	if o.Cents > ApprovalLimit {
		if err := approved(ctx, o); err != nil {
			return Shipment{}, errors.Join(err, Refund.Do(ctx, receipt))
		}
	}
	bins, err := workflow.Map(ctx, o.Items, Pack)
	if err != nil {
		return Shipment{}, errors.Join(err, Refund.Do(ctx, receipt))
	}
	if o.ReminderSeconds > 0 {
		if err := workflow.Sleep(ctx, time.Duration(o.ReminderSeconds)*time.Second); err != nil {
			return Shipment{}, err
		}
		if err := Remind.Do(ctx, o.ID); err != nil {
			return Shipment{}, err
		}
	}
	return Shipment{ChargeID: receipt.ChargeID, Bins: bins}, nil
}

// approved waits for the clerk, holding no worker: three days cost one row.
func approved(ctx workflow.Context, o Order) error {
	a, err := ApprovalEvent.Await(ctx, o.ID, 72*time.Hour)
	switch {
	case errors.Is(err, workflow.ErrTimeout):
		return workflow.Fail("order %s: no clerk has looked at it", o.ID)
	case err != nil:
		return err
	case !a.OK:
		return workflow.Fail("order %s was not approved", o.ID)
	}
	return nil
}
