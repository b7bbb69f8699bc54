// Package programs runs random workflows through random crashes. A [Program] is a workflow as data, made from a seed; [Check] runs
// it once in peace and once with its worker killed again and again, and compares:
//
//	err := programs.Check(ctx, bench, programs.Random(seed))
//
// Whatever happens in between, the task must come to the same end, no step may begin whose outcome is recorded, and no outcome
// may be recorded twice. Of a program that does not hold, [Shrink] finds a small part that does not either.
package programs
