package demo

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/absurdgen/absurdgen/workflow"
)

// setup is what a child is told on its standard input, in one line. After it the input stays open as long as the stage manager
// lives. It never goes on a command line or into the environment, as the DSN may hold a password.
type setup struct {
	Name    string `json:"name"`
	DSN     string `json:"dsn,omitempty"`     // workers
	Gateway string `json:"gateway,omitempty"` // workers: where the gateway listens
	Token   string `json:"token"`             // what the gateway asks of its callers
	Passes  int    `json:"passes,omitempty"`  // workers
}

// kind says what a report is about.
type kind string

const (
	listening   kind = "listening"    // the gateway can be called at Address
	stepStarted kind = "step-started" // a worker calls a step's function
	stepEnded   kind = "step-ended"   // the function has returned, Error says how
	passEnded   kind = "pass-ended"   // Pass says how
	effectSeen  kind = "effect"       // the gateway has done something for Key, or dropped a repeat of it
)

// report is one line that a child writes on its standard output.
type report struct {
	Kind       kind             `json:"kind"`
	Address    string           `json:"address,omitempty"`
	Task       workflow.TaskID  `json:"task,omitzero"`
	Step       string           `json:"step,omitempty"`
	Checkpoint string           `json:"checkpoint,omitempty"`
	Attempt    int              `json:"attempt,omitempty"`
	Error      string           `json:"error,omitempty"`
	Pass       workflow.PassEnd `json:"pass,omitempty"`
	Replayed   int              `json:"replayed,omitempty"`
	Key        string           `json:"key,omitempty"`
	Repeat     bool             `json:"repeat,omitempty"`
}

// reporter writes reports, from any goroutine.
type reporter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newReporter(w io.Writer) *reporter { return &reporter{enc: json.NewEncoder(w)} }

// send writes a report. Where nobody reads any more there is nobody to tell; standard input ends then as well.
func (r *reporter) send(rep report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.enc.Encode(rep)
}
