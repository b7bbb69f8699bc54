package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
	"github.com/absurdgen/absurdgen/workflow/internal/store/postgres"
)

// ClientOptions are the options of a [Client]. The zero value is a working one.
type ClientOptions struct {
	// Listen is the connection to listen for notifications with. The default is one like those of the pool. Give it where
	// the pool goes through a pooler in transaction mode, which cannot listen.
	Listen *pgx.ConnConfig

	// NoListen does without notifications. Everything works by polling, at ten times the rate.
	NoListen bool

	// PollInterval is how often to look without a notification. The default is 500 ms while listening, else 50 ms.
	PollInterval time.Duration

	// Tenant is whose the client's tasks and events are, and the only one whose tasks it sees, whatever else its database role may use. It
	// is also that of its workers. The default is what the role may use; within a step, the tenant of the step's task, if it has one.
	Tenant string

	// Logger gets what goes wrong and is dealt with. The default discards it.
	Logger *slog.Logger

	// Middleware is called around what the client spawns, emits and sends; the first is the outermost.
	Middleware []ClientMiddleware
}

// Client spawns tasks, emits events and waits for results. It also carries the connection on which the workers of the
// process are woken. It is safe for concurrent use.
type Client struct {
	store    store.Store // of all that the role may use
	own      store.Store // of the client's tenant, if it has one
	options  ClientOptions
	listener *listener
	close    context.CancelFunc

	mu     sync.Mutex
	groups map[string]*queueGroups
	warned time.Time // of an outage that those who wait for results have met
}

// NewClient returns a client on the given pool. The pool stays the caller's; close the client before it.
func NewClient(pool *pgxpool.Pool, o ClientOptions) *Client {
	config := o.Listen
	if config == nil {
		config = pool.Config().ConnConfig.Copy()
	}
	return NewClientOn(postgres.New(pool, config), o)
}

// NewClientOn returns a client on another store than PostgreSQL. Package workflowtest has one.
func NewClientOn(s store.Store, o ClientOptions) *Client {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	listen := s.Listen
	if o.NoListen {
		listen = nil
	}
	own := s
	if o.Tenant != "" {
		own = s.For(o.Tenant)
	}
	return &Client{store: s, own: own, options: o, listener: newListener(ctx, listen, o.Logger), close: cancel, groups: make(map[string]*queueGroups)}
}

// Close ends the client's own connection. Call it when the workers have stopped and nobody waits for a result, and before the pool is closed.
func (c *Client) Close() {
	c.close()
	c.listener.close()
}

func (c *Client) poll() time.Duration {
	switch {
	case c.options.PollInterval > 0:
		return c.options.PollInterval
	case c.options.NoListen:
		return 50 * time.Millisecond
	}
	return 500 * time.Millisecond
}

// Spawner is what a task can be spawned with: a [Client], or [Tx].
type Spawner interface {
	spawn(ctx context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, *Client, error)
	middleware() clientMiddleware
}

// Emitter is what an event can be emitted with: a [Client], or [Tx].
type Emitter interface {
	emit(ctx context.Context, queue, name string, payload []byte) error
	middleware() clientMiddleware
}

func (c *Client) spawn(ctx context.Context, queue string, tasks []store.Spawn) ([]store.Spawned, *Client, error) {
	c.tenantsTasks(ctx, tasks)
	if len(tasks) == 1 && !tasks[0].Options.Alone() {
		spawned, err := c.group(queue).spawns.do(ctx, tasks[0])
		return []store.Spawned{spawned}, c, err
	}
	spawned, err := c.spawnAll(ctx, queue, tasks)
	return spawned, c, err
}

func (c *Client) spawnAll(ctx context.Context, queue string, tasks []store.Spawn) (spawned []store.Spawned, err error) {
	err = again(ctx, func() (err error) {
		spawned, err = c.own.Spawn(ctx, queue, tasks)
		return err
	})
	if err == nil {
		c.listener.spawned(queue)
	}
	return spawned, err
}

