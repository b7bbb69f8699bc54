package demo

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// effectKind is something that the gateway does.
type effectKind string

const (
	charged  effectKind = "charge"
	refunded effectKind = "refund"
	reserved effectKind = "reserve"
	mailed   effectKind = "mail"
)

// effect is one thing that the gateway has done, as its ledger has it.
type effect struct {
	Kind    effectKind `json:"kind"`
	Key     string     `json:"key"`              // the idempotency key of the call
	Subject string     `json:"subject"`          // what it was done to: an item, an order, a charge
	Cents   int64      `json:"cents,omitempty"`  // of a charge
	Answer  string     `json:"answer,omitempty"` // what the caller was told, the first time and every time
	Repeats int        `json:"repeats"`          // further calls with the key, which did nothing
}

// gateway plays the payment provider, the warehouse and the mail server. It knows nothing of workflows: it does what it is
// asked, once a key, and writes it down.
type gateway struct {
	reports *reporter
	latency func() time.Duration // between the effect and the answer

	mu     sync.Mutex
	ledger []*effect
	byKey  map[string]*effect
}

// RunGateway is the main function of the gateway's process. It returns when in ends.
func RunGateway(in io.Reader, out io.Writer) error {
	s, ended, err := readSetup(in)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the fake gateway cannot listen on the loopback interface: %w", err)
	}
	g := &gateway{reports: newReporter(out), latency: latency, byKey: make(map[string]*effect)}
	server := &http.Server{Handler: g.handler(s.Token), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ended, func() { _ = server.Close() })()
	g.reports.send(report{Kind: listening, Address: l.Addr().String()})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the fake gateway stopped: %w", err)
	}
	return nil
}

// latency is long enough for a kill to land between an effect and its answer, and short enough to watch.
func latency() time.Duration {
	return 150*time.Millisecond + rand.N(350*time.Millisecond)
}

// handler serves POST /effects and GET /ledger to whoever knows the token.
func (g *gateway) handler(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /effects", g.postEffect)
	mux.HandleFunc("GET /ledger", g.getLedger)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// postEffect has the effect first and answers later, like every system at the other end of a network.
func (g *gateway) postEffect(w http.ResponseWriter, r *http.Request) {
	var e effect
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&e); err != nil {
		http.Error(w, "the body is not an effect: "+err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := g.perform(e)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	select {
	case <-time.After(g.latency()):
	case <-r.Context().Done(): // the caller is gone; the effect is not
		return
	}
	writeJSON(w, effect{Answer: answer})
}

// perform does what e asks for, unless it was done under that key before, and returns the answer.
func (g *gateway) perform(e effect) (answer string, err error) {
	if e.Key == "" {
		return "", errors.New("the call has no idempotency key")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before, repeat := g.byKey[e.Key]
	switch {
	case repeat && (before.Kind != e.Kind || before.Subject != e.Subject || before.Cents != e.Cents):
		return "", fmt.Errorf("the key of this %s was used for another call before", e.Kind)
	case repeat:
		before.Repeats++
		answer = before.Answer
	default:
		answer = fmt.Sprintf("%s-%04d", e.Kind, len(g.ledger)+1)
		done := effect{Kind: e.Kind, Key: e.Key, Subject: e.Subject, Cents: e.Cents, Answer: answer}
		g.ledger = append(g.ledger, &done)
		g.byKey[e.Key] = &done
	}
	g.reports.send(report{Kind: effectSeen, Key: e.Key, Repeat: repeat})
	return answer, nil
}

func (g *gateway) getLedger(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	writeJSON(w, g.ledger)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller who is gone asks again
}
