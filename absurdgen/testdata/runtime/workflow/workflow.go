// Package workflow has the surface of the runtime that generated code uses, and no behaviour.
package workflow

import (
	"context"
	"time"

	"github.com/absurdgen/absurdgen/workflow/codec"
)

const ABI1OrRunGoGenerate = true

type Context interface{ sealed() }

type (
	Registry struct{}
	Binding  struct{}
)

func NewRegistry() *Registry               { return nil }
func (*Registry) Add(...Binding) error     { return nil }
func MissingDependency(field string) error { return nil }

type (
	Option interface {
		StepOption
		FlowOption
	}
	StepOption  interface{ step() }
	FlowOption  interface{ flow() }
	EventOption interface{ event() }
	QueueOption interface {
		FlowOption
		EventOption
	}
	SpawnOption interface{ spawn() }
	MapOption   interface{ mapping() }
)

func Attempts(n int) Option                  { return nil }
func Backoff(lo, hi time.Duration) Option    { return nil }
func Timeout(d time.Duration) StepOption     { return nil }
func Queue(name string) QueueOption          { return nil }
func MaxDelay(d time.Duration) FlowOption    { return nil }
func MaxDuration(d time.Duration) FlowOption { return nil }

type Future[Out any] struct{ _ Out }

func (*Future[Out]) Await(ctx Context) (out Out, err error) { return }

type Step[In, Out any] struct{ name string }

func NewStep[In, Out any](name string, opts ...StepOption) Step[In, Out]      { return Step[In, Out]{} }
func (s Step[In, Out]) KeyedBy(func(In) string) Step[In, Out]                 { return s }
func (Step[In, Out]) Bind(func(context.Context, In) (Out, error)) (b Binding) { return }
func (Step[In, Out]) Do(ctx Context, in In) (out Out, err error)              { return }
func (Step[In, Out]) Go(ctx Context, in In) *Future[Out]                      { return nil }

type StepIn[In any] struct{ name string }

func NewStepIn[In any](name string, opts ...StepOption) StepIn[In]  { return StepIn[In]{} }
func (s StepIn[In]) KeyedBy(func(In) string) StepIn[In]             { return s }
func (StepIn[In]) Bind(func(context.Context, In) error) (b Binding) { return }
func (StepIn[In]) Do(ctx Context, in In) error                      { return nil }
func (StepIn[In]) Go(ctx Context, in In) *Future[struct{}]          { return nil }

type StepOut[Out any] struct{ name string }

func NewStepOut[Out any](name string, opts ...StepOption) StepOut[Out]   { return StepOut[Out]{} }
func (StepOut[Out]) Bind(func(context.Context) (Out, error)) (b Binding) { return }
func (StepOut[Out]) Do(ctx Context) (out Out, err error)                 { return }
func (StepOut[Out]) Go(ctx Context) *Future[Out]                         { return nil }

type StepOnly struct{ name string }

func NewStepOnly(name string, opts ...StepOption) StepOnly    { return StepOnly{} }
func (StepOnly) Bind(func(context.Context) error) (b Binding) { return }
func (StepOnly) Do(ctx Context) error                         { return nil }
func (StepOnly) Go(ctx Context) *Future[struct{}]             { return nil }

type (
	Spawner       interface{ spawner() }
	Emitter       interface{ emitter() }
	Task[Out any] struct{ _ Out }
)

type Flow[In, Out any] struct{ name string }

func NewFlow[In, Out any](name string, opts ...FlowOption) Flow[In, Out] { return Flow[In, Out]{} }
func (Flow[In, Out]) Bind(func(Context, In) (Out, error)) (b Binding)    { return }
func (Flow[In, Out]) Spawn(ctx context.Context, s Spawner, in In, opts ...SpawnOption) (t Task[Out], err error) {
	return
}

type FlowIn[In any] struct{ name string }

func NewFlowIn[In any](name string, opts ...FlowOption) FlowIn[In] { return FlowIn[In]{} }
func (FlowIn[In]) Bind(func(Context, In) error) (b Binding)        { return }
func (FlowIn[In]) Spawn(ctx context.Context, s Spawner, in In, opts ...SpawnOption) (t Task[struct{}], err error) {
	return
}

type FlowOut[Out any] struct{ name string }

func NewFlowOut[Out any](name string, opts ...FlowOption) FlowOut[Out] { return FlowOut[Out]{} }
func (FlowOut[Out]) Bind(func(Context) (Out, error)) (b Binding)       { return }
func (FlowOut[Out]) Spawn(ctx context.Context, s Spawner, opts ...SpawnOption) (t Task[Out], err error) {
	return
}

type FlowOnly struct{ name string }

func NewFlowOnly(name string, opts ...FlowOption) FlowOnly { return FlowOnly{} }
func (FlowOnly) Bind(func(Context) error) (b Binding)      { return }
func (FlowOnly) Spawn(ctx context.Context, s Spawner, opts ...SpawnOption) (t Task[struct{}], err error) {
	return
}

type Event[T any] struct{ name string }

func NewEvent[T any](name string, key func(T) string, opts ...EventOption) Event[T] {
	return Event[T]{}
}
func (Event[T]) Await(ctx Context, key string, timeout time.Duration) (payload T, err error) { return }
func (Event[T]) Emit(ctx context.Context, c Emitter, payload T) error                        { return nil }

type Mapper[In, Out any] interface {
	Go(ctx Context, in In) *Future[Out]
}

func Map[In, Out any](ctx Context, in []In, m Mapper[In, Out], opts ...MapOption) ([]Out, error) {
	return nil, nil
}
func Go[Out any](ctx Context, f func(Context) (Out, error)) *Future[Out] { return nil }
func Sleep(ctx Context, d time.Duration) error                           { return nil }
func Fail(format string, args ...any) error                              { return nil }
func IdempotencyKey(ctx context.Context) string                          { return "" }

func (s Step[In, Out]) Codecs(in codec.Codec[In], out codec.Codec[Out]) Step[In, Out] { return s }
func (s StepIn[In]) Codecs(in codec.Codec[In]) StepIn[In]                             { return s }
func (s StepOut[Out]) Codecs(out codec.Codec[Out]) StepOut[Out]                       { return s }
func (f Flow[In, Out]) Codecs(in codec.Codec[In], out codec.Codec[Out]) Flow[In, Out] { return f }
func (f FlowIn[In]) Codecs(in codec.Codec[In]) FlowIn[In]                             { return f }
func (f FlowOut[Out]) Codecs(out codec.Codec[Out]) FlowOut[Out]                       { return f }
func (e Event[T]) Codecs(payload codec.Codec[T]) Event[T]                             { return e }

// Not part of the surface yet, and known to the shape lock.

func Changed(ctx Context, id string) bool { return true }

func (Flow[In, Out]) Do(ctx Context, in In) (out Out, err error) { return }
