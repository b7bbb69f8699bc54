// Package trial is what the benchmark and its children say to each other. Every system under test runs in a child process
// of its own, so that its CPU time and garbage are its own:
//
//	child                          parent
//	                           ←   a Spec, as one line of JSON
//	prepares, says "ready"     →   checkpoints, reads the server's counters
//	                           ←   "go"
//	runs, says a Report        →   reads the counters again
//	                           ←   "stop"
//	cleans up and exits
package trial

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Spec says what to run.
type Spec struct {
	System   string `json:"system"`
	Work     string `json:"work"`
	DSN      string `json:"dsn"`
	Pooler   string `json:"pooler,omitempty"` // the same database through PgBouncer
	Tasks    int    `json:"tasks"`
	InFlight int    `json:"in_flight"`
	Profile  string `json:"profile,omitempty"` // where to write a CPU profile
}

// Report says what came of it.
type Report struct {
	Error       string             `json:"error,omitempty"`
	Unavailable string             `json:"unavailable,omitempty"` // why the system cannot do this at all
	Seconds     float64            `json:"seconds"`
	Units       int                `json:"units"`                // tasks, or steps where the work counts steps
	ClientCPU   float64            `json:"client_cpu,omitempty"` // milliseconds
	Latencies   []float64          `json:"latencies,omitempty"`  // milliseconds
	Values      map[string]float64 `json:"values,omitempty"`     // what only this work measures
}

// Ready is work whose preparation is done. Run is what is measured.
type Ready struct {
	Run   func(ctx context.Context) (Report, error)
	Close func()
}

// Work prepares one trial.
type Work func(ctx context.Context, s Spec) (Ready, error)

// ErrUnavailable wraps the reason why a system cannot do a work.
var ErrUnavailable = errors.New("not available")

// Serve does one trial on the given streams. works are keyed "system/work".
func Serve(in io.Reader, out io.Writer, works map[string]Work) error {
	lines := bufio.NewScanner(in)
	say := json.NewEncoder(out)
	if !lines.Scan() {
		return errors.New("no spec")
	}
	var s Spec
	if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	refuse := func(err error) error {
		if errors.Is(err, ErrUnavailable) {
			return say.Encode(Report{Unavailable: strings.TrimPrefix(err.Error(), ErrUnavailable.Error()+": ")})
		}
		return say.Encode(Report{Error: err.Error()})
	}
	work, ok := works[s.System+"/"+s.Work]
	if !ok {
		return refuse(fmt.Errorf("%w: no counterpart", ErrUnavailable))
	}
	ready, err := work(ctx, s)
	if err != nil {
		return refuse(err)
	}
	if ready.Close != nil {
		defer ready.Close()
	}
	if err := say.Encode("ready"); err != nil {
		return err
	}
	if !lines.Scan() {
		return errors.New("the parent is gone")
	}
	stopProfile, err := startProfile(s.Profile)
	if err != nil {
		return refuse(err)
	}
	cpu, began := cpuTime(), time.Now()
	report, err := ready.Run(ctx)
	if err != nil {
		return refuse(err)
	}
	report.ClientCPU = float64((cpuTime() - cpu).Microseconds()) / 1000
	if report.Seconds == 0 {
		report.Seconds = time.Since(began).Seconds()
	}
	stopProfile()
	if err := say.Encode(report); err != nil {
		return err
	}
	lines.Scan()
	return nil
}

// Main serves on the process's own streams and exits.
func Main(works map[string]Work) {
	if err := Serve(os.Stdin, os.Stdout, works); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Payload is what every task takes, every step returns and every task results in: 200 bytes of JSON.
type Payload struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// NewPayload returns the payload with the given id.
func NewPayload(id int) Payload {
	const frame = len(`{"id":,"text":""}`)
	return Payload{ID: id, Text: strings.Repeat("absurd ", 40)[:200-frame-len(fmt.Sprint(id))]}
}

// Payloads returns n of them, with ids from first.
func Payloads(first, n int) []Payload {
	p := make([]Payload, n)
	for i := range p {
		p[i] = NewPayload(first + i)
	}
	return p
}

// Milliseconds of a duration.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Parallel calls f for 0 … n-1 from the given number of callers, and returns the first error.
func Parallel(n, callers int, f func(i int) error) error {
	next := make(chan int)
	stop := make(chan struct{})
	var once sync.Once
	var first error
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					once.Do(func() { first = err; close(stop) })
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-stop:
			break feed
		}
	}
	close(next)
	all.Wait()
	return first
}

// Counter is waited for until it has been raised often enough.
type Counter struct {
	mu      sync.Mutex
	n, want int
	reached chan struct{}
}

// NewCounter returns a counter that is reached at want.
func NewCounter(want int) *Counter { return &Counter{want: want, reached: make(chan struct{})} }

// Add raises the counter by one.
func (c *Counter) Add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == c.want {
		close(c.reached)
	}
}

// Wait waits until the counter is reached.
func (c *Counter) Wait(ctx context.Context) error {
	select {
	case <-c.reached:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("%d of %d when time was up", c.n, c.want)
	}
}

// Percentile returns the p-th percentile of some figures; 0 of none.
func Percentile(figures []float64, p float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[min(int(float64(len(sorted))*p/100), len(sorted)-1)]
}
