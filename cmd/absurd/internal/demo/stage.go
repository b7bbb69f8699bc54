package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/db"
	"github.com/absurdgen/absurdgen/examples/orders"
	"github.com/absurdgen/absurdgen/workflow"
)

// Options say what the demo runs and where it shows it.
type Options struct {
	Orders []orders.Order
	Out    *os.File
	Keep   bool // leave the server up, unless the context ends first

	// The hidden commands that call [RunGateway] and [RunWorker].
	GatewayCommand, WorkerCommand string
}

// Run runs the demo. It returns nil only if every task completed with the right result, and every side effect was had exactly
// once. Whatever it returns, nothing that it started is left, unless it was asked to keep it. When ctx ends, Run returns what it
// could not take down.
func Run(ctx context.Context, o Options) (err error) {
	s := &stage{
		options: o, screen: newScreen(o.Out), token: rand.Text(),
		messages: make(chan message), quit: make(chan struct{}),
	}
	defer func() {
		if ctx.Err() != nil {
			err = nil // whatever went wrong because of that is not worth a word
		}
		err = errors.Join(err, s.strike(ctx))
	}()
	s.screen.write(fmt.Sprintf("%s, two worker processes, one kill -9", plural(len(o.Orders), "order")), "")
	if err := s.build(ctx); err != nil {
		return err
	}
	s.board = newBoard(s.list())
	if err := s.spawn(ctx); err != nil {
		return err
	}
	for _, name := range []string{"worker A", "worker B"} {
		if err := s.startWorker(name); err != nil {
			return err
		}
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	if err := s.dismiss(ctx); err != nil {
		return err
	}
	return s.conclude(ctx)
}

// stage is one run of the demo.
type stage struct {
	options  Options
	screen   *screen
	token    string
	messages chan message
	quit     chan struct{} // closed when nobody reads messages any more

	database *database
	pool     *pgxpool.Pool
	client   *workflow.Client
	gateway  *gatewayClient
	children []*child

	board  *board
	killed *child // the worker that was killed
	buried bool   // all that it had reported before is known
	clerk  bool   // is at work
	asides int
	keep   bool
}

const gatewayName = "gateway"

// list returns the orders. In a database that is not the demo's own, events of earlier demos are still known by the ids of
// their orders, so that each demo needs ids of its own there.
func (s *stage) list() []orders.Order {
	list := s.options.Orders
	if s.database.own {
		return list
	}
	list = slices.Clone(list)
	suffix := "-" + strings.ToLower(rand.Text()[:5])
	for i := range list {
		list[i].ID += suffix
	}
	return list
}

// build starts the server, installs the schema and starts the gateway.
func (s *stage) build(ctx context.Context) (err error) {
	if s.database, err = openDatabase(ctx); err != nil {
		return err
	}
	s.screen.tell("PostgreSQL: %s", s.database.what)
	if s.pool, err = pgxpool.New(ctx, s.database.dsn); err != nil {
		return err
	}
	if err := db.Install(ctx, s.pool); err != nil {
		return err
	}
	status, err := db.ReadStatus(ctx, s.pool)
	if err != nil {
		return err
	}
	s.client = workflow.NewClient(s.pool, workflow.ClientOptions{})
	if err := s.client.CreateQueue(ctx, orders.Fulfil.Queue()); err != nil {
		return err
	}
	s.screen.tell("schema absurd is at version %d; queue %s", status.Version, orders.Fulfil.Queue())

	gateway, err := s.start(s.options.GatewayCommand, setup{Name: gatewayName})
	if err != nil {
		return err
	}
	select {
	case m := <-s.messages:
		if m.Kind != listening {
			return gateway.failure()
		}
		s.gateway = newGatewayClient(m.Address, s.token)
	case <-ctx.Done():
		return ctx.Err()
	}
	s.screen.tell("gateway: process %d plays payments, warehouse and mail, and keeps its own ledger", gateway.pid())
	return nil
}

func (s *stage) start(command string, to setup) (*child, error) {
	to.Token = s.token
	c, err := startChild(command, to, s.messages, s.quit)
	if c != nil {
		s.children = append(s.children, c)
	}
	return c, err
}

// spawn makes a task of every order. The idempotency key would let a caller who got no answer ask again.
func (s *stage) spawn(ctx context.Context) error {
	for _, p := range s.board.orders {
		task, err := orders.Fulfil.Spawn(ctx, s.client, p.Order, workflow.WithIdempotencyKey(p.ID))
		if err != nil {
			return err
		}
		s.board.spawned(p, task.ID, time.Now())
	}
	s.screen.tell("%s spawned, asking for %s in all", plural(len(s.board.orders), "order"), plural(s.board.total, "side effect"))
	return nil
}

// startWorker starts a worker process. Each takes less than all orders at once, so that both have work.
func (s *stage) startWorker(name string) error {
	passes := min(max(1, len(s.board.orders)*2/5), 64)
	c, err := s.start(s.options.WorkerCommand, setup{Name: name, DSN: s.database.dsn, Gateway: s.gateway.address, Passes: passes})
	if err != nil {
		return err
	}
	s.screen.tell("%s: process %d", name, c.pid())
	return nil
}

// conclude shows the account and judges.
func (s *stage) conclude(ctx context.Context) error {
	ledger, err := s.gateway.ledger(ctx)
	if err != nil {
		return err
	}
	v := judge(s.board, ledger)
	s.screen.clear()
	s.screen.write(s.table()...)
	s.screen.write(s.summary(v)...)
	s.keep = s.options.Keep
	if len(v.complaints) > 0 {
		for _, c := range v.complaints {
			s.screen.write(s.screen.style.bad(c))
		}
		return fmt.Errorf("the demo did not come out right: %s; this should not happen, please report it", v.complaints[0])
	}
	if s.killed == nil {
		return errors.New("the demo came to its end before a worker could be killed; this should not happen, please report it")
	}
	s.screen.write(s.screen.style.good(fmt.Sprintf("nothing lost, nothing done twice: %s completed in %.1fs, with %s killed in mid-step",
		plural(len(s.board.orders), "order"), time.Since(s.screen.began).Seconds(), s.killed.name)))
	return nil
}

// strike takes everything down, in the order in which one needs the other.
func (s *stage) strike(ctx context.Context) (err error) {
	s.screen.clear()
	if ctx.Err() != nil {
		s.screen.tell("interrupted: taking everything down")
	}
	close(s.quit)
	for i := len(s.children) - 1; i >= 0; i-- {
		s.children[i].stop()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.database == nil {
		return nil
	}
	if s.keep && ctx.Err() == nil {
		lines, err := s.database.keep()
		if err != nil {
			return err
		}
		s.screen.write(append([]string{""}, lines...)...)
		return nil
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.database.close(end)
}
