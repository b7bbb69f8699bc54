package workflow

import (
	"slices"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Go runs f as a branch of its own, beside the caller, and returns at once. f must use the Context that it is given, and
// must not write to variables of the caller: return results through the future instead.
//
//	workflow.Go(ctx, func(ctx workflow.Context) (int, error) {
//		n, err := Count.Do(ctx, shelf)
//		total += n       // wrong: the caller sees it or not, depending on who comes first
//		return n, err    // right: the caller adds what the future's Await returns
//	})
//
// A workflow ends when all its branches have ended, and the steps and children that it has started; for an event or a message that nobody
// awaits it does not wait. A branch whose error nobody awaits fails the workflow.
func Go[Out any](ctx Context, f func(Context) (Out, error)) *Future[Out] {
	c := ctx.sealed()
	var out Out
	end, err := c.branch.Fork(func(b *replay.Branch) error {
		v, err := f(&branchContext{branch: b, pass: c.pass, shielded: c.shielded})
		out = v
		return err
	})
	if err != nil {
		return refused[Out](misuse(err))
	}
	return &Future[Out]{future: end, value: func(*replay.Branch) (Out, error) { return out, end.Err() }}
}

// Mapper is what [Map] applies to each item: a step, or a workflow function wrapped with [Func].
type Mapper[In, Out any] interface {
	Go(ctx Context, in In) *Future[Out]
}

// Func makes a function of the workflow usable with [Map]; each item runs as a branch of its own.
type Func[In, Out any] func(Context, In) (Out, error)

// Go runs f as a branch, as [Go] does.
func (f Func[In, Out]) Go(ctx Context, in In) *Future[Out] {
	return Go(ctx, func(ctx Context) (Out, error) { return f(ctx, in) })
}

// DefaultConcurrency is how many items [Map] works on at once.
const DefaultConcurrency = 8

// MapOption is an option of [Map].
type MapOption func(*mapOptions)

type mapOptions struct{ concurrency int }

// Concurrency says how many items [Map] works on at once. The default is [DefaultConcurrency].
func Concurrency(n int) MapOption { return func(o *mapOptions) { o.concurrency = n } }

// Map applies m to every item, several at a time, and returns the results in the order of the items. Every item is worked
// on, also when another has failed: which ones had been started by then would depend on timing. The error is that of the
// first item, in the order of the items, that failed.
func Map[In, Out any](ctx Context, items []In, m Mapper[In, Out], opts ...MapOption) ([]Out, error) {
	o := mapOptions{concurrency: DefaultConcurrency}
	for _, opt := range opts {
		opt(&o)
	}
	b := ctx.sealed().branch
	window := max(o.concurrency, 1)
	futures := make([]*Future[Out], len(items))
	var open []*replay.Future
	for i, item := range items {
		if len(open) == window {
			if err := b.WaitAny(open); err != nil {
				return nil, misuse(err)
			}
			open = slices.DeleteFunc(open, (*replay.Future).Done)
		}
		futures[i] = m.Go(ctx, item)
		if f := futures[i].future; f != nil && !f.Done() {
			open = append(open, f)
		}
	}
	return All(ctx, futures...)
}

// All waits for every future and returns their results in order. The error is that of the first one that failed.
func All[Out any](ctx Context, futures ...*Future[Out]) ([]Out, error) {
	results := make([]Out, len(futures))
	var failed error
	for i, f := range futures {
		v, err := f.Await(ctx)
		if err != nil && failed == nil {
			failed = err
		}
		results[i] = v
	}
	if failed != nil {
		return nil, failed
	}
	return results, nil
}
