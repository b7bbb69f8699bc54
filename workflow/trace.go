package workflow

import (
	"context"
	"encoding/json"
)

// The headers in which a task carries the W3C trace context of whoever spawned it.
const (
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)

type traceKey struct{}

// WithTrace returns a context whose trace context goes into the headers of the tasks that are spawned with it. The contexts of steps carry
// that of their task already, so that whatever a step spawns belongs to the same trace; state may be empty.
//
// A tracing library is plugged in by [ClientMiddleware] and [WorkerMiddleware], which see the headers themselves.
func WithTrace(ctx context.Context, parent, state string) context.Context {
	headers := map[string]string{TraceParent: parent}
	if state != "" {
		headers[TraceState] = state
	}
	return context.WithValue(ctx, traceKey{}, headers)
}

// TraceOf returns the W3C trace context that a context carries: given with [WithTrace], or, in a step, that of the task. Both are empty
// where there is none.
func TraceOf(ctx context.Context) (parent, state string) {
	headers, _ := ctx.Value(traceKey{}).(map[string]string)
	return headers[TraceParent], headers[TraceState]
}

// Headers returns the headers that the task was spawned with. Do not change the map.
func Headers(ctx Context) map[string]string { return ctx.sealed().pass.headerMap() }

// HeadersOf returns the headers of the task whose step has the context; nil for any other context. Do not change the map.
func HeadersOf(ctx context.Context) map[string]string {
	if step, ok := ctx.Value(stepContextKey{}).(*stepContext); ok {
		return step.info.headerMap()
	}
	return nil
}

// addTrace returns headers with the trace context of ctx, unless they have one. They are never nil where somebody may add to them.
func addTrace(ctx context.Context, headers map[string]string, middleware clientMiddleware) map[string]string {
	parent, state := TraceOf(ctx)
	if headers == nil && (parent != "" || len(middleware) > 0) {
		headers = make(map[string]string)
	}
	if parent != "" && headers[TraceParent] == "" {
		headers[TraceParent] = parent
		if state != "" {
			headers[TraceState] = state
		}
	}
	return headers
}

// decodeHeaders reads stored headers. Other clients may store anything there: what is no text is left out.
func decodeHeaders(data []byte) map[string]string {
	if len(data) == 0 {
		return nil
	}
	headers := make(map[string]string)
	var any map[string]json.RawMessage
	if json.Unmarshal(data, &any) != nil {
		return headers
	}
	for name, value := range any {
		var text string
		if json.Unmarshal(value, &text) == nil {
			headers[name] = text
		}
	}
	return headers
}

// headerMap returns the task's headers. It is made when it is asked for: most passes do not.
func (p *passInfo) headerMap() map[string]string {
	p.headersOnce.Do(func() { p.headersRead = decodeHeaders(p.headers) })
	return p.headersRead
}
