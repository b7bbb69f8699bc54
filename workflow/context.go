package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/replay"
)

// Context is what a workflow function works with. It is not a [context.Context], so that a step, or any library that does
// I/O, cannot be called with it by mistake: that is a compile error at the argument.
//
//	receipt, err := charge(ctx, order)     // does not compile: ctx is a workflow.Context
//	receipt, err := Charge.Do(ctx, order)  // runs the step durably
//
// A Context belongs to one branch. Functions given to [Go] receive one of their own and must use that.
type Context interface {
	sealed() *branchContext
}

type branchContext struct {
	branch   *replay.Branch
	pass     *passInfo
	shielded bool // see Cleanup
}

func (c *branchContext) sealed() *branchContext { return c }

// passInfo is what the branches of a pass share.
type passInfo struct {
	task       TaskID
	generation int
	tenant     string
	queue      string
	registry   *Registry
	workflow   string
	log        *slog.Logger // the worker's
	notes      notes
	headers    []byte // of the task

	headersOnce sync.Once
	headersRead map[string]string
}

// logger returns the worker's logger with the task. It is made when it is asked for: most passes log nothing, and a logger
// with attributes formats them at once.
func (p *passInfo) logger() *slog.Logger {
	return p.log.With("task", p.task.String(), "workflow", p.workflow)
}

// ID returns the id of the task that runs the workflow: what others need to send to its inboxes, or to look at it.
func ID(ctx Context) TaskID { return ctx.sealed().pass.task }

// Now returns the engine's time of the last outcome that this branch consumed: the same on every replay. A wall clock in a
// workflow is not.
//
//	if time.Now().After(order.Due) {        // wrong: a replay may decide otherwise
//	if workflow.Now(ctx).After(order.Due) { // right
func Now(ctx Context) time.Time { return ctx.sealed().branch.Now() }

// Rand returns a source of random numbers that gives the same numbers on every replay. Each call returns a new source,
// seeded by the task and the place of the call.
func Rand(ctx Context) *rand.Rand {
	sum := seed(ctx)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// NewID returns a random UUID that is the same on every replay.
func NewID(ctx Context) string {
	sum := seed(ctx)
	var id TaskID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // RFC variant
	return id.String()
}

// seed depends on the task, the branch and the ordinal of the call in it: on nothing that a replay would change.
func seed(ctx Context) [sha256.Size]byte {
	c := ctx.sealed()
	place := strconv.Itoa(c.pass.generation) + "/" + c.branch.Path() + "/" + strconv.Itoa(c.branch.Ordinal())
	return sha256.Sum256(append(c.pass.task[:], place...))
}

// Log returns the worker's logger with the task's id. It is silent where the branch has been before, so that each line is logged
// about once.
func Log(ctx Context) *slog.Logger {
	c := ctx.sealed()
	return slog.New(replayAware{c.pass.logger().Handler(), c.branch})
}

type replayAware struct {
	slog.Handler
	branch *replay.Branch
}

func (h replayAware) Enabled(ctx context.Context, l slog.Level) bool {
	return !h.branch.Replaying() && h.Handler.Enabled(ctx, l)
}

func (h replayAware) WithAttrs(attrs []slog.Attr) slog.Handler {
	return replayAware{h.Handler.WithAttrs(attrs), h.branch}
}

func (h replayAware) WithGroup(name string) slog.Handler {
	return replayAware{h.Handler.WithGroup(name), h.branch}
}
