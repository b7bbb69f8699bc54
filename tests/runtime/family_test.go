package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

// family is a workflow whose every round has a child, a message and an event in it: the child has an effect, tells the parent of it by a
// message, and waits for an event that the parent emits when it has got that. The result is what the messages, and then the children, said.

const familyRounds = 3

type round struct {
	Family int             `json:"family"`
	Round  int             `json:"round"`
	Parent workflow.TaskID `json:"parent"`
}

func (r round) key() string { return fmt.Sprintf("%d.%d", r.Family, r.Round) }

// told is the payload of the message, and of the event.
type told struct {
	Round  string `json:"round"`
	Effect int64  `json:"effect"`
}

var (
	// As in chain, the attempts outlast a crash of the server.
	lasting    = []workflow.StepOption{workflow.Attempts(100), workflow.Backoff(10*time.Millisecond, 200*time.Millisecond)}
	childWork  = workflow.NewStep[round, int64]("family.work", lasting...)
	childTells = workflow.NewStep[told, int64]("family.tell", lasting...)
	answers    = workflow.NewStep[told, int64]("family.answer", lasting...).KeyedBy(func(t told) string { return t.Round })
	childDone  = workflow.NewInbox[told]("family.done")
	goOn       = workflow.NewEvent("family.go", func(t told) string { return t.Round })
	childFlow  = workflow.NewFlow[round, int64]("family.child")
	family     = workflow.NewFlow[int, []int64]("family")
)

// familyEffects is how many effects a family has.
const familyEffects = 3 * familyRounds

func familyBindings(world effects, process string, client *workflow.Client) []workflow.Binding {
	return []workflow.Binding{
		childWork.Bind(func(ctx context.Context, r round) (int64, error) { return world.happen(ctx, process, "work "+r.key()) }),
		childTells.Bind(func(ctx context.Context, t told) (int64, error) {
			return world.happen(ctx, process, "tell "+t.Round)
		}),
		answers.Bind(func(ctx context.Context, t told) (int64, error) {
			id, err := world.happen(ctx, process, "answer "+t.Round)
			if err != nil {
				return 0, err
			}
			return id, goOn.Emit(ctx, client, t)
		}),
		childFlow.Bind(func(ctx workflow.Context, r round) (int64, error) {
			effect, err := childWork.Do(ctx, r)
			if err != nil {
				return 0, err
			}
			t := told{r.key(), effect}
			_, err = workflow.Inline(ctx, "send", func(ctx context.Context) (workflow.None, error) {
				return workflow.None{}, childDone.Send(ctx, client, r.Parent, t, workflow.MessageKey(t.Round))
			}, lasting...)
			if err != nil {
				return 0, err
			}
			if _, err := childTells.Do(ctx, t); err != nil {
				return 0, err
			}
			answer, err := goOn.Await(ctx, t.Round, 0)
			return answer.Effect, err
		}),
		family.Bind(func(ctx workflow.Context, n int) ([]int64, error) {
			var said []int64
			for i := range familyRounds {
				child := childFlow.Go(ctx, round{n, i, workflow.ID(ctx)})
				message, err := childDone.Receive(ctx, 0)
				if err != nil {
					return nil, err
				}
				if message.Round != strconv.Itoa(n)+"."+strconv.Itoa(i) {
					return nil, workflow.Fail("a message of round %s in round %d of family %d", message.Round, i, n)
				}
				if _, err := answers.Do(ctx, message); err != nil {
					return nil, err
				}
				effect, err := child.Await(ctx)
				if err != nil {
					return nil, err
				}
				said = append(said, message.Effect, effect)
			}
			return said, nil
		}),
	}
}

// checkFamilies checks that each family has completed with what its children have done, that there are as many children, messages and
// records as there should be, and that an effect which happened more than once repeated its idempotency key.
func (r *rig) checkFamilies(tasks []workflow.Task[[]int64]) (repeated int) {
	r.Helper()
	for n, task := range tasks {
		said := result(r, task)
		for i := range familyRounds {
			work := one[[]int64](r, `select coalesce(array_agg(id), '{}') from public.effects where note = $1`, fmt.Sprintf("work %d.%d", n, i))
			if len(said) != 2*familyRounds || said[2*i] != said[2*i+1] || !slices.Contains(work, said[2*i]) {
				r.Fatalf("family %d has the result %v, and in round %d the effects %v", n, said, i, work)
			}
		}
	}
	for what, counted := range map[string]struct {
		query string
		want  int
	}{
		"tasks":                                    {`select count(*) from absurd.tasks where state = 'c'`, len(tasks) * (1 + familyRounds)},
		"records of parents":                       {`select count(*) from absurd.checkpoints c join absurd.tasks t using (task_id) where t.parent_id is null`, len(tasks) * 3 * familyRounds},
		"records of children":                      {`select count(*) from absurd.checkpoints c join absurd.tasks t using (task_id) where t.parent_id is not null`, len(tasks) * 4 * familyRounds},
		"messages that wait":                       {`select count(*) from absurd.messages`, 0},
		"idempotency keys of effects":              {`select count(distinct key) from public.effects`, len(tasks) * familyEffects},
		"keys used for several things":             {`select count(*) from (select from public.effects group by key having count(distinct note) > 1) x`, 0},
		"records that were overwritten or removed": {`select count(*) from public.overwritten`, 0},
	} {
		if got := one[int](r, counted.query); got != counted.want {
			r.Errorf("%d %s, want %d", got, what, counted.want)
		}
	}
	return one[int](r, `select count(*) - count(distinct key) from public.effects`)
}
