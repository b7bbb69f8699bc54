package programs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// handles are what an interpreted workflow uses.
type handles struct {
	flow  workflow.Flow[Program, string]
	event workflow.Event[string]
	inbox workflow.Inbox[string]

	step, flaky, slow, hopeless, keyed, item workflow.Step[string, string]

	begin func(workflow.StepInfo) // is told of each attempt at a step
}

// The backoffs of a step: one that a pass waits out in memory, and one over which its run is suspended.
const (
	shortBackoff = 2 * time.Millisecond
	longBackoff  = 330 * time.Millisecond // by a fifth less it is still suspended
)

func newHandles(queue string, begin func(workflow.StepInfo)) *handles {
	short := workflow.Backoff(shortBackoff, shortBackoff)
	step := func(name string, o ...workflow.StepOption) workflow.Step[string, string] {
		return workflow.NewStep[string, string](name, append(o, workflow.Attempts(3))...)
	}
	return &handles{
		begin:    begin,
		flow:     workflow.NewFlow[Program, string]("program", workflow.Queue(queue), workflow.Attempts(2), short),
		event:    workflow.NewEvent("event", func(key string) string { return key }, workflow.Queue(queue)),
		inbox:    workflow.NewInbox[string]("inbox", workflow.Queue(queue)),
		step:     step("step", short),
		flaky:    step("flaky", short),
		slow:     step("slow", workflow.Backoff(longBackoff, longBackoff)),
		hopeless: step("hopeless", short),
		item:     step(beside, short),
		keyed:    step("keyed", short).KeyedBy(func(in string) string { return in }),
	}
}

func (h *handles) bindings() []workflow.Binding {
	bind := func(s workflow.Step[string, string], failures int) workflow.Binding {
		return s.Bind(func(ctx context.Context, in string) (string, error) {
			info, _ := workflow.InfoOf(ctx)
			h.begin(info)
			if info.Attempt <= failures {
				return "", fmt.Errorf("attempt %d of %s fails", info.Attempt, s.Name())
			}
			return in + "!", nil
		})
	}
	return []workflow.Binding{
		bind(h.step, 0), bind(h.flaky, 1), bind(h.slow, 1), bind(h.hopeless, 3), bind(h.keyed, 0), bind(h.item, 1),
		h.flow.Bind(func(ctx workflow.Context, p Program) (string, error) { return h.run(ctx, p) }),
	}
}

// beside is the name of the step that runs several times at once in one branch.
const beside = "item"

// never is the key of an event that does not come.
const never = "never"

// run interprets a program. What it returns tells all that its operations have answered.
func (h *handles) run(ctx workflow.Context, p Program) (string, error) {
	var trace []string
	for i, n := range p {
		text, err := h.do(ctx, n, fmt.Sprintf("%d.%d", i, len(trace)))
		if err != nil {
			return "", err
		}
		trace = append(trace, n.Op+" "+text)
	}
	return strings.Join(trace, ", "), nil
}

func (h *handles) do(ctx workflow.Context, n Node, place string) (string, error) {
	switch n.Op {
	case "step":
		return told(h.step.Do(ctx, place))
	case "flaky":
		return told(h.flaky.Do(ctx, place))
	case "slow":
		return told(h.slow.Do(ctx, place))
	case "hopeless":
		return told(h.hopeless.Do(ctx, place))
	case "keyed":
		return told(h.keyed.Do(ctx, fmt.Sprint(place, "#", n.N)))
	case "inline":
		return told(workflow.Inline(ctx, "inline", func(ctx context.Context) (string, error) {
			info, _ := workflow.InfoOf(ctx)
			h.begin(info)
			return place, nil
		}))
	case "sleep":
		return "", workflow.Sleep(ctx, []time.Duration{time.Millisecond, 10 * time.Millisecond, 300 * time.Millisecond}[n.N%3])
	case "past":
		return "", workflow.SleepUntil(ctx, workflow.Now(ctx).Add(-time.Second))
	case "event":
		return told(h.event.Await(ctx, fmt.Sprint(n.N%events), 0))
	case "receive":
		return told(h.inbox.Receive(ctx, 0))
	case "never":
		_, err := h.event.Await(ctx, never, 10*time.Millisecond)
		return fmt.Sprint(errors.Is(err, workflow.ErrTimeout)), nil
	case "changed":
		return fmt.Sprint(workflow.Changed(ctx, fmt.Sprint("change-", n.N))), nil
	case "seeded":
		return h.echo(ctx, fmt.Sprint(workflow.NewID(ctx), workflow.Rand(ctx).Uint64()))
	case "now":
		return h.echo(ctx, workflow.Now(ctx).Format(time.RFC3339Nano))
	case "map":
		return h.mapped(ctx, n.N)
	case "go", "all":
		return h.branches(ctx, n)
	case "child":
		return toldOfChild(h.flow.Do(ctx, n.Kids[0]))
	case "children":
		return h.children(ctx, n)
	case "race":
		return h.race(ctx, n)
	case "photo":
		return h.photo(ctx, n.N)
	case "fail":
		_, err := h.hopeless.Do(ctx, place)
		return "", fmt.Errorf("it fails: %w", err)
	case "panic":
		panic("the workflow panics")
	}
	panic("no operation " + n.Op)
}

