package directive

// The structs in this file are the registry of verbs and keys. A field is a key; its type says how the value is
// written and checked. Their doc comments are the text of "absurdgen help VERB" and of the manual, so they speak to
// users.

// Workflow makes a function a durable workflow. The function takes a workflow.Context and at most one payload, and
// returns at most one payload and an error. It may be started with the generated handle's Spawn.
type Workflow struct {
	// Name is the durable name that the database knows the workflow by. Default: package name, dot, function
	// name. Write it down before you rename the function.
	Name Name `key:"name"`
	// Queue is the queue whose workers run the workflow. Default: default.
	Queue Queue `key:"queue"`
	// Attempts is how often the workflow is tried in all, the first time included.
	Attempts Count `key:"attempts"`
	// Backoff is the pause between attempts: it starts near LO and grows up to HI.
	Backoff Range `key:"backoff"`
	// MaxDelay cancels a task that has not started within this time.
	MaxDelay Duration `key:"maxdelay"`
	// MaxDuration cancels a task that has not ended within this time.
	MaxDuration Duration `key:"maxduration"`
	// Version marks the tasks that this code spawns, for people and tools to tell them apart. Default: none.
	Version Label `key:"version"`
	// Unknown says what happens when a stored payload of the workflow has a field that its type has not: ignore, the
	// default, or refuse.
	Unknown Unknown `key:"unknown"`
	// As names the generated handle. Default: the function's name with its first letter raised.
	As Handle `key:"as"`
}

// Step makes a function or a method a durable step: its outcome is recorded once. The function takes a
// context.Context and at most one payload, and returns at most one payload and an error. A method's receiver becomes a
// field of the generated Deps.
type Step struct {
	// Name is the durable name that checkpoints of the step carry. Default: package name, dot, function name.
	// Write it down before you rename the function.
	Name Name `key:"name"`
	// Attempts is how often the step is tried in all, the first time included.
	Attempts Count `key:"attempts"`
	// Backoff is the pause between attempts: it starts near LO and grows up to HI.
	Backoff Range `key:"backoff"`
	// Timeout ends the step's context this long after an attempt began.
	Timeout Duration `key:"timeout"`
	// Heartbeat fails an attempt that has not called workflow.Heartbeat for this long. It is shorter than the timeout.
	Heartbeat Duration `key:"heartbeat"`
	// Key tells repeats of the step in one workflow apart: a string or integer field of the payload, or a method
	// of it that returns a string.
	Key Path `key:"key"`
	// Tx runs the step in a database transaction of its own, which commits together with the step's checkpoint, so
	// that what it writes there happens exactly once. The function takes a pgx.Tx behind the context.
	Tx Flag `key:"tx"`
	// Unknown says what happens when a stored payload of the step has a field that its type has not: ignore, the
	// default, or refuse.
	Unknown Unknown `key:"unknown"`
	// As names the generated handle. Default: the function's name with its first letter raised.
	As Handle `key:"as"`
}

// Event makes a type the payload of an event. An event happens once for each key in a queue: the first emit wins, and
// every await of that key gets its payload.
type Event struct {
	// Name is the durable name of the event, without the key. Default: package name, dot, type name.
	Name Name `key:"name"`
	// Key is the part of the payload that addresses the event: a string or integer field of the type, or a method
	// of it that returns a string. It is required.
	Key Path `key:"key"`
	// Queue is the queue that the event belongs to. Default: the one queue that the workflows of its package use.
	Queue Queue `key:"queue"`
	// Unknown says what happens when a payload has a field that the type has not: ignore, the default, or refuse.
	Unknown Unknown `key:"unknown"`
	// As names the generated handle. Default: the type's name with Event behind it.
	As Handle `key:"as"`
}

// Inbox makes a type the messages of an inbox. Every task has one inbox of each kind: anybody who knows the task's id can
// send to it, and the task receives the messages one by one, in order.
type Inbox struct {
	// Name is the durable name of the inbox. Default: package name, dot, type name.
	Name Name `key:"name"`
	// Queue is the queue of the tasks that have the inbox. Default: the one queue that the workflows of its package
	// use.
	Queue Queue `key:"queue"`
	// Unknown says what happens when a message has a field that the type has not: ignore, the default, or refuse.
	Unknown Unknown `key:"unknown"`
	// As names the generated handle. Default: the type's name with Inbox behind it.
	As Handle `key:"as"`
}

// State makes a type what a task publishes about itself while it runs. The task sets it, and anybody who knows the task's
// id can get the last one.
type State struct {
	// Name is the durable name of the state. Default: package name, dot, type name.
	Name Name `key:"name"`
	// Queue is the queue of the tasks that publish the state. Default: the one queue that the workflows of its package
	// use.
	Queue Queue `key:"queue"`
	// Unknown says what happens when a stored state has a field that the type has not: ignore, the default, or refuse.
	Unknown Unknown `key:"unknown"`
	// As names the generated handle. Default: the type's name with State behind it.
	As Handle `key:"as"`
}

// Allow makes an exception from rules about the bodies of workflows, for one function or, above a statement, for that
// statement. It is written
//
//	//absurd:allow RULE ... -- REASON
//
// and the reason is not optional. No tool of this version applies the rules; absurdgen sees to it that they exist.
type Allow struct {
	Rules  []string
	Reason string
}

// rules are what allow may name, and what each of them forbids in the body of a workflow.
func rules() []rule {
	return []rule{
		{"time", "reading or waiting for the clock; workflow.Now and workflow.Sleep are replayed"},
		{"rand", "random numbers; workflow.Rand and workflow.NewID are replayed"},
		{"goroutine", "go statements, channels and locks; workflow.Go makes a branch"},
		{"io", "files, network and processes; a step does them once"},
		{"rawstep", "calling the function behind a step; its handle records the outcome"},
		{"maprange", "ranging over a map where the order gets out"},
		{"global", "reading or writing package variables"},
		{"shared", "writing a variable that another branch sees"},
		{"recover", "recovering a panic of the runtime's"},
		{"discard", "throwing away the error of a durable call"},
		{"name", "a step without a key in a loop"},
	}
}

type rule struct{ name, forbids string }
