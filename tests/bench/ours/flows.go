// Package ours holds the workflows of the benchmark and the trials that run them.
package ours

import (
	"context"
	"fmt"
	"time"

	"github.com/absurdgen/absurdgen/workflow"
)

//go:generate go tool absurdgen ./...

// Payload is 200 bytes of JSON; see [trial.NewPayload].
type Payload struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// Signal wakes one task.
//
//absurd:event name=bench.signal key=Name
type Signal struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// echo does nothing.
//
//absurd:step name=bench.echo
func echo(_ context.Context, p Payload) (Payload, error) { return p, nil }

// one has one step.
//
//absurd:workflow name=bench.one
func one(ctx workflow.Context, p Payload) (Payload, error) { return Echo.Do(ctx, p) }

// ten has ten steps.
//
//absurd:workflow name=bench.ten
func ten(ctx workflow.Context, p Payload) (Payload, error) {
	for range 10 {
		var err error
		if p, err = Echo.Do(ctx, p); err != nil {
			return p, err
		}
	}
	return p, nil
}

// mute does nothing and has nothing to say.
//
//absurd:step name=bench.mute
func mute(context.Context) error { return nil }

// oneMute has one step without an outcome.
//
//absurd:workflow name=bench.onemute
func oneMute(ctx workflow.Context, p Payload) (Payload, error) { return p, Mute.Do(ctx) }

// tenMute has ten of them.
//
//absurd:workflow name=bench.tenmute
func tenMute(ctx workflow.Context, p Payload) (Payload, error) {
	for range 10 {
		if err := Mute.Do(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

// fan has as many children as the payload's id says, all at once.
//
//absurd:workflow name=bench.fan
func fan(ctx workflow.Context, p Payload) (Payload, error) {
	children := make([]*workflow.Future[Payload], p.ID)
	for i := range children {
		children[i] = One.Go(ctx, Payload{ID: i, Text: p.Text})
	}
	_, err := workflow.All(ctx, children...)
	return p, err
}

// wait waits for the event with the payload's id.
//
//absurd:workflow name=bench.wait
func wait(ctx workflow.Context, p Payload) (Payload, error) {
	_, err := SignalEvent.Await(ctx, fmt.Sprint(p.ID), time.Hour)
	return p, err
}

// turns waits for as many events as the payload's id says, one after the other.
//
//absurd:workflow name=bench.turns
func turns(ctx workflow.Context, p Payload) (Payload, error) {
	for i := range p.ID {
		if _, err := SignalEvent.Await(ctx, turn(i), time.Hour); err != nil {
			return p, err
		}
	}
	return p, nil
}

func turn(i int) string { return fmt.Sprintf("turn-%d", i) }