// queueGroups are the groups of the calls to one queue.
type queueGroups struct {
	spawns group[store.Spawn, store.Spawned] // those that wait for nobody
	emits  group[store.Event, struct{}]
}

// group returns what groups the calls to a queue.
func (c *Client) group(queue string) *queueGroups {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[queue]
	if g == nil {
		g = new(queueGroups)
		g.spawns.size = func(s store.Spawn) int { return len(s.Params) }
		g.spawns.send = func(ctx context.Context, tasks []store.Spawn, _ bool) ([]store.Spawned, error) {
			return c.spawnAll(ctx, queue, tasks)
		}
		g.emits.size = func(e store.Event) int { return len(e.Payload) }
		g.emits.send = func(ctx context.Context, events []store.Event, patient bool) ([]struct{}, error) {
			patience := emitPatience
			if patient {
				patience = 0
			}
			err := again(ctx, func() error { return c.own.Emit(ctx, queue, events, patience) })
			return make([]struct{}, len(events)), err
		}
		c.groups[queue] = g
	}
	return g
}

// emitPatience is how long emits that share a call wait for the lock of another transaction, such as one that has emitted the
// same event and is not committed yet.
const emitPatience = 20 * time.Millisecond

func (c *Client) middleware() clientMiddleware { return c.options.Middleware }

// notes returns what is known about a task beside its input.
func (c *Client) notes(ctx context.Context, queue string, id TaskID) (notes *store.Notes, err error) {
	if c == nil {
		return nil, errNoClient
	}
	err = again(ctx, func() (err error) {
		notes, err = c.on(ctx).Notes(ctx, queue, id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("workflow: task %s: %w", id, hint(err))
	case notes == nil:
		return nil, fmt.Errorf("%w: %s on queue %q", ErrNotFound, id, queue)
	}
	return notes, nil
}

func (c *Client) send(ctx context.Context, queue string, m store.Message) (sent store.Sent, err error) {
	err = again(ctx, func() error {
		all, err := c.on(ctx).Send(ctx, queue, []store.Message{m})
		if err == nil {
			sent = all[0]
		}
		return err
	})
	return sent, err
}

func (c *Client) emit(ctx context.Context, queue, name string, payload []byte) error {
	e := store.Event{Name: name, Payload: payload}
	if on := c.on(ctx); on != c.own {
		return emitError(name, queue, again(ctx, func() error { return on.Emit(ctx, queue, []store.Event{e}, 0) }))
	}
	_, err := c.group(queue).emits.do(ctx, e)
	return emitError(name, queue, err)
}

// again calls f until it does not end in a deadlock or a serialization failure, in which nothing was written. In a transaction
// of the caller's only the caller can do that.
func again(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.Code != "40P01" && pg.Code != "40001" || attempt == maxAgain || !pause(ctx, backoff(attempt)) {
			return err
		}
	}
}

const maxAgain = 10

// outage reports whether the database could not answer, and may answer later: there was no answer, or the server was
// starting, stopping, out of connections, or not the one to write to, as in the middle of a failover.
func outage(err error) bool {
	pg, answered := errors.AsType[*pgconn.PgError](err)
	if !answered {
		return true
	}
	return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "53") || pg.Code == "25006"
}

// warnEvery is how often an outage is told of by those who wait for results: they are many, and it is one.
const warnEvery = 5 * time.Second

func (c *Client) warnOutage(err error) {
	c.mu.Lock()
	due := time.Since(c.warned) >= warnEvery
	if due {
		c.warned = time.Now()
	}
	c.mu.Unlock()
	if due {
		c.options.Logger.Warn("workflow: the database does not answer whether tasks have ended; asking again", "error", err)
	}
}

func emitError(name, queue string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("workflow: event %s was not emitted on queue %q: %w", name, queue, hint(err))
}
