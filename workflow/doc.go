// Package workflow runs durable workflows: plain Go functions whose steps, waits and sleeps are recorded in PostgreSQL and
// replayed after a crash, a deploy or a month of waiting.
//
// A workflow takes a [Context] and at most one payload. Whatever it does to the world it does through handles, which absurdgen
// generates from annotated functions and which can be written by hand just as well:
//
//	var Charge = workflow.NewStep[Order, Receipt]("orders.charge", workflow.Attempts(5))
//	var Fulfil = workflow.NewFlow[Order, Shipment]("orders.fulfil", workflow.Queue("orders"))
//
//	func fulfil(ctx workflow.Context, o Order) (Shipment, error) {
//		receipt, err := Charge.Do(ctx, o) // runs at least once, is recorded once
//		if err != nil {
//			return Shipment{}, err
//		}
//		if err := workflow.Sleep(ctx, 24*time.Hour); err != nil { // holds no worker
//			return Shipment{}, err
//		}
//		...
//	}
//
// A [Registry] ties handles to functions, a [Worker] runs them, and a [Client] starts tasks and waits for results:
//
//	r := workflow.NewRegistry()
//	err := r.Add(Charge.Bind(payments.charge), Fulfil.Bind(fulfil))
//	client := workflow.NewClient(pool, workflow.ClientOptions{})
//	err = client.CreateQueue(ctx, "orders") // nothing happens if it is there
//	worker, err := workflow.NewWorker(client, r, workflow.WorkerOptions{})
//	go worker.Run(ctx)
//
//	task, err := Fulfil.Spawn(ctx, client, order)             // or workflow.Tx(tx)
//	shipment, err := task.Result(ctx)
//
// # What a workflow may do
//
// A workflow is replayed from its records, so between its durable calls it must come to the same decisions each time. Time, random
// numbers and ids come from [Now], [Rand] and [NewID]; concurrency from [Go], [Map], [All] and [Race]; everything that touches the
// world goes into a step. Order matters: an operation is found by its place in the code, and a worker whose code has lost or
// moved a finished operation blocks the task before it does anything. [Changed] gates a change for tasks that are under way.
//
// # What is guaranteed
//
// A step's outcome is committed before the next step starts, and is never run again once it is recorded. A crash between a
// step's end and its record runs it again, with the same [IdempotencyKey]: give that to the system which the step calls. A worker
// that lost its lease cannot write: its runs go on elsewhere, and what its steps still return is dropped.
//
// # What operators see
//
// [Client.Tasks] lists tasks by workflow, state, tags, attributes, tenant, failure and time; [Client.Runs], [Client.Checkpoints] and [Client.Waits]
// show what a task has done and waits for; [Client.WorkflowRuns] shows tasks with all their children; [Client.Queues] counts what is alive.
// [Task.Cancel], [Task.Terminate], [Task.Retry] and [Client.PauseQueue] change it. The command absurd does the same from a shell.
package workflow
