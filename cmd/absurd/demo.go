package main

import (
	"context"
	"flag"

	"github.com/absurdgen/absurdgen/cmd/absurd/internal/demo"
)

// The commands under which the demo starts this program again. Nobody else calls them.
const (
	gatewayName = "demo-gateway"
	workerName  = "demo-worker"
)

func demoCommand() *command {
	var file string
	var keep bool
	return &command{
		name:  "demo",
		short: "watch an order workflow lose its worker to kill -9, and finish",
		usage: "[-orders FILE] [-keep]",
		long: `
The demo runs the workflow of examples/orders for some ten orders: charge the customer,
have a clerk approve a large order, pack the items in parallel, remind the customer later.

It starts a private PostgreSQL, a fake gateway, and two worker processes. As soon as a
worker is in the middle of some steps, it is killed with SIGKILL. The other one takes over
when the lease is over: finished steps are replayed from their records, and those that were
cut off run again under the same idempotency key. The gateway, a process of its own that
knows nothing of workflows, counts what was really done.

In the end there is a table, and the gateway's ledger is held against the orders. The exit
code is 0 only if every order was fulfilled and every side effect was had exactly once.
Nothing is left behind, also after Ctrl-C.

With DATABASE_URL set, the demo makes a database of its own on that server, and removes it
in the end. A role that may not create databases lends the demo its own: there it uses schema
absurd and queue orders, one demo at a time, and the finished tasks stay.

An orders file is a JSON array. Orders above 100000 cents need an approval:

  [{"id": "A-1", "cents": 4990, "items": [{"sku": "mug"}, {"sku": "tea"}]},
   {"id": "A-2", "cents": 120000, "items": [{"sku": "oven"}], "reminder_seconds": 2}]`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&file, "orders", "", "read the orders from this JSON `FILE`")
			fs.BoolVar(&keep, "keep", false, "leave the server up, and say how to reach and to stop it")
		},
		run: func(ctx context.Context, s std, args []string) error {
			if err := noArguments(args); err != nil {
				return err
			}
			o := demo.Options{Out: s.out, Keep: keep, GatewayCommand: gatewayName, WorkerCommand: workerName}
			var err error
			if file == "" {
				o.Orders, err = demo.DefaultOrders()
			} else {
				o.Orders, err = demo.ReadOrders(file)
			}
			if err != nil {
				return err
			}
			return demo.Run(ctx, o)
		},
	}
}

func gatewayCommand() *command {
	return &command{name: gatewayName, run: func(_ context.Context, s std, _ []string) error {
		return demo.RunGateway(s.in, s.out)
	}}
}

func workerCommand() *command {
	return &command{name: workerName, run: func(_ context.Context, s std, _ []string) error {
		return demo.RunWorker(s.in, s.out)
	}}
}
