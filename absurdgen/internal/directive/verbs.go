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
	// Key tells repeats of the step in one workflow apart: a string or integer field of the payload, or a method
	// of it that returns a string.
	Key Path `key:"key"`
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
	// As names the generated handle. Default: the type's name with Event behind it.
	As Handle `key:"as"`
}
