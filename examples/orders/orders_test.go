package orders_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// shop is what all tests share: a client, a worker behind it, and the world that the steps act on. Tests tell themselves apart by
// the ids of their orders.
var shop struct {
	client *workflow.Client
	world  *world
}

func TestMain(m *testing.M) {
	code, err := open(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open opens the shop, runs the tests and closes it again.
func open(tests func() int) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	// PostgreSQL: that of DATABASE_URL, else a private one that ends with this process. On it a database of our own.
	server, err := embedded.Open(ctx, embedded.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	admin, err := pgxpool.New(ctx, server.DSN())
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	name := fmt.Sprintf("orders_test_%d", os.Getpid())
	if _, err := admin.Exec(ctx, "create database "+name); err != nil {
		return 0, err
	}
	defer func() {
		_, dropped := admin.Exec(ctx, "drop database "+name+" with (force)")
		err = errors.Join(err, dropped)
	}()
	config := admin.Config()
	config.ConnConfig.Database = name
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if err := db.Install(ctx, pool); err != nil {
		return 0, err
	}

	// From here on it is as in a program: client, queue, registry, worker. Only what the steps run on is made up.
	client := workflow.NewClient(pool, workflow.ClientOptions{})
	defer client.Close()
	if err := client.CreateQueue(ctx, orders.Fulfil.Queue()); err != nil {
		return 0, err
	}
	w := newWorld()
	registry := workflow.NewRegistry()
	if err := orders.Register(registry, orders.Deps{
		Payments:  &orders.Payments{Gateway: w},
		Warehouse: &orders.Warehouse{Shelves: w},
		Office:    &orders.Office{Mail: mail{w}},
	}); err != nil {
		return 0, err
	}
	worker, err := workflow.NewWorker(client, registry, workflow.WorkerOptions{})
	if err != nil {
		return 0, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(working) }()

	shop.client, shop.world = client, w
	code = tests()
	stop()
	return code, <-ended
}

// world is a bank, a warehouse and a post office in memory. As the interfaces ask for, a repeat of a key has no effect and
// answers as the first call did.
type world struct {
	mu       sync.Mutex
	charges  map[string]int64 // cents by charge id
	refunds  map[string]int   // by charge id
	reminded map[string]int   // by order id
	answers  map[string]any   // by idempotency key
}

func newWorld() *world {
	return &world{charges: map[string]int64{}, refunds: map[string]int{}, reminded: map[string]int{}, answers: map[string]any{}}
}

// once does something the first time that it sees the key.
func once[T any](w *world, key string, do func() T) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key == "" {
		return *new(T), errors.New("no idempotency key")
	}
	if answer, known := w.answers[key]; known {
		return answer.(T), nil
	}
	answer := do()
	w.answers[key] = answer
	return answer, nil
}

func (w *world) Charge(_ context.Context, key string, cents int64) (orders.Receipt, error) {
	return once(w, key, func() orders.Receipt {
		id := fmt.Sprintf("charge-%d", len(w.charges)+1)
		w.charges[id] = cents
		return orders.Receipt{ChargeID: id}
	})
}

func (w *world) Refund(_ context.Context, key string, r orders.Receipt) error {
	_, err := once(w, key, func() int { w.refunds[r.ChargeID]++; return 0 })
	return err
}

func (w *world) Reserve(_ context.Context, key string, it orders.Item) (orders.Bin, error) {
	return once(w, key, func() orders.Bin { return orders.Bin{SKU: it.SKU, Name: "bin of " + it.SKU} })
}

// mail is a type of its own because the world is a gateway and shelves already.
type mail struct{ *world }

func (m mail) Remind(_ context.Context, key string, orderID string) error {
	_, err := once(m.world, key, func() int { m.reminded[orderID]++; return 0 })
	return err
}

// look returns a value of the world.
func look[T any](w *world, value func(*world) T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return value(w)
}

func TestSmallOrder(t *testing.T) {
	t.Parallel()
	order := orders.Order{ID: "small", Cents: 4_200, Items: []orders.Item{{SKU: "tea"}, {SKU: "cup"}, {SKU: "pot"}}}
	shipment, err := fulfil(t, order)
	if err != nil {
		t.Fatal(err)
	}
	if cents := look(shop.world, func(w *world) int64 { return w.charges[shipment.ChargeID] }); cents != order.Cents {
		t.Errorf("the customer was charged %d cents, want %d", cents, order.Cents)
	}
	want := []orders.Bin{{SKU: "tea", Name: "bin of tea"}, {SKU: "cup", Name: "bin of cup"}, {SKU: "pot", Name: "bin of pot"}}
	if !slices.Equal(shipment.Bins, want) {
		t.Errorf("packed into %v, want %v, in the order of the items", shipment.Bins, want)
	}
	if n := look(shop.world, func(w *world) int { return w.reminded[order.ID] }); n != 0 {
		t.Errorf("%d reminders that nobody has asked for", n)
	}
}

func TestLargeOrderApproved(t *testing.T) {
	t.Parallel()
	order := orders.Order{ID: "approved", Cents: orders.ApprovalLimit + 1, Items: []orders.Item{{SKU: "piano"}}}
	decide(t, order, true)
	shipment, err := fulfil(t, order)
	if err != nil {
		t.Fatal(err)
	}
	if len(shipment.Bins) != 1 || look(shop.world, func(w *world) int { return w.refunds[shipment.ChargeID] }) != 0 {
		t.Errorf("an approved order came to %+v, or was refunded", shipment)
	}
}

func TestLargeOrderRefused(t *testing.T) {
	t.Parallel()
	order := orders.Order{ID: "refused", Cents: 777_777, Items: []orders.Item{{SKU: "yacht"}}}
	decide(t, order, false)
	_, err := fulfil(t, order)
	failure, ok := errors.AsType[*workflow.TaskError](err)
	if !ok || failure.Message != "order refused was not approved" {
		t.Fatalf("a refused order ended with %v", err)
	}
	type count struct{ charged, refunded int }
	got := look(shop.world, func(w *world) (n count) {
		for id, cents := range w.charges {
			if cents == order.Cents { // no other order has this amount
				n.charged++
				n.refunded += w.refunds[id]
			}
		}
		return n
	})
	if got != (count{1, 1}) {
		t.Errorf("charged %d times and refunded %d times, want once each", got.charged, got.refunded)
	}
}

func TestReminder(t *testing.T) {
	t.Parallel()
	order := orders.Order{ID: "reminder", Cents: 100, ReminderSeconds: 1}
	if _, err := fulfil(t, order); err != nil {
		t.Fatal(err)
	}
	if n := look(shop.world, func(w *world) int { return w.reminded[order.ID] }); n != 1 {
		t.Errorf("the customer was reminded %d times, want once", n)
	}
}

// TestSpawnTwice: whoever spawns with the order's id as idempotency key gets the same task.
func TestSpawnTwice(t *testing.T) {
	t.Parallel()
	order := orders.Order{ID: "twice", Cents: 31_415}
	first, err := fulfil(t, order)
	if err != nil {
		t.Fatal(err)
	}
	second, err := fulfil(t, order)
	if err != nil {
		t.Fatal(err)
	}
	if first.ChargeID != second.ChargeID {
		t.Errorf("one order was charged as %s and as %s", first.ChargeID, second.ChargeID)
	}
}

// fulfil starts the workflow for an order and waits for its end.
func fulfil(t *testing.T, o orders.Order) (orders.Shipment, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	task, err := orders.Fulfil.Spawn(ctx, shop.client, o, workflow.WithIdempotencyKey(o.ID))
	if err != nil {
		t.Fatal(err)
	}
	return task.Result(ctx)
}

// decide plays the clerk. It does not matter whether the workflow waits already: an event is kept.
func decide(t *testing.T, o orders.Order, ok bool) {
	t.Helper()
	if err := orders.ApprovalEvent.Emit(t.Context(), shop.client, orders.Approval{OrderID: o.ID, OK: ok}); err != nil {
		t.Fatal(err)
	}
}
