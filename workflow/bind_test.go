package workflow

import (
	"errors"
	"strings"
	"testing"
)

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
