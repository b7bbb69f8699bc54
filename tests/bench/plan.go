package main

// The systems under test.
const (
	ourName = "absurdgen"
	dbos    = "dbos"
	river   = "river"
)

var systems = []string{ourName, dbos, river}

// row is one line of the plan: a work at one setting. sizes says how many tasks each system gets, so that each runs for some
// seconds; a system that is not named takes no part.
type row struct {
	id       string // of the work and its setting, for flags and lookups
	work     string
	title    string
	unit     string // what is counted: task or step; empty where latency is what counts
	inFlight int
	sizes    map[string]int
	fixed    bool // the number of tasks is part of the work
}

// W6 comes right after the row that it is compared with: what else the machine does changes from minute to minute.
var plan = []row{
	{"W1", "W1 one by one", "spawn one by one, 8 callers", "task", 0, map[string]int{ourName: 30_000, river: 15_000, dbos: 15_000}, false},
	{"W1-bulk", "W1 bulk", "spawn 1,000 a call, one caller", "task", 0, map[string]int{ourName: 200_000, river: 200_000}, false},
	{"W2-128", "W2 one step", "drain one-step tasks, 128 in flight", "task", 128, map[string]int{ourName: 120_000, river: 120_000, dbos: 4_000}, false},
	{"W6", "W6 history", "W2-128 beside 500,000 finished and 100,000 sleeping", "task", 128, map[string]int{ourName: 120_000}, false},
	{"W2-32", "W2 one step", "drain one-step tasks, 32 in flight", "task", 32, map[string]int{ourName: 20_000, river: 20_000, dbos: 3_000}, false},
	{"W3-128", "W3 ten steps", "ten-step workflows, 128 in flight", "step", 128, map[string]int{ourName: 8_000, dbos: 800}, false},
	{"W2-mute", "W2 no outcome", "one-step tasks, the step returns nothing, 128 in flight", "task", 128, map[string]int{ourName: 20_000, dbos: 2_000}, false},
	{"W3-32", "W3 ten steps", "ten-step workflows, 32 in flight", "step", 32, map[string]int{ourName: 5_000, dbos: 800}, false},
	{"W3-mute", "W3 no outcome", "ten-step workflows, the steps return nothing, 128 in flight", "step", 128, map[string]int{ourName: 4_000, dbos: 400}, false},
	{"W4", "W4 idle", "spawn to result on an idle queue, default settings", "", 0, map[string]int{ourName: 100, dbos: 15, river: 30}, false},
	{"W4-inproc", "W4 in process", "the same, started in process", "", 0, map[string]int{dbos: 100}, false},
	{"W5", "W5 events", "1,000 event waits resolved", "", 0, map[string]int{ourName: 1_000, dbos: 1_000}, true},
	{"W7", "W7 children", "fan-out of 1,000 children, from spawn to the result of all", "child", 0, map[string]int{ourName: 1_000}, true},
	{"W8", "W8 turns", "1,000 events in one workflow, one after the other", "", 0, map[string]int{ourName: 1_000}, true},
	{"W9", "W9 pooler", "64 workers through PgBouncer, transaction mode", "task", 16, map[string]int{ourName: 40_000}, false},
	{"W9-direct", "W9 no pooler", "64 workers connected directly", "task", 16, map[string]int{ourName: 40_000}, false},
}
