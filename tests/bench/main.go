// Command bench measures the engine and its peers on one private PostgreSQL, side by side. See docs/performance.md.
//
//	go run ./tests/bench                         everything, five times, into docs/performance.md
//	go run ./tests/bench -works W2,W3 -reps 1 -doc ''
//	go run ./tests/bench -works W2-128 -systems absurdgen -reps 1 -doc '' -statements -profile cpu.out
//
// Each trial is a child process with a database of its own; the peers live in a module of their own under peers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/absurdgen/absurdgen/tests/bench/ours"
	"github.com/absurdgen/absurdgen/tests/bench/trial"
)

// childFlag, as the only argument, makes this program a child.
const childFlag = "-child"

func main() {
	if len(os.Args) == 2 && os.Args[1] == childFlag {
		trial.Main(ours.Works())
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	works, systems []string
	reps           int
	scale          float64
	dir, doc       string
	settings       map[string]string
	statements     bool
	profile        string
}

func flags() options {
	o := options{settings: make(map[string]string)}
	list := func(to *[]string) func(string) error {
		return func(s string) error { *to = append(*to, strings.Split(s, ",")...); return nil }
	}
	flag.Func("works", "only these rows of the plan: a comma-separated list of ids or their beginnings, such as W2,W3-128", list(&o.works))
	flag.Func("systems", "only these: "+strings.Join(systems, ","), list(&o.systems))
	flag.Func("set", "a setting of the server, name=value; may be given again", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("write name=value")
		}
		o.settings[name] = value
		return nil
	})
	flag.IntVar(&o.reps, "reps", 5, "how often to run each trial; medians are shown")
	flag.Float64Var(&o.scale, "scale", 1, "multiplies the number of tasks where it is not part of the work")
	flag.StringVar(&o.dir, "dir", "", "where to keep the server's data while it runs; a real disk (default: the folder for temporary files)")
	flag.StringVar(&o.doc, "doc", filepath.Join("docs", "performance.md"), "the page whose measured section is rewritten; empty for none")
	flag.BoolVar(&o.statements, "statements", false, "show which statements took the server's time, nested ones too, and what the WAL is made of; this costs time itself")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of our child to this file")
	flag.Parse()
	return o
}

// benchmark is a run of the whole.
type benchmark struct {
	options
	server  *server
	pooler  *pooler
	peers   string // the peers' program
	trials  int
	results map[string]map[string][]outcome // by row and system
	loads   [2]string                       // the machine's load before and after
	failed  []error                         // of trials
}

func measure(ctx context.Context) (err error) {
	b := &benchmark{options: flags(), results: make(map[string]map[string][]outcome)}
	if b.statements {
		b.settings["pg_stat_statements.track"], b.settings["pg_stat_statements.track_planning"] = "all", "on"
	}
	if b.takesPart(dbos) || b.takesPart(river) {
		if b.peers, err = buildPeers(ctx); err != nil {
			return err
		}
		defer os.Remove(b.peers)
	}
	if b.dir != "" {
		if err := os.Setenv("TMPDIR", b.dir); err != nil {
			return err
		}
	}
	if b.server, err = startServer(ctx, b.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.Stop()) }()
	if b.pooler, err = startPooler(b.server); err != nil {
		return err
	}
	defer b.pooler.stop()

	began := time.Now()
	b.loads[0] = load()
	for rep := range b.reps {
		for _, r := range plan {
			if err := b.row(ctx, r, rep); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nmeasured in %v\n\n", time.Since(began).Round(time.Second))
	b.loads[1] = load()
	report := b.report()
	fmt.Println(report)
	if b.doc != "" {
		err = b.publish(report)
	}
	return errors.Join(append(b.failed, err)...)
}

// row runs a row of the plan once, for each system in turn.
func (b *benchmark) row(ctx context.Context, r row, rep int) error {
	if len(b.works) > 0 && !slices.ContainsFunc(b.works, func(w string) bool { return strings.HasPrefix(r.id, w) }) {
		return nil
	}
	for _, system := range systems {
		size := r.sizes[system]
		if size == 0 || !b.takesPart(system) {
			continue
		}
		if !r.fixed {
			size = max(int(float64(size)*b.scale), 1)
		}
		spec := trial.Spec{System: system, Work: r.work, Tasks: size, InFlight: r.inFlight}
		if system == ourName {
			spec.Profile = b.profile
		}
		o, err := b.try(ctx, spec)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// A long run is not thrown away for one trial.
			o = outcome{Report: trial.Report{Unavailable: "it failed"}}
			b.failed = append(b.failed, fmt.Errorf("%s, %s: %w", r.id, system, err))
			fmt.Fprintln(os.Stderr, "bench:", b.failed[len(b.failed)-1])
		}
		if b.results[r.id] == nil {
			b.results[r.id] = make(map[string][]outcome)
		}
		b.results[r.id][system] = append(b.results[r.id][system], o)
		fmt.Printf("%d  %-9s  %-9s  %s\n", rep+1, r.id, system, o)
	}
	return nil
}

// try runs a trial, and once more if it fails.
func (b *benchmark) try(ctx context.Context, s trial.Spec) (o outcome, err error) {
	for range 2 {
		o, err = b.run(ctx, s)
		if err == nil && o.Error != "" {
			err = errors.New(o.Error)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return o, err
}

func (b *benchmark) takesPart(system string) bool {
	return len(b.systems) == 0 || slices.Contains(b.systems, system)
}

// load returns the machine's load average of the last minute: what else runs spoils a measurement.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

// buildPeers builds the program of the peers, whose module users never see.
func buildPeers(ctx context.Context) (string, error) {
	f, err := os.CreateTemp("", "absurd-bench-peers-*")
	if err != nil {
		return "", err
	}
	f.Close()
	build := exec.CommandContext(ctx, "go", "build", "-o", f.Name(), ".")
	build.Dir = filepath.Join("tests", "bench", "peers")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building the peers (run this from the root of the repository): %w", err)
	}
	return f.Name(), nil
}

// String is an outcome on one line.
func (o outcome) String() string {
	if o.Unavailable != "" {
		return "not available: " + o.Unavailable
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%8.0f/s in %6.2f s", float64(o.Units)/o.Seconds, o.Seconds)
	c := o.per(float64(o.Units))
	fmt.Fprintf(&s, "  server %.3f ms, client %.3f ms, %.3f commits, %.0f WAL bytes (+%.0f full pages), %.2f statements each",
		c.ServerCPU, o.ClientCPU/float64(o.Units), c.Commits, c.WAL, c.FullPages, c.Statements)
	if len(o.Latencies) > 0 {
		fmt.Fprintf(&s, "  p50 %.2f ms, p99 %.2f ms", trial.Percentile(o.Latencies, 50), trial.Percentile(o.Latencies, 99))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Values)) {
		fmt.Fprintf(&s, "  %s %.2f", name, o.Values[name])
	}
	return s.String()
}