// told puts an outcome into words. Of a misuse, which is no outcome, it returns the error.
func told(v string, err error) (string, error) {
	if failed, ok := errors.AsType[*workflow.StepError](err); ok {
		return fmt.Sprintf("failed after %d: %s", failed.Attempts, failed.Message), nil
	}
	return v, err
}

// echo has a step record what must be the same in every replay.
func (h *handles) echo(ctx workflow.Context, v string) (string, error) {
	recorded, err := h.step.Do(ctx, v)
	if recorded != v+"!" {
		return fmt.Sprintf("was %s, is %s", recorded, v), err
	}
	return "same", err
}

func (h *handles) mapped(ctx workflow.Context, n int) (string, error) {
	items := make([]string, 1+n%4)
	for i := range items {
		items[i] = fmt.Sprint("item ", i)
	}
	var mapper workflow.Mapper[string, string] = h.item
	if n%2 == 0 {
		mapper = workflow.Func[string, string](func(ctx workflow.Context, item string) (string, error) {
			if _, err := h.step.Do(ctx, item); err != nil {
				return "", err
			}
			return told(h.hopeless.Do(ctx, item))
		})
	}
	out, err := workflow.Map(ctx, items, mapper, workflow.Concurrency(2))
	return strings.Join(out, "+"), err
}

func (h *handles) branches(ctx workflow.Context, n Node) (string, error) {
	futures := make([]*workflow.Future[string], len(n.Kids))
	for i, kid := range n.Kids {
		futures[i] = workflow.Go(ctx, func(ctx workflow.Context) (string, error) { return h.run(ctx, kid) })
	}
	if n.Op == "go" { // something of its own meanwhile
		if _, err := h.step.Do(ctx, "beside"); err != nil {
			return "", err
		}
	}
	out, err := workflow.All(ctx, futures...)
	return "[" + strings.Join(out, " | ") + "]", err
}

func (h *handles) children(ctx workflow.Context, n Node) (string, error) {
	futures := make([]*workflow.Future[string], len(n.Kids))
	for i, kid := range n.Kids {
		futures[i] = h.flow.Go(ctx, kid)
	}
	ends := make([]string, len(futures))
	for i, f := range futures {
		end, err := toldOfChild(f.Await(ctx))
		if err != nil {
			return "", err
		}
		ends[i] = end
	}
	return "{" + strings.Join(ends, " | ") + "}", nil
}

// toldOfChild puts the outcome of a child into words.
func toldOfChild(v string, err error) (string, error) {
	if failed, ok := errors.AsType[*workflow.ChildError](err); ok {
		return fmt.Sprintf("child failed with %s: %s", failed.Type, failed.Message), nil
	}
	return v, err
}

// photo has two branches end by themselves. However late that is looked at, the one that was over first has won.
func (h *handles) photo(ctx workflow.Context, n int) (string, error) {
	sleep := func(d time.Duration) func(workflow.Context) (string, error) {
		return func(ctx workflow.Context) (string, error) { return d.String(), workflow.Sleep(ctx, d) }
	}
	timeout := func(d time.Duration) func(workflow.Context) (string, error) {
		return func(ctx workflow.Context) (string, error) {
			if _, err := h.event.Await(ctx, never, d); !errors.Is(err, workflow.ErrTimeout) {
				return "", err
			}
			return "timeout", nil
		}
	}
	first, second := sleep, sleep
	switch n % 3 {
	case 1:
		second = timeout
	case 2:
		first = timeout
	}
	winner, out, err := workflow.Race(ctx, first(20*time.Millisecond), second(10*time.Millisecond))
	if err == nil && winner != 1 {
		err = fmt.Errorf("the later one has won: %s", out)
	}
	return out, err
}

// race has the first branch win, because the others do not end.
func (h *handles) race(ctx workflow.Context, n Node) (string, error) {
	var runners []func(workflow.Context) (string, error)
	for i, kid := range n.Kids {
		runners = append(runners, func(ctx workflow.Context) (string, error) {
			out, err := h.run(ctx, kid)
			if err == nil && i > 0 {
				_, err = h.event.Await(ctx, never, 0)
			}
			return out, err
		})
	}
	winner, out, err := workflow.Race(ctx, runners...)
	return fmt.Sprintf("won by %d: %s", winner, out), err
}
