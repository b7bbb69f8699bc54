package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/workflow"
)

// remark keeps the text of what it was decoded from.
type remark struct{ text string }

func (m *remark) UnmarshalJSON(data []byte) error { m.text = string(data); return nil }
func (m remark) MarshalJSON() ([]byte, error)     { return []byte(m.text), nil }

// TestOutputsAreSeenAsStored: a workflow sees the same of a step that has just returned as on replay, whatever its type keeps of the
// text. Here the outputs are inputs of an unkeyed repeated step, where a difference would be a divergence.
func TestOutputsAreSeenAsStored(t *testing.T) {
	t.Run("RawMessage", func(t *testing.T) {
		seesAsStored(t, func(n int) json.RawMessage {
			return json.RawMessage(fmt.Sprintf(`{"name":"x", "id": %d.50e1,"a":[1e2,-0],"id":%d.00}`, n, n))
		})
	})
	t.Run("Number", func(t *testing.T) {
		seesAsStored(t, func(n int) json.Number { return json.Number(fmt.Sprintf("%d.5e3", n)) })
	})
	t.Run("own decoder", func(t *testing.T) {
		seesAsStored(t, func(n int) []remark { return []remark{{fmt.Sprintf(`{"zz":%d,"b":1}`, n)}} })
	})
	t.Run("negative zero", func(t *testing.T) {
		seesAsStored(t, func(n int) map[string]float64 {
			return map[string]float64{"z": math.Copysign(0, -1), "n": float64(n) * 1e21}
		})
	})
	t.Run("any", func(t *testing.T) {
		seesAsStored(t, func(n int) any { return map[string]any{"zz": n, "a": math.Copysign(0, -1)} })
	})
}

func seesAsStored[T any](t *testing.T, make func(int) T) {
	r := newRig(t)
	start := workflow.NewStep[int, T]("start")
	use := workflow.NewStep[T, T]("use")
	flow := workflow.NewFlow[string, string]("flow")
	seen := [][]string{}
	r.work(workflow.WorkerOptions{Parked: -1},
		start.Bind(func(_ context.Context, n int) (T, error) { return make(n), nil }),
		use.Bind(func(_ context.Context, in T) (T, error) { return in, nil }),
		flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
			var texts []string
			for n := range 3 {
				a, err := start.Do(ctx, n)
				if err != nil {
					return "", err
				}
				b, err := use.Do(ctx, a)
				if err != nil {
					return "", err
				}
				texts = append(texts, fmt.Sprintf("%v %v", a, b))
			}
			seen = append(seen, texts)
			got, err := signal.Await(ctx, "on", 0)
			return got.Name, err
		}))
	task := spawn(r, flow, "")
	r.awaitState(task.ID, "sleeping")
	if err := signal.Emit(r.ctx, r.client, named{"on", ""}); err != nil {
		t.Fatal(err)
	}
	r.eventually("the task has gone on", func() bool {
		state, _ := r.state(task.ID)
		return state != "sleeping" && state != "running" && state != "pending"
	})
	if state, reason := r.state(task.ID); state != "completed" {
		t.Fatalf("%s: %s", state, reason)
	}
	if diff := cmp.Diff(seen[0], seen[len(seen)-1]); diff != "" {
		t.Errorf("the workflow saw another value on replay (-live +replay):\n%s", diff)
	}
}

// TestNormalFormOfJSON holds what a workflow sees of a new value to what PostgreSQL gives back of a stored one.
func TestNormalFormOfJSON(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	step := workflow.NewStep[json.RawMessage, json.RawMessage]("echo")
	flow := workflow.NewFlow[json.RawMessage, string]("flow")
	seen := make(chan string, 1)
	r.work(workflow.WorkerOptions{}, step.Bind(func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
		var doc string
		if err := json.Unmarshal(in, &doc); err != nil {
			return nil, err
		}
		return json.RawMessage(doc), nil
	}), flow.Bind(func(ctx workflow.Context, in json.RawMessage) (string, error) {
		out, err := step.Do(ctx, in)
		seen <- string(out)
		return "", err
	}))
	for range 60 {
		var docs []string
		for range 40 {
			docs = append(docs, randomJSON(random, 3))
		}
		doc := "[" + strings.Join(docs, ",") + "]"
		in, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		task := spawn(r, flow, json.RawMessage(in))
		got, want := receive(r, "the output", seen), one[string](r, `select $1::text::jsonb::text`, doc)
		if got != want {
			t.Fatalf("%s\n is seen as %s\nstored as %s", doc, got, want)
		}
		result(r, task)
	}
}

// randomJSON returns a document with everything that has more than one way to be written.
func randomJSON(random *rand.Rand, depth int) string {
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	digits := func() string { return strings.TrimLeft(fmt.Sprint(random.IntN(100000)), "0") + pick("", "0", "000") }
	text := func() string {
		s := `"`
		for range random.IntN(4) {
			s += pick("a", "b", "B", "ä", "😀", `\u00e4`, `\ud83d\ude00`, `\/`, `\\`, `\"`, `\n`, `\u000a`, `\u0001`, `\u001f`, `\u007f`, " ", `\b`)
		}
		return s + `"`
	}
	switch n := random.IntN(8); {
	case n < 2 && depth > 0:
		var members []string
		for range random.IntN(5) {
			members = append(members, text()+pick(":", " : ")+randomJSON(random, depth-1))
		}
		return "{" + strings.Join(members, pick(",", " ,\n")) + "}"
	case n < 4 && depth > 0:
		var items []string
		for range random.IntN(4) {
			items = append(items, randomJSON(random, depth-1))
		}
		return "[" + strings.Join(items, pick(",", ", ")) + pick("", " ") + "]"
	case n < 5:
		return pick("true", "false", "null")
	case n < 6:
		return text()
	}
	whole := pick("0", "1"+digits())
	return pick("", "-") + whole + pick("", ".0", "."+digits()+"5", ".00"+digits()+"1") +
		pick("", "e"+fmt.Sprint(random.IntN(30)), "E-"+fmt.Sprint(random.IntN(30)), "e+0"+fmt.Sprint(random.IntN(9)))
}
