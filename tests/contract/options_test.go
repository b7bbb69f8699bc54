package contract

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// randomOptions pins that whatever spawn_task lets in can never make a later call raise. ABSURD_SOAK=1 tries ten times as many.
func randomOptions() []pin {
	return []pin{
		{"13.6.random_options", func(s *session) {
			random := rand.New(rand.NewPCG(7, 7))
			accepted, refused := 0, 0
			documents := 200
			if os.Getenv("ABSURD_SOAK") != "" {
				documents = 2000
			}
			for range documents {
				options, err := json.Marshal(randomDocument(random, 0))
				if err != nil {
					s.t.Fatal(err)
				}
				_, err = s.try("select absurd.spawn_task({q}, 'work', '{}', $1)", string(options))
				var raised *pgconn.PgError
				switch {
				case err == nil:
					accepted++
				case errors.As(err, &raised) && slices.Contains([]string{P0001, "22P02"}, raised.Code):
					refused++
				default:
					s.t.Errorf("spawn with options %s: %v", options, err)
				}
			}
			if few := documents / 10; accepted < few || refused < few {
				s.t.Errorf("%d documents were accepted and %d refused; want at least %d of each", accepted, refused, few)
			}
			for i := range 8 {
				s.at(i * 3600)
				for _, run := range s.rows("select run_id from absurd.claim_task({q}, 'w1', 30, 1000)") {
					s.exec("select absurd.fail_run({q}, $1, '{}')", run)
				}
				s.checkInvariants()
			}
			s.exec("select absurd.retry_task({q}, task_id) from {t} where state = 'failed'")
			s.exec("select count(*) from absurd.claim_task({q}, 'w1', 30, 1000)")
		}},
	}
}

// optionKeys are the keys that mean something somewhere in the options.
var optionKeys = []string{"max_attempts", "retry_strategy", "cancellation", "headers", "idempotency_key", "kind", "base_seconds", "factor", "max_seconds", "max_delay", "max_duration"}

// randomDocument is an object whose keys are known, and whose values are of every type.
func randomDocument(random *rand.Rand, depth int) any {
	document := map[string]any{}
	for range 1 + random.IntN(4) {
		document[optionKeys[random.IntN(len(optionKeys))]] = randomValue(random, depth)
	}
	if depth == 0 && random.IntN(2) == 0 {
		document[optionKeys[1+random.IntN(2)]] = randomDocument(random, 1)
	}
	return document
}

func randomValue(random *rand.Rand, depth int) any {
	values := []any{nil, true, 0, 1, -1, 3, 1.5, 1e-300, 1e300, 1e18, 2147483647, 2147483648, "", "2", " 7 ", "1e5", "NaN", "Infinity", "-3", "soon",
		"fixed", "exponential", "none", []any{}, []any{1}, map[string]any{}}
	if depth < 2 && random.IntN(6) == 0 {
		return randomDocument(random, depth+1)
	}
	return values[random.IntN(len(values))]
}
