package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/absurdgen/absurdgen/examples/orders"
)

// gatewayClient calls the gateway's process. It is the orders example's Gateway, Shelves and Mail.
type gatewayClient struct {
	address, token string
	http           *http.Client
}

func newGatewayClient(address, token string) *gatewayClient {
	return &gatewayClient{address: address, token: token, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// Charge implements [orders.Gateway].
func (c *gatewayClient) Charge(ctx context.Context, key string, cents int64) (orders.Receipt, error) {
	id, err := c.perform(ctx, effect{Kind: charged, Key: key, Cents: cents})
	return orders.Receipt{ChargeID: id}, err
}

// Refund implements [orders.Gateway].
func (c *gatewayClient) Refund(ctx context.Context, key string, r orders.Receipt) error {
	_, err := c.perform(ctx, effect{Kind: refunded, Key: key, Subject: r.ChargeID})
	return err
}

// Reserve implements [orders.Shelves].
func (c *gatewayClient) Reserve(ctx context.Context, key string, it orders.Item) (orders.Bin, error) {
	name, err := c.perform(ctx, effect{Kind: reserved, Key: key, Subject: it.SKU})
	return orders.Bin{SKU: it.SKU, Name: name}, err
}

// Remind implements [orders.Mail].
func (c *gatewayClient) Remind(ctx context.Context, key, orderID string) error {
	_, err := c.perform(ctx, effect{Kind: mailed, Key: key, Subject: orderID})
	return err
}

func (c *gatewayClient) perform(ctx context.Context, e effect) (answer string, err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("gateway: %w", err)
	}
	var done effect
	if err := c.call(ctx, http.MethodPost, "/effects", bytes.NewReader(body), &done); err != nil {
		return "", err
	}
	return done.Answer, nil
}

// ledger returns all that the gateway has done.
func (c *gatewayClient) ledger(ctx context.Context) ([]effect, error) {
	var l []effect
	err := c.call(ctx, http.MethodGet, "/ledger", nil, &l)
	return l, err
}

func (c *gatewayClient) call(ctx context.Context, method, path string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, body)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("gateway: %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}
