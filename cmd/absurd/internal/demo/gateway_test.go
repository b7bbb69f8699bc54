package demo

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
)

// newGateway returns a gateway without latency, a client of it, and what it reports.
func newGateway(t *testing.T) (*gatewayClient, *bytes.Buffer) {
	t.Helper()
	var reports bytes.Buffer
	g := &gateway{reports: newReporter(&reports), latency: func() time.Duration { return 0 }, byKey: make(map[string]*effect)}
	server := httptest.NewServer(g.handler("token"))
	t.Cleanup(server.Close)
	return newGatewayClient(server.Listener.Addr().String(), "token"), &reports
}

// A repeat has no effect and is answered as the first call was, and the ledger counts it.
func TestGatewayDropsRepeats(t *testing.T) {
	t.Parallel()
	c, reports := newGateway(t)
	first, err := c.Charge(t.Context(), "k1", 500)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Charge(t.Context(), "k1", 500)
	if err != nil || again != first || first.ChargeID == "" {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	other, err := c.Charge(t.Context(), "k2", 500)
	if err != nil || other == first {
		t.Errorf("two charges are one: %+v, %v", other, err)
	}
	bin, err := c.Reserve(t.Context(), "k3", orders.Item{SKU: "mug"})
	if err != nil || bin.SKU != "mug" || bin.Name == "" {
		t.Errorf("%+v, %v", bin, err)
	}
	if err := c.Remind(t.Context(), "k4", "A-1"); err != nil {
		t.Error(err)
	}
	if err := c.Refund(t.Context(), "k5", first); err != nil {
		t.Error(err)
	}
	ledger, err := c.ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []effect{
		{Kind: charged, Key: "k1", Cents: 500, Answer: first.ChargeID, Repeats: 1},
		{Kind: charged, Key: "k2", Cents: 500, Answer: other.ChargeID},
		{Kind: reserved, Key: "k3", Subject: "mug", Answer: bin.Name},
		{Kind: mailed, Key: "k4", Subject: "A-1", Answer: "mail-0004"},
		{Kind: refunded, Key: "k5", Subject: first.ChargeID, Answer: "refund-0005"},
	}
	if diff := cmp.Diff(want, ledger); diff != "" {
		t.Error(diff)
	}
	var told []string
	for dec := json.NewDecoder(reports); ; {
		var r report
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if r.Repeat {
			r.Key += " again"
		}
		told = append(told, r.Key)
	}
	if diff := cmp.Diff([]string{"k1", "k1 again", "k2", "k3", "k4", "k5"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newGateway(t)
	if _, err := c.Charge(t.Context(), "k", 500); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Charge(t.Context(), "k", 501); err == nil || !strings.Contains(err.Error(), "another call") {
		t.Errorf("a key for two amounts: %v", err)
	}
	if _, err := c.Reserve(t.Context(), "k", orders.Item{SKU: "x"}); err == nil || !strings.Contains(err.Error(), "another call") {
		t.Errorf("a key for two kinds: %v", err)
	}
	if _, err := c.Charge(t.Context(), "", 500); err == nil || !strings.Contains(err.Error(), "no idempotency key") {
		t.Errorf("no key: %v", err)
	}
	stranger := newGatewayClient(c.address, "guess")
	if _, err := stranger.Charge(t.Context(), "k9", 500); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a stranger: %v", err)
	}
	if l, err := c.ledger(t.Context()); err != nil || len(l) != 1 {
		t.Errorf("what was refused had an effect: %+v, %v", l, err)
	}
}
