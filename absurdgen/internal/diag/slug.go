package diag

// A Slug names one kind of mistake. It is printed with every diagnostic, is the anchor of the manual's entry for it,
// and never changes its meaning.
type Slug string

// The grammar of directives.
const (
	NearMiss         Slug = "near-miss"         // a comment that looks like a directive and is none
	UnknownVerb      Slug = "unknown-verb"      // //absurd:VERB with a verb that does not exist
	UnsupportedVerb  Slug = "unsupported-verb"  // a verb that this version does not know yet
	Detached         Slug = "detached"          // a directive outside any declaration's doc comment
	WrongDeclaration Slug = "wrong-declaration" // a directive on a declaration of the wrong kind
	TwoDirectives    Slug = "two-directives"    // two directives on one declaration
	BadQuoting       Slug = "bad-quoting"       // a quoted word that is not a Go string
	QuotedValue      Slug = "quoted-value"      // key="value" where the quotes belong around the whole word
	UnknownKey       Slug = "unknown-key"
	RepeatedKey      Slug = "repeated-key"
	MissingValue     Slug = "missing-value" // key without =value
	EmptyValue       Slug = "empty-value"   // key= with nothing behind it
	BadName          Slug = "bad-name"
	BadQueue         Slug = "bad-queue"
	BadHandle        Slug = "bad-handle" // as= that is no exported Go identifier
	BadCount         Slug = "bad-count"
	BadDuration      Slug = "bad-duration"
	BadRange         Slug = "bad-range"
	HeartbeatLong    Slug = "heartbeat-long" // a heartbeat= that is not shorter than the timeout=
	BadPath          Slug = "bad-path"
	BadLabel         Slug = "bad-label"    // version= that is too long or not printable
	BadChoice        Slug = "bad-choice"   // a word that is not one of those that the key takes
	FlagValue        Slug = "flag-value"   // a value behind a key that takes none
	AllowRule        Slug = "allow-rule"   // an exception from a rule that does not exist, or from none
	AllowReason      Slug = "allow-reason" // an exception without a reason
)

// Files and packages.
const (
	Syntax         Slug = "syntax"           // the file does not parse
	TypeError      Slug = "type-error"       // the package does not compile, for a reason of its own
	LoadError      Slug = "load"             // the go command refuses the pattern or the package
	ImportError    Slug = "import"           // an imported package cannot be used
	NotGenerated   Slug = "not-generated"    // an imported package waits for its own generated code
	RuntimeMissing Slug = "runtime-missing"  // the module does not require the runtime
	RuntimeVersion Slug = "runtime-version"  // the runtime is of another version than the generator
	TestFile       Slug = "test-file"        // a directive in a _test.go file
	Constraint     Slug = "build-constraint" // a directive in a file that is not always built
	ForeignFile    Slug = "foreign-file"     // absurd_gen.go is there and is not ours
	SelfCheck      Slug = "self-check"       // the generated code does not compile
)

// Shapes of annotated functions.
const (
	GenericFunction  Slug = "generic-function"
	BlankFunction    Slug = "blank-function"
	Variadic         Slug = "variadic"
	ContextMissing   Slug = "context-missing"
	ContextKind      Slug = "context-kind" // a workflow's context in a step, or the reverse
	TooManyParams    Slug = "parameters"
	TooManyResults   Slug = "results"
	TxMissing        Slug = "tx-missing"    // a tx step without a pgx.Tx
	TxUndeclared     Slug = "tx-undeclared" // a pgx.Tx in a step that is not tx
	ErrorMissing     Slug = "error-missing" // the last result is not error
	WorkflowMethod   Slug = "workflow-method"
	ReceiverValue    Slug = "receiver-value"
	ReceiverKind     Slug = "receiver-kind"
	ReceiverGeneric  Slug = "receiver-generic"
	TypeAlias        Slug = "type-alias"   // a directive on an alias
	TypeGeneric      Slug = "type-generic" // a directive on a generic type
	EventKeyRequired Slug = "event-key"
)

// Names.
const (
	HandleNeeded Slug = "handle-needed" // the function's name gives no handle name
	HandleTaken  Slug = "handle-taken"  // the package has the handle's name already
	HandleTwice  Slug = "handle-twice"  // two directives give the same handle
	ReservedName Slug = "reserved-name" // the package declares Deps or Register
	DepsField    Slug = "deps-field"    // two receivers give the same field of Deps
	NameTwice    Slug = "name-twice"    // two declarations share a durable name
	QueueUnclear Slug = "queue-unclear" // an event in a package with workflows on several queues
)

// Keys.
const (
	KeyWithoutInput Slug = "key-without-input"
	KeyField        Slug = "key-field" // no such field
	KeyUnexported   Slug = "key-unexported"
	KeyPointer      Slug = "key-pointer"
	KeyType         Slug = "key-type" // the path ends in neither a string nor an integer
)

// Payload types. What JSON would lose without a word is refused here.
const (
	PayloadFunc       Slug = "payload-func"
	PayloadChan       Slug = "payload-chan"
	PayloadComplex    Slug = "payload-complex"
	PayloadPointer    Slug = "payload-pointer" // uintptr and unsafe.Pointer
	PayloadInterface  Slug = "payload-interface"
	PayloadMapKey     Slug = "payload-map-key"
	PayloadUnexported Slug = "payload-unexported"
	PayloadEmbedded   Slug = "payload-embedded"   // an embedded pointer to an unexported struct
	PayloadDuplicate  Slug = "payload-duplicate"  // two fields with one JSON name
	PayloadOneSided   Slug = "payload-one-sided"  // a marshaler without its unmarshaler, or the reverse
	PayloadMarshaler  Slug = "payload-marshaler"  // a marshaler that json.Marshal does not call on values
	PayloadPromoted   Slug = "payload-promoted"   // an embedded field's marshaler hides the other fields
	PayloadTag        Slug = "payload-tag"        // a json tag that encoding/json ignores
	PayloadUnresolved Slug = "payload-unresolved" // a payload built from names that are generated here
)

// The shape lock.
const (
	LockSyntax   Slug = "lock-syntax"   // absurd.lock cannot be read
	LockBreaking Slug = "lock-breaking" // a change that running tasks would not survive
)
