// Package replay runs a workflow function against the records of what it did before. It is a pure state machine:
// history goes in, wanted operations come out. It knows no clock, no database and no goroutine of the user's steps.
//
//	p := replay.New(replay.Config{History: records, Body: body})
//	for p.Run() == replay.Parked {
//		for _, op := range p.Wants() {
//			// start the step, set the timer, open the wait; and when its outcome is there:
//			p.Resolve(op, replay.Value, result, at)
//		}
//	}
//
// A workflow runs as branches. Each is a coroutine; exactly one runs at a time, in the order in which they were made, until it
// asks for an outcome that is not there yet and parks.
//
// # Names come from position
//
// A durable operation is recorded under "branch path / durable name : key # ordinal". The path says which branches lead to
// the operation, each by its number within its parent ("1.2/"), and never depends on timing. The root's path is empty.
//
// # The frontier check
//
// A pass starts with live execution switched off: every branch is served from the records and parks at its first miss. When
// nothing moves any more, every committed record must have been asked for. If one was not, the code has lost, renamed, moved
// or preceded a finished operation, and the pass ends as [Diverged] before it has wanted anything. Only then do misses
// become wants.
package replay
