package workflow_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/db/embedded"
	"github.com/absurdgen/absurdgen/workflow"
)

// A cart collects items until it is told to check out. Whoever adds the first item makes the cart.
func Example_inbox() {
	items := workflow.NewInbox[string]("cart.items")
	cart := workflow.NewFlow[string, []string]("cart")
	collect := func(ctx workflow.Context, customer string) (bought []string, err error) {
		for {
			item, err := items.Receive(ctx, 24*time.Hour) // holds no worker
			if err != nil || item == "check out" {
				return bought, err
			}
			bought = append(bought, item)
		}
	}

	ctx, client, stop := start(workflow.WorkerOptions{}, workflow.ClientOptions{}, cart.Bind(collect))
	defer stop()
	for _, item := range []string{"apple", "pear"} {
		_, err := cart.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Join), workflow.WithMessage(items, item))
		if err != nil {
			log.Fatal(err)
		}
	}
	task, err := cart.Spawn(ctx, client, "ann", workflow.WithUnique("ann", workflow.Join))
	if err != nil {
		log.Fatal(err)
	}
	if err := items.Send(ctx, client, task.ID, "check out"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.Result(ctx))
	// Output: [apple pear] <nil>
}

func ExampleState() {
	progress := workflow.NewState[string]("import.progress")
	loading := workflow.NewFlow[int, int]("import")
	load := func(ctx workflow.Context, rows int) (int, error) {
		for row := range rows {
			if err := progress.Set(ctx, fmt.Sprintf("%d of %d", row+1, rows)); err != nil {
				return row, err
			}
		}
		return rows, nil
	}

	ctx, client, stop := start(workflow.WorkerOptions{}, workflow.ClientOptions{}, loading.Bind(load))
	defer stop()
	task, err := loading.Spawn(ctx, client, 3)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := task.Result(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(progress.Get(ctx, client, task.ID))
	// Output: 3 of 3 <nil>
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
	ctx, client, stop := start(workflow.WorkerOptions{Middleware: []workflow.WorkerMiddleware{workerTracing}},
		workflow.ClientOptions{Middleware: []workflow.ClientMiddleware{clientTracing}},
		greet.Bind(func(ctx context.Context, name string) (string, error) {
			return "hello " + name + " in trace " + traceOf(ctx), nil
		}),
		hello.Bind(func(ctx workflow.Context, name string) (string, error) { return greet.Do(ctx, name) }))
	defer stop()
	task, err := hello.Spawn(withSpan(ctx, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), client, "you")
	if err != nil {
		log.Fatal(err)
	}
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

// start runs a worker on a private PostgreSQL and returns a client, and what stops it all.
func start(w workflow.WorkerOptions, c workflow.ClientOptions, bindings ...workflow.Binding) (context.Context, *workflow.Client, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	server, err := embedded.Open(ctx, embedded.Options{})
	must(err)
	pool, err := pgxpool.New(ctx, server.DSN())
	must(err)
	must(db.Install(ctx, pool))
	registry := workflow.NewRegistry()
	must(registry.Add(bindings...))
	client := workflow.NewClient(pool, c)
	must(client.CreateQueue(ctx, workflow.DefaultQueue))
	worker, err := workflow.NewWorker(client, registry, w)
	must(err)
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	return ctx, client, func() {
		cancel()
		must(<-done)
		client.Close()
		pool.Close()
		must(server.Stop())
	}
}
