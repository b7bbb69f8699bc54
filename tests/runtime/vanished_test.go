package runtime

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
	"github.com/absurdgen/absurdgen/workflow"
)

// TestVanishedConnections has the connections of a client that waits for a result fall silent, as when the other end has vanished: nothing
// is closed, and no answer comes. The client asks again over a new connection.
func TestVanishedConnections(t *testing.T) {
	t.Parallel()
	pool, dsn := pgtest.Database(t)
	r := rigOn(t, pool, dsn, workflow.ClientOptions{})
	flow := workflow.NewFlow[string, string]("flow")
	r.work(workflow.WorkerOptions{}, flow.Bind(func(ctx workflow.Context, _ string) (string, error) {
		n, err := signal.Await(ctx, "go", 0)
		return n.Value, err
	}))
	way := newWay(t, pool.Config().ConnConfig)
	config := pool.Config()
	config.MaxConns = 2
	config.ConnConfig.Host, config.ConnConfig.Port, config.ConnConfig.Fallbacks = "127.0.0.1", way.port(), nil
	far, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	client := workflow.NewClient(far, workflow.ClientOptions{NoListen: true, Logger: r.log})
	t.Cleanup(client.Close)

	task := spawn(r, flow, "")
	r.awaitState(task.ID, "sleeping")
	there, err := flow.Attach(r.ctx, client, task.ID) // the pool's connection is made
	if err != nil {
		t.Fatal(err)
	}
	way.silence()
	r.emit("go", "gone")
	if got, err := there.Result(r.ctx); got != "gone" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
}

// way is a TCP proxy in front of a server.
type way struct {
	net.Listener
	mu    sync.Mutex
	conns []*waylaid
}

// waylaid is a connection through the way.
type waylaid struct {
	mu     sync.Mutex
	silent bool
}

func newWay(t *testing.T, to *pgx.ConnConfig) *way {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &way{Listener: l}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			network, address := pgconn.NetworkAddress(to.Host, to.Port)
			far, err := net.Dial(network, address)
			if err != nil {
				near.Close()
				continue
			}
			c := new(waylaid)
			w.mu.Lock()
			w.conns = append(w.conns, c)
			w.mu.Unlock()
			t.Cleanup(func() { near.Close(); far.Close() })
			go c.copy(far, near)
			go c.copy(near, far)
		}
	}()
	return w
}

func (w *way) port() uint16 { return uint16(w.Addr().(*net.TCPAddr).Port) }

// silence has nothing more come through on the connections that there are.
func (w *way) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.mu.Lock()
		c.silent = true
		c.mu.Unlock()
	}
}

func (c *waylaid) copy(to io.WriteCloser, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		if silent {
			return
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			to.Close()
			return
		}
	}
}
