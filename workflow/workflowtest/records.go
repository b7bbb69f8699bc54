package workflowtest

import (
	"time"

	"github.com/absurdgen/absurdgen/workflow"
	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Record is a recorded outcome of a task: what a replay is served from.
type Record struct {
	Name    string    // of the checkpoint, such as "orders.charge" or "1/orders.pack:sku-7"
	Kind    string    // step, sleep, event and so on
	Outcome string    // value, failure, timeout, or pending for a step between two attempts
	Time    time.Time // of the outcome; of a sleep, when it ends
	State   string    // its JSON; empty: none
}

// Records returns the records of a task in the order of recording.
func (e *Env) Records(queue string, task workflow.TaskID) []Record {
	var records []Record
	for _, r := range e.memory.Records(queue, task) {
		rec := Record{Name: r.Name, Kind: r.Kind.String(), Outcome: outcomeWord(r.Outcome), Time: r.Time, State: string(r.State)}
		if r.Kind == replay.Sleep {
			rec.Time = r.Wake // it is recorded when it begins
		}
		records = append(records, rec)
	}
	return records
}

func outcomeWord(o replay.Outcome) string {
	switch o {
	case replay.Value:
		return "value"
	case replay.Failure:
		return "failure"
	case replay.Timeout:
		return "timeout"
	case replay.Pending:
		return "pending"
	}
	return string(rune(o))
}
