package workflow

import (
	"fmt"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// The default limits on the history of a task. See [WorkerOptions].
const (
	DefaultMaxRecords      = 50_000
	DefaultMaxHistoryBytes = 64 << 20
)

// history is how much is recorded of a task in its present generation. It is what every replay has to load and go through.
type history struct{ records, bytes int }

// count adds records to the pass's history, and warns of one that has come to a quarter of what it may.
func (p *pass) count(records ...replay.Record) {
	limit := p.session.history
	before := p.history.reached(limit, 4)
	for _, r := range records {
		if r.Outcome != replay.Pending { // will be replaced
			p.history.records++
			p.history.bytes += len(r.Name) + len(r.State)
		}
	}
	if !before && p.history.reached(limit, 4) {
		p.info.logger().Warn("workflow: the history of a task has come to a quarter of its limit: use workflow.Continue before it is full",
			"records", p.history.records, "max_records", limit.records, "bytes", p.history.bytes, "max_bytes", limit.bytes)
	}
}

// reached reports whether h has come to the given part of the limit.
func (h history) reached(limit history, part int) bool {
	return h.records*part >= limit.records || h.bytes*part >= limit.bytes
}

// overflow ends a task whose history is full.
func (p *pass) overflow() {
	option, has, limit := "MaxRecords", fmt.Sprintf("%d records", p.history.records), p.session.history.records
	if p.history.bytes >= p.session.history.bytes {
		option, has, limit = "MaxHistoryBytes", fmt.Sprintf("%d bytes", p.history.bytes), p.session.history.bytes
	}
	f := failure{Name: "$HistoryLimit", Message: fmt.Sprintf("the history of the task has %s, its limit is %d: end the generation with"+
		" workflow.Continue (continue-as-new), which goes on with a new input and an empty history, or raise WorkerOptions.%s and retry the task",
		has, limit, option)}
	p.end(&store.Unit{Action: store.Fail, Payload: encodeFailure(f)}, PassFailed)
}
