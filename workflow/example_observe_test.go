package workflow_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/store/memory"
)

// Counters of what a worker does. StepRecorded and TaskEnded are told after the commit.
func ExampleHooks() {
	told := make(chan string, 10)
	hooks := workflow.Hooks{
		StepRecorded: func(s workflow.StepInfo, err error) { told <- fmt.Sprint(s.Step, " recorded, failure: ", err) },
		TaskEnded:    func(t workflow.TaskEnd) { told <- fmt.Sprint(t.Workflow, " ", t.State) },
	}
	order := workflow.NewFlowOnly("orders.fulfil")
	ctx, client, stop := startWith(workflow.WorkerOptions{Hooks: hooks}, workflow.ClientOptions{},
		pack.Bind(packInBox),
		order.Bind(func(ctx workflow.Context) error {
			_, err := pack.Do(ctx, "lamp")
			return err
		}))
	defer stop()
	_, err := order.Spawn(ctx, client)
	check(err)
	fmt.Println(<-told)
	fmt.Println(<-told)
	// Output:
	// orders.pack recorded, failure: <nil>
	// orders.fulfil completed
}

// Who has started a task travels with it, to its steps and to what they spawn.
func ExampleClientMiddleware() {
	type user struct{}
	stamp := workflow.ClientMiddleware{
		Spawn: func(ctx context.Context, s *workflow.SpawnInfo, next func(context.Context) error) error {
			s.Headers["started-by"], _ = ctx.Value(user{}).(string)
			return next(ctx)
		},
	}
	order := workflow.NewFlowOut[string]("orders.fulfil")
	ctx, client, stop := startWith(workflow.WorkerOptions{}, workflow.ClientOptions{Middleware: []workflow.ClientMiddleware{stamp}},
		order.Bind(func(ctx workflow.Context) (string, error) { return workflow.Headers(ctx)["started-by"], nil }))
	defer stop()
	task, err := order.Spawn(context.WithValue(ctx, user{}, "ann"), client)
	check(err)
	fmt.Println(task.Result(ctx))
	// Output: ann <nil>
}

// A rule of the house around every step: here, who may hold up the queue for how long.
func ExampleWorkerMiddleware() {
	measure := workflow.WorkerMiddleware{
		Step: func(ctx context.Context, s workflow.StepInfo, next func(context.Context) error) error {
			began := time.Now()
			err := next(ctx) // once
			fmt.Println(s.Step, "took less than a minute:", time.Since(began) < time.Minute)
			return err
		},
	}
	order := workflow.NewFlowOnly("orders.fulfil")
	ctx, client, stop := startWith(workflow.WorkerOptions{Middleware: []workflow.WorkerMiddleware{measure}}, workflow.ClientOptions{},
		pack.Bind(packInBox),
		order.Bind(func(ctx workflow.Context) error {
			_, err := pack.Do(ctx, "lamp")
			return err
		}))
	defer stop()
	task, err := order.Spawn(ctx, client)
	check(err)
	_, err = task.Result(ctx)
	check(err)
	// Output: orders.pack took less than a minute: true
}

