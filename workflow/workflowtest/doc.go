// Package workflowtest runs workflows in unit tests: without a database, in virtual time, with fakes in the place of steps.
//
//	func TestFulfil(t *testing.T) {
//		workflowtest.Run(t, func(env *workflowtest.Env) {
//			env.Must(orders.Fakes{
//				Charge: func(context.Context, orders.Order) (orders.Receipt, error) { return orders.Receipt{ID: "r-1"}, nil },
//			}.Register(env.Registry))
//			client := env.Start()
//
//			task, err := orders.Fulfil.Spawn(env.Context(), client, order)
//			env.Must(err)
//			time.Sleep(48 * time.Hour) // virtual: it is over at once
//			env.Must(orders.ApprovalEvent.Emit(env.Context(), client, orders.Approval{OrderID: order.ID, OK: true}))
//			bins, err := task.Result(env.Context())
//			...
//		})
//	}
//
// What runs is the worker that runs in production, on a store in memory that is held to the meaning of PostgreSQL by comparison.
// Durable behaviour can be tested as well: [Env.CrashAfter] kills the worker in the midst of a workflow, and another one
// goes on from the records.
//
// # Time
//
// [Run] runs the test in a bubble of package testing/synctest. Its clock stands while anything in the bubble can run, and jumps to
// the next timer when nothing can: so a workflow's sleep of a month, the backoff of a step and the timeout of a wait are over as
// soon as there is nothing else to do. time.Now, time.Sleep and timeouts of contexts in fakes and in the test itself are of that
// time, too. To do something at a certain time, sleep until then.
//
// Time also stands while a goroutine waits for the world outside, such as a network connection: keep it out by fakes. A test must
// not call t.Parallel or t.Run inside of Run; around it both are fine.
//
// # Fakes
//
// absurdgen generates Fakes for the steps of a package, as above. [Fake] puts one function in the place of a step or a workflow
// where the rest is real. Both are checked by the compiler.
package workflowtest
