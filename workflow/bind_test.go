package workflow

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestBindNoWorkflow: a workflow without a function is refused where it is registered, and not task by task.
func TestBindNoWorkflow(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]Binding{
		"both":    NewFlow[int, int]("both").Bind(nil),
		"in":      NewFlowIn[int]("in").Bind(nil),
		"out":     NewFlowOut[int]("out").Bind(nil),
		"neither": NewFlowOnly("neither").Bind(nil),
	} {
		if err := NewRegistry().Add(b); err == nil || !strings.Contains(err.Error(), "workflow "+name+" is bound to no function") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBindHeartbeatTimeout: one that cannot fire before the timeout does is refused where the step is registered.
func TestBindHeartbeatTimeout(t *testing.T) {
	t.Parallel()
	for timeout, refused := range map[time.Duration]bool{0: false, time.Minute + 1: false, time.Minute: true, time.Second: true} {
		b := NewStepOnly("step", Timeout(timeout), HeartbeatTimeout(time.Minute)).Bind(func(context.Context) error { return nil })
		err := NewRegistry().Add(b)
		if refused != (err != nil) || refused && !strings.Contains(err.Error(), "workflow: step step: its HeartbeatTimeout of 1m0s") {
			t.Errorf("timeout %v: %v", timeout, err)
		}
	}
}

// TestNilClient: a client that was never made is an error, not a panic.
func TestNilClient(t *testing.T) {
	t.Parallel()
	var none *Client
	flow := NewFlowOnly("flow")
	_, spawned := flow.Spawn(t.Context(), none)
	_, attached := flow.Attach(t.Context(), none, TaskID{})
	for what, err := range map[string]error{
		"spawn":  spawned,
		"attach": attached,
		"emit":   NewEvent("event", func(s string) string { return s }).Emit(t.Context(), none, "key"),
		"send":   NewInbox[string]("inbox").Send(t.Context(), none, TaskID{}, "hello"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "workflow: ") {
			t.Errorf("%s with a nil client: %v", what, err)
		}
	}
}

// TestBindNothing binds steps to no function, as fakes of tests do that were not set: a call fails for good, and says which step it is.
func TestBindNothing(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]Binding{
		"both":    NewStep[int, int]("both").Bind(nil),
		"in":      NewStepIn[int]("in").Bind(nil),
		"out":     NewStepOut[int]("out").Bind(nil),
		"neither": NewStepOnly("neither").Bind(nil),
	} {
		_, err := b.runStep(t.Context(), nil)
		var permanent *PermanentError
		if !errors.As(err, &permanent) || !strings.Contains(err.Error(), "step "+name+" was called, and is bound to no function") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