// A deploy that has moved a finished step blocks the task, which says why, and runs nothing. The old code, or code that gates the
// change with Changed, takes it up again.
func ExampleClient_Blocked() {
	order := workflow.NewFlowOnly("orders.fulfil")
	charge, weigh := workflow.NewStepOnly("orders.charge"), workflow.NewStepOnly("orders.weigh")
	approved := workflow.NewEvent("orders.approved", func(a Approval) string { return a.OrderID })
	nothing := func(context.Context) error { return nil }

	ctx := context.Background()
	client := workflow.NewClientOn(memory.New(time.Now), workflow.ClientOptions{})
	defer client.Close()
	check(client.CreateQueue(ctx, workflow.DefaultQueue))

	passes := make(chan workflow.PassEnd, 100)
	hooks := workflow.Hooks{PassEnded: func(p workflow.PassInfo) { passes <- p.End }}
	deploy := func(version string, body func(workflow.Context) error) (stop func()) {
		return startWorker(client, workflow.WorkerOptions{Code: version, Hooks: hooks}, order.Bind(body), charge.Bind(nothing), weigh.Bind(nothing))
	}
	old := func(ctx workflow.Context) error {
		if err := charge.Do(ctx); err != nil {
			return err
		}
		_, err := approved.Await(ctx, "o-1", 0)
		return err
	}
	stop := deploy("1", old)
	task, err := order.Spawn(ctx, client)
	check(err)
	fmt.Println(<-passes)
	stop()

	stop = deploy("2", func(ctx workflow.Context) error {
		if err := weigh.Do(ctx); err != nil { // new, and the charge is gone
			return err
		}
		_, err := approved.Await(ctx, "o-1", 0)
		return err
	})
	check(approved.Emit(ctx, client, Approval{OrderID: "o-1", OK: true}))
	fmt.Println(<-passes)
	blocked, err := client.Blocked(ctx, workflow.DefaultQueue)
	check(err)
	for _, b := range blocked {
		fmt.Println(b.Workflow, "is blocked; orders.charge is named:", strings.Contains(b.Reason, "orders.charge"))
	}
	stop()

	stop = deploy("1", old) // rolled back
	defer stop()
	_, err = task.Result(ctx)
	fmt.Println("result:", err)
	// Output:
	// suspended
	// blocked
	// orders.fulfil is blocked; orders.charge is named: true
	// result: <nil>
}

// A tracing library is plugged in where it injects and extracts headers and begins spans. With OpenTelemetry, inject is
// otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(headers)), extract the same with Extract, and span is
// tracer.Start(ctx, name).
func Example_tracing() {
	inject := func(ctx context.Context, headers map[string]string) { headers[workflow.TraceParent] = spanOf(ctx) }
	extract := func(ctx context.Context, headers map[string]string) context.Context {
		return withSpan(ctx, headers[workflow.TraceParent])
	}
	clientTracing := workflow.ClientMiddleware{
		Spawn: func(ctx context.Context, s *workflow.SpawnInfo, next func(context.Context) error) error {
			ctx, end := span(ctx, "spawn "+s.Workflow)
			defer end()
			inject(ctx, s.Headers)
			return next(ctx)
		},
	}
	workerTracing := workflow.WorkerMiddleware{
		Step: func(ctx context.Context, s workflow.StepInfo, next func(context.Context) error) error {
			ctx, end := span(extract(ctx, workflow.HeadersOf(ctx)), "step "+s.Step)
			defer end()
			return next(ctx)
		},
	}

	greet := workflow.NewStep[string, string]("greet")
	hello := workflow.NewFlow[string, string]("hello")
	ctx, client, stop := startWith(workflow.WorkerOptions{Middleware: []workflow.WorkerMiddleware{workerTracing}},
		workflow.ClientOptions{Middleware: []workflow.ClientMiddleware{clientTracing}},
		greet.Bind(func(ctx context.Context, name string) (string, error) {
			return "hello " + name + " in trace " + traceOf(ctx), nil
		}),
		hello.Bind(func(ctx workflow.Context, name string) (string, error) { return greet.Do(ctx, name) }))
	defer stop()
	task, err := hello.Spawn(withSpan(ctx, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), client, "you")
	check(err)
	fmt.Println(task.Result(ctx))
	// Output: hello you in trace 4bf92f3577b34da6a3ce929d0e0e4736 <nil>
}

// What follows stands for a tracing library: a span in a context, as the text of a traceparent.

type spanKey struct{}

func withSpan(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, spanKey{}, traceparent)
}

func spanOf(ctx context.Context) string {
	s, _ := ctx.Value(spanKey{}).(string)
	return s
}

func traceOf(ctx context.Context) string { return spanOf(ctx)[3:35] }

// span begins a span below that of ctx.
func span(ctx context.Context, _ string) (context.Context, func()) {
	var id [8]byte
	rand.Read(id[:])
	return withSpan(ctx, fmt.Sprintf("00-%s-%x-01", traceOf(ctx), id)), func() {}
}
